//! nginx directives that refuse requests, in their variants: the import names each one and writes no config, or
//! the config refuses the same requests.
//!
//! Rows: each kind of directive at each level; closed locations; `if` with variables and quotes; included files;
//! directives of modules that are not known. Left out: inheritance, and several servers (`import_servers`); Left out: what nginx really does
//! (`import_probe`).

use std::path::Path;

use ossgate::cli::import::{Losses, Source, import};
use ossgate::config;

use crate::support::import::{PASS, expect_config, expect_stop, import_file, nginx};

#[test]
fn every_directive_that_refuses_requests_stops_the_import() {
    for (directive, name) in [
        ("deny ::ffff:192.0.2.1;", "deny"),
        ("auth_basic \"x\";", "auth_basic"),
        ("auth_basic $realm;", "auth_basic"),
        ("auth_request /auth;", "auth_request"),
        ("auth_jwt \"x\";", "auth_jwt"),
        ("auth_digest x;", "auth_digest"),
        ("satisfy any;", "satisfy"),
        ("allow 10.0.0.1; deny 10.0.0.0/8;", "allow|deny"),
        // ossgate does not find the addresses of these clients where nginx finds them.
        ("set_real_ip_from 192.0.2.1; deny 10.0.0.1;", "deny"),
        (
            "set_real_ip_from 192.0.2.1; real_ip_header X-Real-IP; deny 10.0.0.1;",
            "deny",
        ),
        (
            "set_real_ip_from lb.example.com; real_ip_header X-Forwarded-For; deny 10.0.0.1;",
            "deny",
        ),
        ("satisfy any; deny 10.0.0.1;", "satisfy|deny"),
        ("secure_link $arg_md5;", "secure_link"),
        ("access_by_lua_file a.lua;", "access_by_lua_file"),
        ("rewrite_by_lua 'ngx.exit(403)';", "rewrite_by_lua"),
        ("js_access main.check;", "js_access"),
        ("perl a::b;", "perl"),
        ("modsecurity on;", "modsecurity"),
        ("some_module_of_my_own on;", "some_module_of_my_own"),
        ("include missing.conf;", "include missing.conf"),
        ("proxy_method GET;", "proxy_method"),
        (
            "proxy_pass_request_headers off;",
            "proxy_pass_request_headers",
        ),
        (
            "proxy_set_header Authorization \"\";",
            "proxy_set_header Authorization",
        ),
        (
            "proxy_set_header authorization 'Basic s3cret';",
            "proxy_set_header Authorization",
        ),
        ("limit_except GET { auth_basic x; }", "limit_except"),
        (
            "if ($http_user_agent ~* (bot|spider)) { return 403; }",
            "if ($http_user_agent ...) return 403",
        ),
        (
            "if ($http_x_key != 's3cret') { return 444; }",
            "if ($http_x_key ...) return 444",
        ),
        (
            "if ($args ~ \"[<>'\\\"]\") { return 400; }",
            "if ($args ...) return 400",
        ),
        (
            "if ( $cookie_a = \"\" ) { return 302 /login; }",
            "if ($cookie_a ...) return 302",
        ),
        (
            "if ($blocked) { return 200 no; }",
            "if ($blocked ...) return 200",
        ),
        (
            "if (!-f $request_filename) { return 404; }",
            "if (!-f ...) return 404",
        ),
        (
            "if ($request_method !~ ^(GET|.*)$) { return 405; }",
            "if ($request_method ...) return 405",
        ),
        (
            "if ($request_uri ~ \\.php) { rewrite ^ /x break; }",
            "if ($request_uri ...)",
        ),
        (
            "set $no 0; if ($a) { set $no 1; } if ($no) { return 403; }",
            "if ($no ...) return 403",
        ),
        ("set $args '';", "set"),
        ("try_files $uri =404;", "try_files"),
        (
            "access_by_lua_block { if a then exit({403}) end }",
            "access_by_lua_block",
        ),
        ("rewrite ^/(a|b)/(.*)$ /$2 break;", "rewrite"),
        ("rewrite ^/img/(.*)$ /$1? break;", "rewrite"),
    ] {
        let server = format!("server {{ listen 80; {directive} location / {{ {PASS} }} }}");
        let location = format!("server {{ listen 80; location / {{ {directive} {PASS} }} }}");
        let is_phase = directive.starts_with("if") || directive.starts_with("set");
        expect_stop(&server, name);
        expect_stop(&location, name);
        if !is_phase && !directive.starts_with("rewrite ") && !directive.starts_with("limit_except")
        {
            // Top level of a file that `http` includes, and a whole file.
            expect_stop(
                &format!("{directive} server {{ location / {{ {PASS} }} }}"),
                name,
            );
            let whole = format!("http {{ server {{ location / {{ {PASS} }} }} {directive} }}");
            expect_stop(&whole, name);
        }
        let outcome = nginx(&location, Losses::Accept);
        let all = format!("{}{}", outcome.messages, outcome.config);
        assert!(!all.contains("s3cret"), "{all}");
    }
    let verified = format!("server {{ listen 80; ssl_verify_client on; location / {{ {PASS} }} }}");
    expect_stop(&verified, "ssl_verify_client");
}

