//! nginx files with several servers and blocks: what inner blocks inherit, and which server a request reaches.
//!
//! Rows: directives that an inner block replaces or ends; servers for other hosts, other ports and the default;
//! hosts of maps and of names that are not carried over; ten thousand servers. Left out: the kinds of directives
//! (`import_losses`).

use std::fmt::Write;

use ossgate::cli::import::Losses;

use crate::support::import::{PASS, expect_config, expect_stop, nginx};

#[test]
fn an_inner_block_replaces_or_ends_what_the_outer_one_refuses() {
    for (text, name) in [
        (format!("auth_basic x; server {{ auth_basic off; location / {{ {PASS} }} }}"), ""),
        (format!("server {{ auth_basic x; location / {{ auth_basic off; {PASS} }} }}"), ""),
        (format!("server {{ auth_basic x; location / {{ auth_basic off; {PASS} location /a/ {{ auth_basic y; {PASS} }} }} }}"), "auth_basic"),
        (format!("server {{ deny all; location / {{ allow all; {PASS} }} }}"), ""),
        (format!("server {{ deny 1.2.3.4; location / {{ {PASS} }} location /a/ {{ allow all; {PASS} }} }}"), ""),
        (format!("server {{ deny 1.2.3.4; location / {{ deny 1.2.3.5; {PASS} }} }}"), ""),
        (format!("server {{ location / {{ {PASS} }} location /a {{ deny 1.2.3.4; {PASS} }} }}"), "deny"),
        (format!("server {{ listen 80; server_name a.cn; location / {{ {PASS} }} }} server {{ listen 80; server_name A.cn b.cn; location /x/ {{ {PASS} }} }}"), ""),
        (format!("server {{ listen 80; server_name a.cn; location / {{ {PASS} }} }} server {{ listen 80; server_name a.cn; location /x/ {{ {PASS} }} location / {{ return 403; }} }}"), ""),
        (format!("deny 1.2.3.4; server {{ location / {{ allow all; {PASS} }} }}"), ""),
        (format!("server {{ location / {{ return 403; location /a/ {{ {PASS} }} }} }}"), ""),
        (format!("server {{ listen 80 default_server; return 444; }} server {{ listen 80; server_name a.cn; location / {{ {PASS} }} }}"), ""),
        (format!("server {{ listen 80; server_name a.cn; location / {{ {PASS} }} }} server {{ listen 80; server_name _; return 403; }}"), ""),
        (format!("server {{ listen 80; server_name b.a.cn; return 403; }} server {{ listen 80; server_name *.a.cn; location / {{ {PASS} }} }}"), "return 403"),
        (format!("server {{ listen 80; server_name A.cn; deny all; location / {{ {PASS} }} }} server {{ listen 80 default; location / {{ {PASS} }} }}"), "deny"),
        (format!("server {{ listen 80; server_name a.cn; location / {{ return 403; }} }} server {{ listen 80; listen 81; server_name a.cn; location / {{ {PASS} }} }}"), "return 403"),
        (format!("server {{ listen 80; if ($host = a.cn) {{ return 403; }} location / {{ {PASS} }} }}"), "if ($host ...) return 403"),
        (format!("server {{ listen 80; server_name b.cn; if ($host = a.cn) {{ return 403; }} location / {{ {PASS} }} }}"), ""),
        (format!("server {{ listen 127.0.0.1:81; server_name a.cn; location / {{ {PASS} }} }} server {{ listen 80; server_name b.cn; location / {{ {PASS} }} }}"), "listen 127.0.0.1:81"),
        (format!("server {{ location / {{ valid_referers a.cn; if ($invalid_referer) {{ return 403; }} {PASS} }} }}"), ""),
        (format!("server {{ valid_referers a.cn; location / {{ if ($invalid_referer) {{ return 403; }} {PASS} }} }}"), ""),
        (format!("server {{ location / {{ valid_referers a.cn; if ($invalid_referer) {{ rewrite ^ /no.png; }} {PASS} }} }}"), "if ($invalid_referer ...)"),
        (format!("server {{ location / {{ valid_referers a.cn; if ($invalid_referer) {{ set $no 1; }} if ($no) {{ return 403; }} {PASS} }} }}"), "if ($no ...) return 403"),
        ("map $host $ok { default \"\"; a.cn 1; } server { if ($ok = \"\") { return 403; } location / { ".to_owned() + PASS + " } }", "if ($ok ...) return 403"),
        ("server { set $h examplebucket.oss-cn-hangzhou.aliyuncs.com; location / { proxy_pass http://$h$uri; } }".to_owned(), "proxy_pass"),
    ] {
        let text = &text;
        if name.is_empty() {
            expect_config(text, "examplebucket");
        } else {
            expect_stop(text, name);
        }
    }
}

