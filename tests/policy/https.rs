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

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_request_or_one_with_a_body_is_refused_and_not_redirected() {
    const CLOSE: &str = "host: img.example.com\r\nconnection: close\r\n\r\n";
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(origin.address, "https = {}");
    let v1 = "OSSAccessKeyId=a&Expires=1&Signature=b";
    for (request, reason) in [
        (
            "GET /k HTTP/1.1\r\nauthorization: OSS a:b\r\n".to_owned(),
            "SDKs",
        ),
        (
            "HEAD /k HTTP/1.1\r\nAuthorization:OSS2 a\r\n".to_owned(),
            "",
        ),
        (
            "GET /k HTTP/1.1\r\nauthorization: OSS4-HMAC-SHA256 Credential=a\r\n".to_owned(),
            "SDKs",
        ),
        (
            "GET /k HTTP/1.1\r\nauthorization: AWS a:b\r\n".to_owned(),
            "SDKs",
        ),
        (
            "PUT /k HTTP/1.1\r\ncontent-length: 0\r\nauthorization: AWS4-HMAC-SHA256 a\r\n"
                .to_owned(),
            "SDKs",
        ),
        (format!("GET /k?{v1} HTTP/1.1\r\n"), "SDKs"),
        (
            "GET /k?OSSAccessKeyId=a&Expires=1&%53ignature=b HTTP/1.1\r\n".to_owned(),
            "SDKs",
        ),
        (
            "GET /k?a=b&x-oss-signature=c HTTP/1.1\r\n".to_owned(),
            "SDKs",
        ),
        ("GET /k?X-Amz-Algorithm=a HTTP/1.1\r\n".to_owned(), "SDKs"),
        (
            "PUT /k HTTP/1.1\r\ncontent-length: 1\r\n".to_owned(),
            "body would be lost",
        ),
        (
            "POST /k HTTP/1.1\r\ntransfer-encoding: chunked\r\n".to_owned(),
            "body would be lost",
        ),
        (
            "GET /k HTTP/1.1\r\ncontent-length: 1\r\n".to_owned(),
            "body would be lost",
        ),
    ] {
        let body = if request.contains("chunked") {
            "1\r\nx\r\n0\r\n\r\n"
        } else if request.contains("content-length: 1") {
            "x"
        } else {
            ""
        };
        let answer = proxy.text(&format!("{request}{CLOSE}{body}")).await;
        assert_eq!(status(&answer), 403, "{request}: {answer}");
        assert!(header(&answer, "location").is_empty(), "{answer}");
        assert_eq!(header(&answer, "x-ossgate-error"), ["https_required"]);
        let is_named =
            answer.contains("<Code>ProxyHttpsRequired</Code>") && answer.contains(reason);
        assert!(
            is_named || request.starts_with("HEAD"),
            "{request}: {answer}"
        );
    }
    for (request, expected) in [
        ("GET /k HTTP/1.1\r\nauthorization:\r\n", 301),
        ("GET /k HTTP/1.1\r\nauthorization: Basic eA==\r\n", 301),
        ("GET /k HTTP/1.1\r\nauthorization: oss a:b\r\n", 301),
        ("GET /k?Signature=b HTTP/1.1\r\n", 301),
        ("GET /k HTTP/1.1\r\ncontent-length: 0\r\n", 301),
        ("DELETE /k HTTP/1.1\r\n", 308),
    ] {
        let answer = proxy.text(&format!("{request}{CLOSE}")).await;
        assert_eq!(status(&answer), expected, "{request}: {answer}");
    }
    let at = |target: &str| http::Request::get(format!("http://img.example.com{target}"));
    let refused = (403, "https_required".to_owned());
    let answer = proxy
        .http2(at("/k").header("Authorization", "OSS a:b"), "")
        .await;
    assert_eq!(answer, refused, "signed, HTTP/2");
    assert_eq!(proxy.http2(at("/k?x-oss-signature=a"), "").await, refused);
    assert_eq!(proxy.http2(at("/k").method("PUT"), "x").await, refused);
    assert_eq!(proxy.http2(at("/k"), "").await, (301, String::new()));
    assert_eq!(origin.received().len(), 0);
}
