//! Header fields that nginx changes, in imported files.
//!
//! Rows: each directive with the keys that it becomes, or the note about it; the fields that clients and OSS get,
//! compared with nginx. Left out: the fields of CORS and HSTS, and forced downloads (`import_forms`); what
//! ossgate does with the keys (`policy/headers`, `origin/headers`).

use ossgate::cli::import::Losses;

use crate::support::import::{PASS, expect_config, nginx};
use crate::support::nginx::Nginx;
use crate::support::nginx_pair::{World, answers, hosts, imported};
use crate::support::origin::{Received, Reply};
use crate::support::proxy::header;

#[test]
fn directives_about_header_fields_become_keys() {
    for (directives, part, note) in [
        (
            "add_header X-Frame-Options DENY always;",
            "headers = [{ add = { X-Frame-Options = \"DENY\" } }]",
            "",
        ),
        (
            "add_header X-Frame-Options DENY;",
            "headers = [{ add = { X-Frame-Options = \"DENY\" } }]",
            "`add_header X-Frame-Options` has no `always`: ossgate sets the field on responses with any status",
        ),
        (
            "add_header X-A 1 always; add_header x-a 2 always;",
            "headers = [{ add = { X-A = \"1\" } }, { add = { x-a = \"2\" } }]",
            "",
        ),
        (
            "add_header Content-Type text/plain always;",
            "headers = [{ set = { Content-Type = \"text/plain\" } }]",
            "",
        ),
        (
            "proxy_hide_header Cache-Control; add_header Cache-Control \"public, max-age=60\";",
            "headers = [{ set = { Cache-Control = \"public, max-age=60\" } }]",
            "",
        ),
        (
            "proxy_hide_header X-Oss-Server-Time; proxy_hide_header x-oss-server-time;",
            "headers = [{ remove = [\"x-oss-server-time\"] }]",
            "",
        ),
        (
            "expires 30d;",
            "headers = [{ set = { Cache-Control = \"max-age=2592000\" }, remove = [\"expires\"] }]",
            "",
        ),
        (
            "expires -1;",
            "headers = [{ set = { Cache-Control = \"no-cache\" }, remove = [\"expires\"] }]",
            "",
        ),
        (
            "expires max;",
            "headers = [{ set = { Cache-Control = \"max-age=315360000\" }, remove = [\"expires\"] }]",
            "",
        ),
        ("expires off;", "", ""),
        ("expires @15h30m;", "", "`expires` is not carried over"),
        ("expires $time;", "", "`expires` is not carried over"),
        ("expires modified +1d;", "", "`expires` is not carried over"),
        (
            "more_set_headers 'X-A: 1' \"X-B: b c\"; more_clear_headers Server;",
            "headers = [{ set = { X-A = \"1\", X-B = \"b c\" }, remove = [\"server\"] }]",
            "",
        ),
        (
            "more_set_headers -s 404 'X-A: 1';",
            "",
            "`more_set_headers` is not carried over: options and patterns are not supported",
        ),
        (
            "add_header X-Cache $upstream_cache_status;",
            "",
            "`add_header X-Cache` is not carried over: its value has a variable",
        ),
        (
            "add_header ETag x;",
            "",
            "`add_header ETag` is not carried over: the field identifies one version",
        ),
        (
            "proxy_hide_header X-Oss-Request-Id;",
            "",
            "`proxy_hide_header x-oss-request-id` is not carried over: the field shows whether OSS answered",
        ),
        (
            "proxy_hide_header Vary; add_header Access-Control-Allow-Origin *;",
            "cors = ",
            "`proxy_hide_header vary` is not carried over: the field would lose the `Vary: Origin` of `cors`",
        ),
        (
            "proxy_set_header X-Tenant t1; proxy_set_header Cookie '';",
            "headers = { set = { X-Tenant = \"t1\" }, remove = [\"cookie\"] } }",
            "",
        ),
        (
            "proxy_set_header X-${a}b c;",
            "",
            "is not carried over: the field is not the name of a header field",
        ),
        (
            "proxy_set_header if-none-match '';",
            "",
            "`proxy_set_header if-none-match` is not carried over: the field decides which response OSS sends",
        ),
        (
            "proxy_set_header X-Forwarded-Proto https;",
            "",
            "the header `x-forwarded-proto` is not carried over",
        ),
    ] {
        let text = format!("server {{ listen 80; location / {{ {directives} {PASS} }} }}");
        expect_config(&text, part);
        let outcome = nginx(&text, Losses::Stop);
        assert!(
            outcome.messages.contains(note),
            "{text}\n{}",
            outcome.messages
        );
        let has_keys = outcome.config.contains("headers = ");
        assert_eq!(has_keys, part.contains("headers = "), "{}", outcome.config);
    }
}

