//! The usual forms of nginx directives that have a key in ossgate.
//!
//! Rows: variables, captures and gateways; `upstream`; rewrites; documents, downloads and cross-origin header
//! fields; load balancers. Each config is accepted. Left out:
//! what the configs do (`import_probe`).

use std::path::Path;

use ossgate::cli::import::{Losses, Source, import};
use ossgate::config;

/// Returns the exit code, the config and the messages.
fn imported(text: &str, buckets: &[&str]) -> (u8, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.conf");
    std::fs::write(&path, text).unwrap();
    let buckets: Vec<String> = buckets.iter().map(|bucket| (*bucket).to_owned()).collect();
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let source = Source::Nginx {
        files: &[path],
        buckets: &buckets,
        losses: Losses::Stop,
    };
    let code = import(&source, &mut out, &mut errors).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (code, text(out), text(errors))
}

/// Asserts that the config has each line of `lines` and is accepted, and that the messages contain `note`.
#[track_caller]
fn expect(text: &str, buckets: &[&str], lines: &[&str], note: &str) {
    let (code, config, messages) = imported(text, buckets);
    assert_eq!(code, 0, "{text}\n{messages}");
    let loaded = config::from_str("t.toml", &config, Path::new("/"), &|_| None);
    loaded.unwrap_or_else(|problems| panic!("{problems}\n{config}"));
    for line in lines {
        assert!(
            config.lines().any(|one| one == *line),
            "{text}\n{line}\n{config}"
        );
    }
    let routes = lines
        .iter()
        .filter(|line| line.starts_with("origin"))
        .count();
    assert_eq!(
        config.matches("[[route]]").count(),
        routes,
        "{text}\n{config}"
    );
    assert!(messages.contains(note), "{text}\n{messages}");
}

const ORIGIN: &str =
    "origin = { bucket = \"b-1\", region = \"cn-hangzhou\", network = \"internal\", tls = false }";
const HOST: &str = "b-1.oss-cn-hangzhou-internal.aliyuncs.com";

