//! HTTPS enforcement: redirects, refusals, HSTS, trusted proxies.

use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, bucket_at, header, proxy, status};

#[tokio::test(flavor = "multi_thread")]
async fn clear_text_is_redirected_to_the_same_target_byte_for_byte() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(origin.address, "https = {}");
    for (request, expected, location) in [
        (
            "GET /a%2Fb//..?x=%20&y HTTP/1.1\r\nhost: Img.Example.com\r\n",
            301,
            "https://Img.Example.com/a%2Fb//..?x=%20&y",
        ),
        (
            "HEAD / HTTP/1.1\r\nhost: img.example.com:8080\r\n",
            301,
            "https://img.example.com/",
        ),
        (
            "PUT /k HTTP/1.1\r\nhost: img.example.com\r\ncontent-length: 0\r\n",
            308,
            "https://img.example.com/k",
        ),
        (
            "GET /k HTTP/1.1\r\nhost: [2001:db8::1]\r\n",
            301,
            "https://[2001:db8::1]/k",
        ),
        (
            "GET /k HTTP/1.1\r\nhost: img.example.com\r\nx-forwarded-proto: https\r\n",
            301,
            "https://img.example.com/k",
        ),
    ] {
        let answer = proxy
            .text(&format!("{request}connection: close\r\n\r\n"))
            .await;
        assert_eq!(status(&answer), expected, "{answer}");
        assert_eq!(header(&answer, "location"), [location]);
        assert!(header(&answer, "strict-transport-security").is_empty());
    }
    assert_eq!(origin.received().len(), 0);
    let challenge = proxy
        .get("img.example.com", "/.well-known/acme-challenge/token")
        .await;
    assert_eq!(
        status(&challenge),
        200,
        "a certificate authority sends its request over clear text"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn require_refuses_and_a_request_without_host_cannot_be_redirected() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let answer = proxy(origin.address, "https = { mode = \"require\" }")
        .get("x", "/k")
        .await;
    assert_eq!(status(&answer), 403, "{answer}");
    assert!(
        answer.contains("<Code>ProxyHttpsRequired</Code>"),
        "{answer}"
    );
    let answer = proxy(origin.address, "https = {}")
        .text("GET /k HTTP/1.0\r\n\r\n")
        .await;
    assert_eq!(status(&answer), 403, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_reports_the_scheme_of_its_client() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = Proxy::start(&format!(
        "[server]\nworkers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
         [[route]]\n{}\nhttps = {{ port = 8443, hsts = {{ max_age = \"1h\", include_subdomains = true }} }}\n",
        bucket_at(origin.address)
    ));
    let ask = |proto: &str| {
        format!(
            "GET /k HTTP/1.1\r\nhost: a.cn\r\nx-forwarded-proto: {proto}\r\nconnection: close\r\n\r\n"
        )
    };
    let answer = proxy.text(&ask("https")).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(
        header(&answer, "strict-transport-security"),
        ["max-age=3600; includeSubDomains"]
    );
    let answer = proxy.text(&ask("http")).await;
    assert_eq!(status(&answer), 301);
    assert_eq!(header(&answer, "location"), ["https://a.cn:8443/k"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hsts_is_on_every_response_over_tls_and_on_none_over_clear_text() {
    // The origin is stopped, so the proxy responds with 502.
    let gone = RawOrigin::start(|_| ok("x")).await.address;
    let proxy = Proxy::start(&format!(
        "[server]\nworkers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [[route]]\n{}\nmethods = [\"GET\"]\nhttps = {{ hsts = {{ preload = true, include_subdomains = true }} }}\n\
         cors = {{ rules = [{{ origins = [\"https://a.example\"], methods = [\"GET\"] }}] }}\n",
        bucket_at(gone)
    ));
    let preflight = |method: &str| {
        format!("origin: https://a.example\r\naccess-control-request-method: {method}\r\n")
    };
    for (method, headers, over_tls, over_clear_text) in [
        ("GET", String::new(), 502, 301),
        ("DELETE", String::new(), 405, 308),
        ("OPTIONS", preflight("GET"), 200, 200),
        ("OPTIONS", preflight("PUT"), 403, 403),
    ] {
        let request = |proto: &str| {
            format!(
                "{method} /k HTTP/1.1\r\nhost: a.cn\r\nx-forwarded-proto: {proto}\r\n{headers}connection: close\r\n\r\n"
            )
        };
        let answer = proxy.text(&request("https")).await;
        assert_eq!(status(&answer), over_tls, "{answer}");
        let hsts = header(&answer, "strict-transport-security");
        assert_eq!(hsts, ["max-age=31536000; includeSubDomains; preload"]);
        let answer = proxy.text(&request("http")).await;
        assert_eq!(status(&answer), over_clear_text, "{answer}");
        assert!(
            header(&answer, "strict-transport-security").is_empty(),
            "{answer}"
        );
    }
}