#[test]
fn a_closed_location_beside_an_open_one_stops_the_import() {
    for (closed, name) in [
        ("location /private/ { return 403; }", "return 403"),
        ("location /private { return 404; }", "return 404"),
        ("location ^~ /private/ { deny all; }", "deny"),
        ("location = /private { return 444; }", "return 444"),
        ("location /old/ { return 301 https://b.cn/; }", "location"),
        (
            "location /x { return 301 https://$host$request_uri; }",
            "location",
        ),
        ("location /files/ { root /srv; }", "location"),
        ("location /status { stub_status; deny all; }", "deny"),
        (
            "location /app/ { proxy_pass http://127.0.0.1:8080; }",
            "location",
        ),
        ("location =/private { return 444; }", "return 444"),
        ("location = / { return 403; }", "return 403"),
        (
            "location /lua/ { content_by_lua_block { exit(403) } }",
            "content_by_lua_block",
        ),
        ("location ~ /\\. { deny all; }", "deny"),
        (
            "location ~* \"\\.(sql|bak)$\" { return 410 gone; }",
            "return 410",
        ),
        ("location ~/\\.git { internal; }", "internal"),
        ("location /internal/ { internal; alias /srv/; }", "internal"),
        (
            "location /a/ { allow all; location /a/b/ { deny all; } }",
            "location|deny",
        ),
        (
            "location /app/ { auth_basic x; proxy_pass http://127.0.0.1:8080; }",
            "auth_basic",
        ),
        (
            "location ~ \\.jpg$ { valid_referers a.cn; if ($invalid_referer) { return 403; } }",
            "if ($invalid_referer ...) return 403",
        ),
        (
            "location ~ ^/up/ { limit_except GET { deny all; } proxy_pass http://x; }",
            "limit_except",
        ),
        (
            "location /up/ { if ($request_method = PUT) { return 405; } proxy_pass http://app; }",
            "if ($request_method ...) return 405",
        ),
    ] {
        let before = format!("server {{ listen 80; {closed} location / {{ {PASS} }} }}");
        expect_stop(&before, name);
        let after = format!("server {{ listen 80; location / {{ {PASS} {closed} }} }}");
        expect_stop(&after, name);
        // Nothing serves the path, so nothing is opened.
        let alone = format!("server {{ listen 80; {closed} location /img/ {{ {PASS} }} }}");
        if !closed.contains('~') || closed.contains("^~") {
            expect_config(&alone, "path = \"/img/\"");
        }
    }
}

#[test]
fn what_nginx_does_not_refuse_stops_nothing() {
    for (directives, part) in [
        ("allow 10.0.0.0/8;", ""),
        ("allow all; deny 10.0.0.1;", ""),
        (
            "allow 10.0.0.0/8; deny all;",
            "ip = { allow = [\"10.0.0.0/8\"] }",
        ),
        ("deny 10.0.0.1;", "ip = { deny = [\"10.0.0.1\"] }"),
        ("auth_basic off;", ""),
        ("auth_request off;", ""),
        ("ssl_verify_client optional;", ""),
        ("limit_req zone=a;", ""),
        ("limit_except GET { allow all; }", ""),
        (
            "limit_except GET HEAD { deny all; }",
            "methods = [\"GET\", \"HEAD\"]",
        ),
        (
            "if ($request_method !~ ^(GET|HEAD)$) { return 405; }",
            "methods = [\"GET\", \"HEAD\"]",
        ),
        (
            "if ($request_method !~* \"^(get|head|put)$\") { return 444; }",
            "methods = [\"GET\", \"HEAD\", \"PUT\"]",
        ),
        (
            "if ($request_method != GET) { return 403; }",
            "methods = [\"GET\"]",
        ),
        (
            "if ($request_method = PUT) { return 405; } if ($request_method = 'DELETE') { return 405; }",
            "methods = [\"GET\", \"HEAD\", \"POST\", \"OPTIONS\"]",
        ),
        (
            "if ($request_method ~ ^(PUT|POST|DELETE|OPTIONS)$ ) { return 405; }",
            "methods = [\"GET\", \"HEAD\"]",
        ),
        (
            "if ($scheme = http) { return 403; }",
            "https = { mode = \"require\" }",
        ),
        (
            "if ($scheme = http) { return 301 https://$host$request_uri; }",
            "https = { mode = \"redirect\" }",
        ),
        ("if ($host != a.cn) { return 444; }", "hosts = [\"a.cn\"]"),
        (
            "access_log off; error_log /dev/null; gzip_vary on; proxy_cache off; expires 1d;",
            "",
        ),
    ] {
        for text in [
            format!("server {{ listen 80; {directives} location / {{ {PASS} }} }}"),
            format!("server {{ listen 80; location / {{ {directives} {PASS} }} }}"),
        ] {
            let is_of_server = directives.contains("$host !=") && text.contains("/ { if");
            let is_misplaced = directives.contains("limit_except") && !text.contains("{ limit");
            if !is_of_server && !is_misplaced {
                expect_config(&text, part);
            }
        }
    }
}