#[test]
fn variables_captures_and_gateways_become_buckets() {
    let pass = |rest: &str| format!("server {{ listen 80; {rest} }}");
    expect(
        &pass(&format!(
            "set $h {HOST}; location / {{ proxy_pass http://$h; }}"
        )),
        &[],
        &[ORIGIN],
        "",
    );
    expect(
        &pass(&format!(
            "location / {{ set $h \"{HOST}\"; proxy_pass http://${{h}}$uri$is_args$args; proxy_set_header Host $h; }}"
        )),
        &[],
        &[ORIGIN],
        "",
    );
    expect(
        &pass(
            "set $b b-1; set $h $b.oss-cn-hangzhou-internal.aliyuncs.com; location / { proxy_pass http://$h$request_uri; }",
        ),
        &[],
        &[ORIGIN],
        "",
    );
    expect(
        &pass(&format!(
            "location / {{ proxy_pass http://oss-cn-hangzhou-internal.aliyuncs.com; proxy_set_header Host {HOST}; }}"
        )),
        &[],
        &[ORIGIN],
        "ossgate connects to the addresses of `b-1.oss-cn-hangzhou-internal.aliyuncs.com`",
    );
    expect(
        &pass(
            "server_name ~^(?<bucket>b-1|b-2)\\.oss\\.example\\.com$; location / { proxy_pass http://$bucket.oss-cn-hangzhou-internal.aliyuncs.com; }",
        ),
        &[],
        &[
            "hosts = [\"b-1.oss.example.com\"]",
            ORIGIN,
            "origin = { bucket = \"b-2\", region = \"cn-hangzhou\", network = \"internal\", tls = false }",
        ],
        "",
    );
    let buckets = |list: &str, network: &str| {
        format!(
            "origin = {{ buckets = {list}, region = \"cn-hangzhou\", network = \"{network}\", tls = false }}"
        )
    };
    let team = buckets("[\"team-*\"]", "public");
    let wildcard = "hosts = [\"*.oss.example.com\"]";
    expect(
        &pass(
            "server_name ~^(?P<b>team-[a-z0-9-]+)\\.oss\\.example\\.com$; location / { proxy_pass http://$b.oss-cn-hangzhou.aliyuncs.com; proxy_set_header Host $b.oss-cn-hangzhou.aliyuncs.com; }",
        ),
        &[],
        &[wildcard, &team],
        "",
    );
    let named = buckets("[\"b-1\", \"team-*\"]", "public");
    for text in [
        "server_name ~^(?<bucket>.+)\\.oss\\.example\\.com$; location / { proxy_pass http://$bucket.oss-cn-hangzhou.aliyuncs.com; }",
        "server_name ~^(.+)\\.oss\\.example\\.com$; set $bucket $1; location / { proxy_pass http://$bucket.oss-cn-hangzhou.aliyuncs.com; }",
        "server_name *.oss.example.com; if ($host ~* ^([^.]+)\\.oss\\.example\\.com$) { set $bucket $1; } location / { proxy_pass http://$bucket.oss-cn-hangzhou.aliyuncs.com; }",
        "server_name *.oss.example.com; location / { proxy_pass http://oss-cn-hangzhou.aliyuncs.com; proxy_set_header Host $http_host; }",
    ] {
        expect(&pass(text), &["b-1", "team-*"], &[wildcard, &named], "");
        let (code, config, messages) = imported(&pass(text), &[]);
        assert_eq!((code, config.as_str()), (1, ""), "{messages}");
        assert!(
            messages.contains(
                "names no bucket: name each bucket that ossgate may serve with `--bucket NAME`"
            ),
            "{messages}"
        );
    }
    for text in [
        "server_name p.example.com; location / { proxy_pass http://oss-cn-hangzhou.aliyuncs.com; }",
        "server_name p.example.com; location ~ ^/([^/]+)/(.*)$ { proxy_pass http://$1.oss-cn-hangzhou.aliyuncs.com/$2$is_args$args; }",
    ] {
        expect(
            &pass(text),
            &["b-1", "team-*"],
            &["hosts = [\"p.example.com\"]", &named],
            "",
        );
    }
    expect(
        &pass(
            "location / { proxy_pass http://oss-cn-hangzhou.aliyuncs.com; proxy_set_header Host $host; }",
        ),
        &["b-1", "team-*"],
        &[
            "hosts = [\"*.oss-cn-hangzhou.aliyuncs.com\", \"*.oss-cn-hangzhou-internal.aliyuncs.com\"]",
            &named,
        ],
        "`hosts` is made from the endpoint",
    );
    expect(
        &pass(
            "server_name img.example.com; location / { proxy_pass http://oss-cn-hangzhou.aliyuncs.com; proxy_set_header Host $host; }",
        ),
        &["b-1"],
        &[
            "origin = { bucket = \"b-1\", region = \"cn-hangzhou\", network = \"public\", tls = false, host = \"img.example.com\" }",
        ],
        "it must be bound to the bucket",
    );
    let segments =
        "location ~ ^/(b-1|b-2)/ { proxy_pass http://$1.oss-cn-hangzhou-internal.aliyuncs.com; }";
    expect(
        &pass(segments),
        &[],
        &[
            "path = \"/b-1/\"",
            ORIGIN,
            "origin = { bucket = \"b-2\", region = \"cn-hangzhou\", network = \"internal\", tls = false }",
        ],
        "",
    );
    let named = "location ~ ^/(?<b>b-1)/ { rewrite ^/[^/]+/(.*)$ /$1 break; proxy_pass http://$b.oss-cn-hangzhou-internal.aliyuncs.com; }";
    let stripped = ORIGIN.replace(" }", ", strip_path = true }");
    expect(&pass(named), &[], &["path = \"/b-1/\"", &stripped], "");
    let private_link =
        "location / { proxy_pass http://ep-1.oss.cn-hangzhou.privatelink.aliyuncs.com; }";
    expect(
        &pass(private_link),
        &["b-1"],
        &[
            "origin = { buckets = [\"b-1\"], endpoint = \"ep-1.oss.cn-hangzhou.privatelink.aliyuncs.com\", tls = false }",
        ],
        "",
    );
    for (rest, note) in [
        (
            "location / { proxy_pass http://$http_x_bucket.oss-cn-hangzhou.aliyuncs.com; }",
            "the variable `$http_x_bucket` is not defined in these files",
        ),
        (
            "location / { proxy_pass http://$host; }",
            "anybody could reach any host",
        ),
        (
            "set $h a; if ($x) { set $h b; } location / { proxy_pass http://$h; }",
            "the value of `$h` cannot be carried over",
        ),
        (
            "set $h b-1.oss-cn-hangzhou.aliyuncs.com; location / { proxy_pass http://$h/; }",
            "nginx sends the same URI for every path",
        ),
        (
            "location ~ ^/(team-[0-9]+)/(.*)$ { proxy_pass http://$1.oss-cn-hangzhou.aliyuncs.com/$2; }",
            "only plain prefixes are",
        ),
    ] {
        let (code, config, messages) = imported(&pass(rest), &[]);
        assert_eq!((code, config.as_str()), (1, ""), "{rest}\n{config}");
        assert!(messages.contains(note), "{rest}\n{messages}");
    }
}

