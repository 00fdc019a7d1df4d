//! Imports of nginx files.
//!
//! Rows: the published recipe in its variants; files that cannot be imported; directives that have no counterpart.
//! Each imported config can be served, and all that is not imported is reported. Left out: directives that refuse
//! requests (`import_losses`), and the usual forms of other directives (`import_forms`).

use ossgate::cli::import::{Losses, Source};

use crate::support::imported::{Outcome, files, outcome};

fn nginx(text: &str) -> Outcome {
    import_with(text, Losses::Stop)
}

fn import_with(text: &str, losses: Losses) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    outcome(&Source::Nginx {
        files: &files(directory.path(), &[text]),
        buckets: &[],
        losses,
    })
}

#[test]
fn an_upstream_becomes_an_origin_with_one_bucket() {
    let outcome = import_with(
        "upstream oss_backend {\n    server examplebucket.oss-cn-hangzhou-internal.aliyuncs.com:80;\n    keepalive 64;\n}\n\
         server {\n    listen 80;\n    server_name 203.0.113.7;\n    resolver 100.100.2.136 100.100.2.138 valid=60s;\n\
         location / {\n        proxy_pass http://oss_backend;\n        proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\";\n        proxy_set_header Host examplebucket.oss-cn-hangzhou-internal.aliyuncs.com;\n\
         proxy_set_header X-Real-IP $remote_addr;\n        proxy_connect_timeout 10s;\n        proxy_read_timeout 30;\n        client_max_body_size 1024m;\n    }\n\
         location /health {\n        return 200 'ok';\n    }\n}\n",
        Losses::Accept,
    );
    assert_eq!(outcome.code, 0, "{}", outcome.notes);
    let config = outcome.config();
    assert_eq!(config.routes.len(), 1, "{}", outcome.text);
    let origin = toml::Table::try_from(&config).unwrap();
    let text = toml::to_string(&origin).unwrap();
    for part in [
        "bucket = \"examplebucket\"",
        "oss-cn-hangzhou-internal.aliyuncs.com",
        "connect = \"10s\"",
        "idle = \"30s\"",
        "hosts = [\"203.0.113.7\"]",
        "address = \"0.0.0.0:80\"",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(
        outcome
            .notes
            .contains(":14: the header `x-real-ip` is not carried over"),
        "{}",
        outcome.notes
    );
    assert!(
        outcome
            .notes
            .contains("`location /health` has a text of its own, but ossgate serves the object"),
        "{}",
        outcome.notes
    );
}

#[test]
fn a_map_becomes_several_buckets() {
    let outcome = nginx(
        "map $http_host $oss_backend_host {\n    default \"\";\n    a.example.com bucket-a.oss-cn-hangzhou-internal.aliyuncs.com;\n\
         b.example.com bucket-b.oss-cn-shanghai.aliyuncs.com;\n}\n\
         server {\n    listen 80 default_server;\n    server_name _;\n    if ($oss_backend_host = \"\") { return 404; }\n\
         location / {\n        proxy_pass http://$oss_backend_host;\n        proxy_set_header Host $oss_backend_host;\n    }\n}\n",
    );
    let config = outcome.config();
    let hosts: Vec<String> = config
        .routes
        .iter()
        .map(|route| route.hosts[0].to_string())
        .collect();
    assert_eq!(hosts, ["a.example.com", "b.example.com"]);
    assert!(
        outcome.text.contains("network = \"public\""),
        "{}",
        outcome.text
    );
    assert!(
        outcome.notes.contains("`if` is not carried over"),
        "{}",
        outcome.notes
    );
}

#[test]
fn https_is_imported_with_its_redirect_and_its_mistake() {
    let outcome = nginx(
        "server {\n    listen 80;\n    server_name img.example.com;\n    return 301 https://$host$request_uri;\n}\n\
         server {\n    listen 443 ssl http2;\n    server_name img.example.com;\n    ssl_certificate /etc/nginx/ssl/img.pem;\n\
         ssl_certificate_key /etc/nginx/ssl/img.key;\n    ssl_protocols TLSv1.2 TLSv1.3;\n\
         add_header Strict-Transport-Security \"max-age=63072000; includeSubDomains\" always;\n\
         location / {\n        proxy_pass https://examplebucket.oss-cn-hangzhou.aliyuncs.com;\n        proxy_set_header Host $host;\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forw_for;\n    }\n}\n",
    );
    for part in [
        "address = \"0.0.0.0:443\"\ntls = true",
        "cert = \"/etc/nginx/ssl/img.pem\"",
        "host = \"img.example.com\"",
        "https = { mode = \"redirect\", hsts = { max_age = \"63072000s\", include_subdomains = true } }",
    ] {
        assert!(outcome.text.contains(part), "{part}\n{}", outcome.text);
    }
    assert_eq!(
        outcome.text.matches("[[route]]").count(),
        1,
        "{}",
        outcome.text
    );
    for note in [
        "`$proxy_add_x_forw_for` is a mistake of the recipe",
        "it must be bound to the bucket",
        "to be put in place: certificate[0].cert",
    ] {
        assert!(outcome.notes.contains(note), "{note}\n{}", outcome.notes);
    }
}

#[test]
fn the_older_recipe_is_imported_from_a_whole_nginx_conf() {
    let outcome = import_with(
        "user www-data;\nevents { worker_connections 768; }\nhttp {\n  sendfile on;\n  server {\n    listen *:8080;\n\
         server_name ecs.example.com;\n    location /img/ {\n      valid_referers none blocked *.example.com example.com;\n\
         if ($invalid_referer) { return 403; }\n      proxy_pass http://examplebucket.oss-accelerate.aliyuncs.com/site/;\n    }\n\
         location ~ \\.php$ { return 200 none; }\n  }\n}\n",
        Losses::Accept,
    );
    let config = outcome.config();
    for part in [
        "endpoint = \"oss-accelerate.aliyuncs.com\"",
        "path = \"/img/\"",
        "strip_path = true",
        "prefix = \"site/\"",
        "referer = { allow = [\"http*://*.example.com\", \"http*://example.com\"], allow_empty = true, strict_host = true }",
    ] {
        assert!(outcome.text.contains(part), "{part}\n{}", outcome.text);
    }
    assert_eq!(config.routes.len(), 1);
    assert!(
        outcome.notes.contains("nothing is proxied there"),
        "{}",
        outcome.notes
    );
}

#[test]
fn files_that_cannot_be_imported_fail_with_the_reason() {
    for (text, reason) in [
        ("server { listen 80", "0.conf:1: a block is not closed"),
        (
            "server { listen 80; }",
            "nothing here is proxied to a bucket of OSS",
        ),
        (
            "server { location / { proxy_pass http://app.internal; } }",
            "`app.internal` is not a host of OSS",
        ),
        (
            "server { location / { proxy_pass http://oss-cn-hangzhou.aliyuncs.com; } }",
            "names no bucket",
        ),
    ] {
        let outcome = nginx(text);
        assert_eq!(outcome.code, 1, "{text}: {}", outcome.text);
        assert!(outcome.notes.contains(reason), "{text}: {}", outcome.notes);
        assert_eq!(outcome.text, "");
    }
}

const PASS: &str = "proxy_pass http://examplebucket.oss-cn-hangzhou-internal.aliyuncs.com;";

/// Each directive is imported as far as possible, and the rest is reported.
#[test]
fn every_access_rule_is_imported_or_reported() {
    for (text, written, note) in [
        (
            format!("server {{ listen 8080; location / {{ {PASS} }} }}\nserver {{ listen 9090; location / {{ proxy_pass http://other.oss-cn-hangzhou-internal.aliyuncs.com; }} }}"),
            "bucket = \"examplebucket\"",
            "0.conf:2: is left out",
        ),
        (
            format!("server {{ listen 80; valid_referers server_names .b.cn c.*; if ($invalid_referer) {{ return 403; }} server_name a.cn; location / {{ {PASS} }} }}"),
            "allow = [\"http*://a.cn\", \"http*://b.cn\", \"http*://*.b.cn\", \"http://c.*\", \"https://c.*\"]",
            "",
        ),
        (
            format!("server {{ listen 80; valid_referers ~\\.a\\.; if ($invalid_referer) {{ return 403; }} location / {{ {PASS} }} }}"),
            "allow = [\"http://nobody.invalid\"]",
            "no regular expressions",
        ),
        (
            format!("server {{ listen 80; valid_referers a.cn; location / {{ {PASS} }} }}"),
            "",
            "nothing here refuses an invalid Referer",
        ),
        (
            format!("server {{ listen 80; client_max_body_size 1m; gzip on; location / {{ {PASS} }} }}"),
            "",
            "`gzip` is not carried over",
        ),
        (
            format!("server {{ listen 80 default_server; server_name _; return 301 https://$host$request_uri; }}\nserver {{ listen 80; server_name a.cn; location / {{ {PASS} }} }}"),
            "",
            "",
        ),
        (
            format!("server {{ listen 80; server_name ~^a; location / {{ {PASS} }} }}\nserver {{ listen 80; server_name b.cn; location / {{ {PASS} }} }}"),
            "hosts = [\"b.cn\"]",
            "the server is left out",
        ),
        (
            format!("server {{ listen 80; server_name .a.cn; location / {{ {PASS} }} }}"),
            "hosts = [\"a.cn\", \"*.a.cn\"]",
            "",
        ),
        (
            "map $arg_b $b { one examplebucket; }\nserver { listen 80; location / { proxy_pass http://$b.oss-cn-hangzhou-internal.aliyuncs.com; } }\n".to_owned()
                + &format!("server {{ listen 81; location / {{ {PASS} }} }}"),
            "",
            "routes are not chosen by `$arg_b`",
        ),
        (
            "map $host $b { default examplebucket; a.cn other; }\nserver { listen 80; location / { proxy_pass http://$b.oss-cn-hangzhou-internal.aliyuncs.com; } }".to_owned(),
            "bucket = \"examplebucket\"",
            "",
        ),
        (
            "server { listen 80; location /img { proxy_pass http://examplebucket.oss-cn-hangzhou-internal.aliyuncs.com:8080/x; } }".to_owned(),
            "prefix = \"x/\"",
            "the port of",
        ),
    ] {
        let outcome = nginx(&text);
        assert_eq!(outcome.code, 0, "{text}: {}", outcome.notes);
        outcome.config();
        assert!(outcome.text.contains(written), "{text}\n{}", outcome.text);
        assert!(!outcome.text.contains("redirect"), "{text}\n{}", outcome.text);
        assert!(outcome.notes.contains(note), "{text}\n{}", outcome.notes);
        let is_ruled = outcome.text.contains("referer");
        assert_eq!(is_ruled, written.contains("allow"), "{}", outcome.text);
    }
}