#[test]
fn a_refusal_is_found_at_the_route_that_would_serve_the_request() {
    let map = "map $host $b { a.cn b-1; b.cn b-2; }";
    let mapped = "proxy_pass http://$b.oss-cn-hangzhou.aliyuncs.com;";
    let catch_all = format!("server {{ listen 80 default_server; location / {{ {PASS} }} }}");
    for (text, name) in [
        (
            format!(
                "{map} server {{ listen 80; location / {{ {mapped} }} location /x/ {{ return 403; }} }}"
            ),
            "return 403",
        ),
        (
            format!(
                "{map} server {{ listen 80; location / {{ {mapped} }} location ~ \\.x$ {{ deny all; }} }}"
            ),
            "deny",
        ),
        (
            format!("{catch_all} server {{ listen 80; server_name ~^x; return 403; }}"),
            "return 403",
        ),
        (
            format!(
                "{catch_all} server {{ listen 80; server_name ~^x; auth_basic x; location / {{ {PASS} }} }}"
            ),
            "auth_basic",
        ),
        (
            format!(
                "{catch_all} server {{ listen 80; server_name ~^x a.cn; location / {{ limit_except GET {{ deny all; }} {PASS} }} }}"
            ),
            "limit_except",
        ),
        (
            format!(
                "{catch_all} server {{ listen 80; server_name *.a.cn; location / {{ limit_except GET {{ deny all; }} {PASS} }} }}"
            ),
            "limit_except",
        ),
        (
            format!(
                "{catch_all} server {{ listen 80; server_name *.a.cn; location / {{ {PASS} }} }}"
            ),
            "",
        ),
        (
            format!(
                "{catch_all} server {{ listen 80; server_name a.cn; location / {{ return 403; }} location /x/ {{ {PASS} }} }}"
            ),
            "return 403",
        ),
        (
            format!(
                "server {{ location / {{ {PASS} }} location /a/ {{ try_files $uri @x; }} location @x {{ auth_basic x; {PASS} }} }}"
            ),
            "auth_basic",
        ),
        (
            format!(
                "server {{ location / {{ {PASS} }} location ~* ^/(a)/ {{ valid_referers a.cn; if ($invalid_referer) {{ return 403; }} {PASS} }} }}"
            ),
            "$invalid_referer",
        ),
        (
            format!(
                "server {{ location / {{ {PASS} }} location ~*^/(a)/ {{ limit_except GET {{ deny all; }} {PASS} }} }}"
            ),
            "limit_except",
        ),
        (
            format!(
                "server {{ location / {{ {PASS} }} location /status {{ stub_status; allow 127.0.0.1; deny all; }} }}"
            ),
            "`location`",
        ),
        (
            format!(
                "server {{ location / {{ {PASS} }} location /a/ {{ if ($host != a.cn) {{ return 403; }} {PASS} }} }}"
            ),
            "if ($host ...) return 403",
        ),
        (format!("{catch_all} server {{ listen 80; server_name a.cn; location /x/ {{ {PASS} }} }}"), "`server`"),
        (format!("{catch_all} server {{ listen 80; server_name a.*; location / {{ {PASS} }} }}"), "`server_name`"),
        (format!("server {{ location / {{ {PASS} }} location ~ ^/x {{ if ($host = a.cn) {{ return 403; }} {PASS} }} }}"), "if ($host ...) return 403"),
        ("map $host $b { .a.cn b-1; b.cn b-2; } server { location / { proxy_pass http://$b.oss-cn-hangzhou.aliyuncs.com; } }".to_owned(), ""),
        (format!("{map} server {{ location / {{ {PASS} }} location /x/ {{ {mapped} }} }}"), "`proxy_pass`"),
        (format!("server {{ location / {{ {PASS} }} location /a/b/ {{ {PASS} }} location ~ ^/(a)/ {{ limit_except GET {{ deny all; }} {PASS} }} }}"), "limit_except"),
        (format!("server {{ location ^~ / {{ limit_except GET {{ deny all; }} {PASS} }} location ~ ^/(b-1)/ {{ proxy_pass http://$1.oss-cn-hangzhou.aliyuncs.com; }} }}"), ""),
        (format!("server {{ listen 80; server_name x.a.cn; return 403; }} server {{ listen 80; server_name *.a.cn; location /x/ {{ {PASS} }} }}"), "return 403"),
        (format!("server {{ listen 80; server_name x.a.cn; location / {{ deny all; }} }} server {{ listen 80; server_name *.a.cn; location /x/ {{ {PASS} }} }}"), "`deny`"),
        (format!("server {{ location / {{ {PASS} }} location /x {{ {PASS} }} location /x/ {{ limit_except GET {{ deny all; }} {PASS} }} }}"), "limit_except"),
        (format!("server {{ listen 80; server_name a.cn; return 403; }} server {{ listen 80; server_name b.cn; location / {{ {PASS} }} }} server {{ listen 8080; server_name a.cn; location /x/ {{ {PASS} }} }}"), "return 403"),
        (
            format!(
                "server {{ listen 80; server_name ~^x; return 403; }} server {{ listen 80; server_name a.cn; location / {{ {PASS} }} }}"
            ),
            "",
        ),
        (
            format!(
                "server {{ listen 80; server_name a.cn b.cn; location / {{ {PASS} }} }} server {{ listen 443 ssl; server_name b.cn; ssl_certificate c; ssl_certificate_key k; deny 1.2.3.4; location / {{ {PASS} }} }}"
            ),
            "",
        ),
        (
            format!(
                "server {{ listen 80; server_name a.cn; deny 1.2.3.4; location / {{ {PASS} }} }} server {{ listen 443 ssl; server_name a.cn; ssl_certificate c; ssl_certificate_key k; deny 1.2.3.5; location / {{ {PASS} }} }}"
            ),
            "`deny`",
        ),
        (
            format!(
                "server {{ listen 80; location / {{ {PASS} }} }} server {{ listen 80; server_name a.cn; location / {{ root /srv; }} }}"
            ),
            "`location`",
        ),
        (
            format!(
                "server {{ listen 80; location / {{ {PASS} }} }} server {{ listen 80; server_name a.cn; root /srv; }}"
            ),
            "`server`",
        ),
    ] {
        let outcome = nginx(&text, Losses::Stop);
        let code = if name.is_empty() { 0 } else { 3 };
        assert_eq!(outcome.code, code, "{text}\n{}", outcome.messages);
        assert!(
            outcome.messages.contains(name),
            "{text}\n{}",
            outcome.messages
        );
        let accepted = nginx(&text, Losses::Accept);
        assert_eq!(
            accepted.config.contains("# NOT CARRIED OVER: "),
            code == 3,
            "{}",
            accepted.config
        );
    }
}

