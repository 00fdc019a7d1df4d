//! TLS towards clients.
//!
//! Rows: the certificate by exact name, wildcard and default, and the refusal of other names; ALPN; HTTP/2
//! requests that become HTTP/1.1 requests to the origin; a Host that differs from the authority; a Host that the
//! certificate is not for. Left out: TLS
//! towards the origin (`origin/tls`), HTTP/2 frames (`http2`, `frame_budget`), renewal of certificates
//! (`process/lifecycle`).

use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::certificates::{self, Leaf};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, bucket_at, header, status};
use crate::support::tls;

fn text(leaves: &[(&Leaf, bool)], route: &str) -> String {
    let mut text = format!(
        "[server]\nworkers = 1\ndrain_timeout = \"5s\"\n[[listener]]\naddress = \"127.0.0.1:0\"\ntls = true\n[[route]]\n{route}\n"
    );
    for (leaf, is_default) in leaves {
        let (cert, key) = (&leaf.cert, &leaf.key);
        text.push_str(&format!(
            "[[certificate]]\ncert = {cert:?}\nkey = {key:?}\ndefault = {is_default}\n"
        ));
    }
    text
}

async fn connect(
    proxy: &Proxy,
    ca: &Leaf,
    name: &str,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    tls::connect_to(proxy.address, ca, name, alpn).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_is_chosen_by_name_then_wildcard_then_default() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let (exact, wildcard) = (
        certificates::leaf(&["a.example"]),
        certificates::leaf(&["*.b.example"]),
    );
    let proxy = Proxy::start(&text(
        &[(&exact, false), (&wildcard, false)],
        &bucket_at(origin.address),
    ));
    assert!(connect(&proxy, &exact, "a.example", &[]).await.is_ok());
    assert!(connect(&proxy, &wildcard, "x.b.example", &[]).await.is_ok());
    for name in ["b.example", "x.y.b.example", "other.example"] {
        let refused = connect(&proxy, &wildcard, name, &[])
            .await
            .unwrap_err()
            .to_string();
        assert!(
            !refused.contains("certificate"),
            "the client refused, not the proxy: {name}: {refused}"
        );
    }
    let proxy = Proxy::start(&text(
        &[(&exact, true), (&wildcard, false)],
        &bucket_at(origin.address),
    ));
    let refused = connect(&proxy, &exact, "other.example", &[])
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("certificate"),
        "the proxy did not send its default certificate: {refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_requests_are_served_and_reach_the_origin_as_http1() {
    let origin = RawOrigin::start(|_| ok("hello")).await;
    let leaf = certificates::leaf(&["a.example"]);
    let proxy = Proxy::start(&text(&[(&leaf, true)], &bucket_at(origin.address)));
    let stream = connect(&proxy, &leaf, "a.example", &["h2", "http/1.1"])
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = |uri: &str| {
        http::Request::builder()
            .uri(uri)
            .header("x-oss-meta-a", "1")
            .body(Empty::<bytes::Bytes>::new())
            .unwrap()
    };
    let answer = sender
        .send_request(request("https://a.example/k%2F?x"))
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("x-ossgate-request-id"));
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "hello"
    );
    assert_eq!(origin.received()[0].line(), "GET /k%2F?x HTTP/1.1");
    assert_eq!(
        origin.received()[0].header("host"),
        [b"examplebucket.oss.test".to_vec()]
    );
    let mut differing = request("https://a.example/k");
    differing
        .headers_mut()
        .insert("host", http::HeaderValue::from_static("b.example"));
    assert_eq!(sender.send_request(differing).await.unwrap().status(), 400);
    assert_eq!(origin.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_the_chosen_certificate_is_not_for_is_misdirected() {
    let origin = RawOrigin::start(|_| ok("hello")).await;
    let (one, other) = (
        certificates::leaf(&["a.example", "*.wild.example", "shared.example"]),
        certificates::leaf(&["b.example", "shared.example"]),
    );
    for (is_default, unknown) in [(false, 421), (true, 200)] {
        let leaves = [(&other, false), (&one, is_default)];
        let proxy = Proxy::start(&text(&leaves, &bucket_at(origin.address)));
        for (host, expected) in [
            ("a.example", 200),
            ("A.Example:8443", 200),
            ("a.example.", 200),
            ("x.wild.example", 200),
            ("X.WILD.example", 200),
            ("shared.example", 200),
            ("b.example", 421),
            ("B.EXAMPLE.:443", 421),
            ("x.y.wild.example", unknown),
            ("other.example", unknown),
            ("203.0.113.7", unknown),
            ("a b", 400),
        ] {
            let case = format!("default {is_default}, {host}");
            let mut stream = connect(&proxy, &one, "a.example", &[]).await.unwrap();
            let request = format!("GET /k HTTP/1.1\r\nhost: {host}\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert_eq!(status(&answer), expected, "{case}: {answer}");
            let kinds = match expected {
                421 => vec!["misdirected"],
                400 => vec!["bad_request"],
                _ => Vec::new(),
            };
            assert_eq!(header(&answer, "x-ossgate-error"), kinds, "{case}");
        }
        let alpn = ["h2"];
        let stream = connect(&proxy, &one, "a.example", &alpn).await.unwrap();
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        for (uri, expected) in [
            ("https://b.example/k", 421),
            ("https://a.example/k", 200),
            ("https://x.wild.example:443/k", 200),
        ] {
            let request = http::Request::get(uri).body(Empty::<bytes::Bytes>::new());
            let answer = sender.send_request(request.unwrap()).await.unwrap();
            assert_eq!(answer.status(), expected, "{uri}");
        }
    }
    // An unknown server name gets the default certificate, and its Host is served.
    let leaves = [(&other, false), (&one, true)];
    let proxy = Proxy::start(&text(&leaves, &bucket_at(origin.address)));
    for (name, host, expected) in [
        ("unknown.example", "unknown.example", 200),
        ("unknown.example", "b.example", 421),
        // Without a server name nothing is checked: rustls sends none for an address.
        ("127.0.0.1", "b.example", 200),
    ] {
        let mut stream = tls::connect_unverified(proxy.address, name).await;
        let request = format!("GET /k HTTP/1.1\r\nhost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(status(&answer), expected, "{name} {host}: {answer}");
    }
}