#[test]
fn an_inner_block_replaces_the_fields_of_the_outer_one() {
    let outer = "add_header X-A 1 always; proxy_set_header X-B 2; proxy_set_header Authorization ''; \
                 proxy_hide_header X-C; expires 1h;";
    let inner =
        "add_header X-D 3 always; proxy_set_header X-E 4; proxy_hide_header X-F; expires off;";
    let text = format!("server {{ {outer} location / {{ {inner} {PASS} }} }}");
    expect_config(&text, "headers = { set = { X-E = \"4\" } } }\n");
    expect_config(
        &text,
        "headers = [{ add = { X-D = \"3\" }, remove = [\"x-f\"] }]",
    );
}

#[test]
fn limits_of_nginx_that_ossgate_does_not_have_are_noted() {
    let text = format!("server {{ listen 80; location / {{ {PASS} }} }}");
    let note = "without `client_max_body_size`, nginx refuses bodies of more than 1 MiB";
    let outcome = nginx(&text, Losses::Stop);
    assert!(outcome.messages.contains(note), "{}", outcome.messages);
    let text = format!("server {{ listen 80; client_max_body_size 0; location / {{ {PASS} }} }}");
    let outcome = nginx(&text, Losses::Stop);
    assert!(!outcome.messages.contains("1 MiB"), "{}", outcome.messages);
    let text = format!(
        "server {{ listen 443 ssl; ssl_protocols TLSv1.3; ssl_ciphers ECDHE-RSA-AES256-GCM-SHA384; location / {{ {PASS} }} }}"
    );
    let outcome = nginx(&text, Losses::Stop);
    for note in [
        "a.conf:1: `ssl_protocols` is not carried over: ossgate also accepts TLSv1.2",
        "a.conf:1: `ssl_ciphers` is not carried over: ",
    ] {
        assert!(outcome.messages.contains(note), "{}", outcome.messages);
    }
    let text = format!(
        "server {{ listen 80; server_name a.cn; return 403; }} server {{ listen 443 ssl; server_name a.cn; location / {{ {PASS} }} }} server {{ listen 80; server_name b.cn; location / {{ {PASS} }} }}"
    );
    let outcome = nginx(&text, Losses::Stop);
    let note = "not for paths below `/.well-known/acme-challenge/`";
    assert!(outcome.messages.contains(note), "{}", outcome.messages);
}

/// Responds with fields of OSS, and with fields of the request.
fn fields(request: &Received) -> Reply {
    let value = |name: &str| {
        let values = request.header(name);
        let values = values.iter().map(|value| String::from_utf8_lossy(value));
        values.collect::<Vec<_>>().join("+")
    };
    Reply::Close(
        format!(
            "HTTP/1.1 200 OK\r\nx-got: {}|{}\r\nx-oss-server-time: 1\r\ncache-control: private\r\nexpires: 0\r\ncontent-length: 0\r\n\r\n",
            value("x-tenant"),
            value("cookie")
        )
        .into_bytes(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_header_fields_are_those_of_nginx() {
    let world = World::start(fields).await;
    let pass = "proxy_pass http://examplebucket.oss-cn-hangzhou-internal.aliyuncs.com;";
    let text = format!(
        "server {{\nlisten 80;\nserver_name a.example.com;\nadd_header X-A outer always;\nproxy_set_header X-Tenant t1;\n\
         proxy_hide_header X-Oss-Server-Time;\nlocation / {{ {pass} }}\n\
         location /own/ {{ add_header X-A 1; add_header X-A 2; add_header Link x; proxy_set_header Cookie \"\"; {pass} }}\n\
         location /time/ {{ expires 1h; proxy_hide_header Nothing; {pass} }}\n\
         location /hidden/ {{ proxy_hide_header Cache-Control; add_header Cache-Control no-store; {pass} }}\n}}\n"
    );
    let (code, config, notes) = imported(&text, &[], Losses::Stop);
    assert_eq!(code, 0, "{notes}");
    let nginx = Nginx::start(&text, &hosts(), world.origin.address).await;
    let (proxy, clear) = world.ossgate(&config);
    for target in ["/a", "/own/a", "/%6Fwn/a", "/time/a", "/hidden/a"] {
        let request = format!("GET a.example.com {target} cookie: c");
        let [of_nginx, of_ossgate] = answers(&nginx, (&proxy, clear), &request, "").await;
        for name in ["x-got", "x-a", "link", "cache-control", "x-oss-server-time"] {
            assert_eq!(
                header(&of_ossgate, name),
                header(&of_nginx, name),
                "{target} {name}\n{of_nginx}\n{of_ossgate}\n{config}"
            );
        }
        assert_eq!(header(&of_nginx, "x-got").len(), 1, "{of_nginx}");
    }
}