#[test]
fn a_host_that_another_server_names_is_served_by_that_server_only() {
    let map = "map $host $b { a.cn b-1; b.cn b-2; }";
    let mapped = "proxy_pass http://$b.oss-cn-hangzhou.aliyuncs.com;";
    let named = format!("server {{ listen 80; server_name A.cn; location /x/ {{ {PASS} }} }}");
    for default in [
        format!("{map} server {{ listen 80; location / {{ {mapped} }} }}"),
        format!(
            "{map} server {{ listen 80 default_server; if ($host != a.cn) {{ return 403; }} location / {{ {PASS} }} }}"
        ),
        format!(
            "server {{ listen 80; server_name b.cn; if ($host != a.cn) {{ return 403; }} location / {{ {PASS} }} }}"
        ),
    ] {
        let outcome = nginx(&format!("{default} {named}"), Losses::Stop);
        assert_eq!(outcome.code, 0, "{default}\n{}", outcome.messages);
        let count = outcome.config.to_lowercase().matches("\"a.cn\"").count();
        assert_eq!(count, 1, "{default}\n{}", outcome.config);
        assert!(
            outcome.config.contains("path = \"/x/\""),
            "{}",
            outcome.config
        );
    }
}

/// The usual forms of a redirect to HTTPS.
#[test]
fn a_redirect_to_https_is_found_in_its_forms() {
    let tls = |more: &str| {
        format!(
            "server {{ listen 443 ssl; {more} server_name a.cn; ssl_certificate c; ssl_certificate_key k; location / {{ {PASS} }} }}"
        )
    };
    // The certificate is not on this machine.
    let expect_redirect = |text: &str| {
        let outcome = nginx(text, Losses::Stop);
        assert_eq!(outcome.code, 0, "{text}\n{}", outcome.messages);
        let mode = "https = { mode = \"redirect\" }";
        assert!(outcome.config.contains(mode), "{text}\n{}", outcome.config);
    };
    for clear in [
        "return 301 https://$host$request_uri;",
        "return 308 https://a.cn$request_uri;",
        "location / { return 301 https://$server_name$request_uri; }",
        "rewrite ^(.*)$ https://$host$1 permanent;",
        "rewrite ^ https://$host$request_uri? permanent;",
        "if ($host = a.cn) { return 301 https://$host$request_uri; } return 404;",
    ] {
        let text = format!(
            "server {{ listen 80; server_name a.cn; {clear} }} {}",
            tls("")
        );
        expect_redirect(&text);
    }
    for inside in [
        "if ($scheme = http) { return 301 https://$host$request_uri; }",
        "if ($scheme != \"https\") { rewrite ^ https://$host$request_uri permanent; }",
        "if ($server_port !~ 443) { rewrite ^(/.*)$ https://$host$1 permanent; }",
        "if ($ssl_protocol = \"\") { return 301 https://$host$request_uri; }",
    ] {
        let text = tls(&format!("listen 80; {inside}"));
        expect_redirect(&text);
    }
    let forwarded =
        "listen 80; if ($http_x_forwarded_proto = http) { return 301 https://$host$request_uri; }";
    let outcome = nginx(&tls(forwarded), Losses::Stop);
    assert_eq!(outcome.code, 0, "{}", outcome.messages);
    let note = "a redirect of some requests only is not carried over";
    assert!(outcome.messages.contains(note), "{}", outcome.messages);
}

#[test]
fn ten_thousand_servers_are_imported_in_proportion() {
    let text = |count: usize| {
        let mut text = String::new();
        for number in 0..count {
            writeln!(
                text,
                "server {{ listen 80; server_name h{number}.cn; return 301 https://$host$request_uri; }}\n\
                 server {{ listen 443 ssl; server_name h{number}.cn; location / {{ {PASS} }} location = /x {{ deny all; }} }}"
            )
            .unwrap();
        }
        text
    };
    let time = |count| {
        let files = [("a.conf".to_owned(), text(count))];
        let begin = tokio::time::Instant::now();
        let imported = ossgate::cli::import::nginx::import(&files).unwrap();
        assert_eq!(imported.losses.len(), count);
        assert_eq!(
            imported.config.matches("mode = \"redirect\"").count(),
            count
        );
        begin.elapsed()
    };
    let fastest = |count| (0..3).map(|_| time(count)).min().unwrap();
    let (few, many) = (fastest(1000), fastest(10_000));
    // The square would be a hundred times as long.
    assert!(many < few * 40, "{few:?} {many:?}");
}