#[test]
fn responses_and_load_balancers_have_their_keys() {
    let pass = |rest: &str| {
        format!("server {{ listen 80; location / {{ proxy_pass http://{HOST}; {rest} }} }}")
    };
    for (rest, line, note) in [
        (
            "error_page 404 /404.html; proxy_intercept_errors on;",
            "website = { error = \"404.html\" }",
            "",
        ),
        (
            "error_page 403 404 =200 /app/index.html; proxy_intercept_errors on;",
            "website = { error = \"app/index.html\", error_status = 200 }",
            "",
        ),
        (
            "error_page 404 /404.html; index index.html index.htm;",
            "website = { index = \"index.html\", subdirectories = \"not-found\", error = \"404.html\" }",
            "without `proxy_intercept_errors on`, nginx passes on the 404 of OSS",
        ),
        (
            "rewrite ^/$ /home.html break;",
            "website = { index = \"home.html\", subdirectories = \"not-found\" }",
            "",
        ),
        (
            "rewrite ^(.*)/$ $1/index.html break;",
            "website = { index = \"index.html\", subdirectories = \"not-found\" }",
            "",
        ),
        (
            "index start.html;",
            "website = { index = \"start.html\", subdirectories = \"not-found\" }",
            "nginx ignores `index` where it proxies",
        ),
        (
            "error_page 404 @other; proxy_hide_header X-Oss-Force-Download;",
            "preview = { strip_force_download = true }",
            "`error_page` is not carried over",
        ),
        (
            "proxy_hide_header x-oss-request-id; proxy_hide_header content-disposition;",
            "preview = { strip_force_download = true }",
            "`proxy_hide_header x-oss-request-id` is not carried over",
        ),
        (
            "add_header Access-Control-Allow-Origin *;",
            "cors = { rules = [{ origins = [\"*\"], methods = [\"GET\", \"HEAD\"] }] }",
            "",
        ),
        (
            "add_header 'Access-Control-Allow-Origin' 'https://a.cn' always; add_header Access-Control-Allow-Methods 'GET, POST, OPTIONS'; add_header Access-Control-Allow-Headers 'Content-Type,X-Requested-With'; add_header Access-Control-Max-Age 1728000; if ($request_method = 'OPTIONS') { return 204; }",
            "cors = { rules = [{ origins = [\"https://a.cn\"], methods = [\"GET\", \"HEAD\", \"POST\"], headers = [\"Content-Type\", \"X-Requested-With\"], max_age = \"1728000s\" }] }",
            "",
        ),
        (
            "add_header Access-Control-Allow-Origin $http_origin; add_header Access-Control-Allow-Credentials true;",
            "cors = { rules = [{ origins = [\"*\"], methods = [\"GET\", \"HEAD\"] }] }",
            "`Access-Control-Allow-Credentials` is not carried over",
        ),
    ] {
        expect(&pass(rest), &[], &[ORIGIN, line], note);
    }
    let server = |listen: &str, rest: &str| {
        format!("server {{ listen {listen}; {rest} location / {{ proxy_pass http://{HOST}; }} }}")
    };
    let trusted =
        "set_real_ip_from 100.64.0.0/10; set_real_ip_from 10.1.2.3; real_ip_header proxy_protocol;";
    expect(
        &server("80 proxy_protocol", trusted),
        &[],
        &[
            "proxy_protocol = \"any\"",
            "trusted_proxies = [\"100.64.0.0/10\", \"10.1.2.3\"]",
            ORIGIN,
        ],
        "",
    );
    expect(
        &server("80 proxy_protocol", ""),
        &[],
        &[
            "proxy_protocol = \"any\"",
            "trusted_proxies = [\"0.0.0.0/0\", \"::/0\"]",
            ORIGIN,
        ],
        "accepts the PROXY header from every peer",
    );
    let forwarded = "set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For;";
    expect(
        &server("80", forwarded),
        &[],
        &["trusted_proxies = [\"10.0.0.0/8\"]", ORIGIN],
        "",
    );
    let only_tls = format!(
        "server {{ listen 80; server_name a.cn; location / {{ proxy_pass http://{HOST}; }} }}\n\
         server {{ listen 443 ssl; server_name b.cn; ssl_certificate /c.pem; ssl_certificate_key /k.pem; location / {{ proxy_pass http://{HOST}; }} }}"
    );
    let (code, config, _) = imported(&only_tls, &[]);
    assert_eq!(code, 0);
    assert!(
        config.contains("hosts = [\"b.cn\"]\n")
            && config.ends_with("https = { mode = \"require\" }\n"),
        "{config}"
    );
}

#[test]
fn rewrites_become_paths_and_prefixes() {
    let server = |rest: &str| format!("server {{ listen 80; {rest} }}");
    let with = |more: &str| ORIGIN.replace(" }", &format!(", {more} }}"));
    for (rest, lines) in [
        (
            "location /img/ { rewrite ^/img/(.*)$ /$1 break; PASS; }",
            vec!["path = \"/img/\"".to_owned(), with("strip_path = true")],
        ),
        (
            "location / { rewrite ^/img/(.*)$ /$1 break; PASS; }",
            vec![
                ORIGIN.to_owned(),
                "path = \"/img/\"".to_owned(),
                with("strip_path = true"),
            ],
        ),
        (
            "location / { rewrite ^/(.*)$ /site/$1 break; PASS; }",
            vec![with("prefix = \"site/\"")],
        ),
        (
            "location \"/my files/\" { PASS/; }",
            vec![
                "path = \"/my%20files/\"".to_owned(),
                with("strip_path = true"),
            ],
        ),
        (
            "location / { try_files $uri @oss; } location @oss { PASS; proxy_set_header Host $proxy_host; }",
            vec![ORIGIN.to_owned()],
        ),
    ] {
        let rest = rest.replace("PASS", &format!("proxy_pass http://{HOST}"));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        expect(&server(&rest), &[], &lines, "");
    }
}
