//! TLS towards clients.
//!
//! Rows: the certificate by exact name, wildcard and default, and the refusal of other names; ALPN; HTTP/2
//! requests that become HTTP/1.1 requests to the origin; a Host that differs from the authority. Left out: TLS
//! towards the origin (`origin/tls`), HTTP/2 frames (`http2`, `frame_budget`), renewal of certificates
//! (`process/lifecycle`).

use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::certificates::{self, Leaf};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, bucket_at};
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