#[test]
fn addresses_behind_a_proxy_are_those_of_the_proxies_of_the_server() {
    let trusted = "set_real_ip_from 192.0.2.1; real_ip_header X-Forwarded-For;";
    let text = format!("server {{ listen 80; {trusted} deny 10.0.0.1; location / {{ {PASS} }} }}");
    expect_config(&text, "ip = { deny = [\"10.0.0.1\"] }");
    // The trusted proxies of ossgate are those of a listener.
    let text = format!("server {{ listen 80; deny 10.0.0.1; location / {{ {trusted} {PASS} }} }}");
    expect_stop(&text, "deny");
    let text = format!(
        "server {{ listen 80; {trusted} location / {{ {PASS} }} }} server {{ listen 80; server_name a.cn; deny 10.0.0.1; location / {{ {PASS} }} }}"
    );
    expect_stop(&text, "deny");
    // nginx compares the address of the load balancer.
    let text =
        format!("server {{ listen 80 proxy_protocol; deny 10.0.0.1; location / {{ {PASS} }} }}");
    expect_stop(&text, "deny");
}

#[test]
fn included_files_are_read_as_a_part_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    let main = write(
        "nginx.conf",
        "http { include mime.types; include conf.d/*.conf; }",
    );
    let site = write(
        "conf.d/site.conf",
        &format!("server {{ listen 80; include snippets/deny.conf; location / {{ {PASS} }} }}"),
    );
    write("snippets/deny.conf", "\nauth_basic x;\n");
    let deny = format!(
        "{}:2: `auth_basic`: nginx refuses",
        directory.path().join("snippets/deny.conf").display()
    );
    for path in [&main, &site] {
        let outcome = import_file(path, Losses::Stop);
        assert_eq!(outcome.code, 3, "{}", outcome.messages);
        let messages = outcome.messages.replace("/conf.d/..", "");
        assert!(messages.contains(&deny), "{messages}");
    }
    // A file that includes itself ends at the maximum depth, and counts as one that cannot be read.
    write("snippets/deny.conf", "include snippets/deny.conf;");
    assert_eq!(import_file(&main, Losses::Stop).code, 3);
    // A pattern without files is no error in nginx.
    write("snippets/deny.conf", "include snippets/*.none;");
    let outcome = import_file(&main, Losses::Stop);
    assert_eq!(outcome.code, 0, "{}", outcome.messages);
    // Several files are one configuration: the rules of `http` are for the servers of all files.
    let http = write("http.conf", "auth_basic x;");
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let source = Source::Nginx {
        files: &[site, http],
        buckets: &[],
        losses: Losses::Stop,
    };
    assert_eq!(import(&source, &mut out, &mut errors).unwrap(), 3);
}

#[test]
fn a_comment_cannot_be_left_by_the_text_of_a_file() {
    let text = format!(
        "server {{ location / {{ \"x\n[[route]]\nhosts = ['evil.example']\" on; {PASS} }} }}"
    );
    let outcome = nginx(&text, Losses::Accept);
    assert_eq!(outcome.code, 0, "{}", outcome.messages);
    let loaded = config::from_str("t.toml", &outcome.config, Path::new("/"), &|_| None).unwrap();
    assert!(
        loaded.config.routes[0].hosts.is_empty(),
        "{}",
        outcome.config
    );
    assert_eq!(loaded.config.routes.len(), 1);
}
