//! TLS and HTTP/2 towards clients, TLS towards the origin, and the end of connections.
//!
//! Rows: names, wildcards, default and refusal; ALPN; HTTP/2 requests and shapes that must not pass;
//! verified TLS to the origin; drain of idle, busy and HTTP/2 connections. Left out: HTTP/2 frame
//! attacks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::certificates::{self, Leaf};
use crate::support::origin::{RawOrigin, Reply, ok};
use crate::support::proxy::{Proxy, bucket_at, one_route, status};

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
    connect_to(proxy.address, ca, name, alpn).await
}

/// A TLS connection to `address`, whose certificate must be for `name` and signed by `ca`.
pub(crate) async fn connect_to(
    address: SocketAddr,
    ca: &Leaf,
    name: &str,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    handshake(TcpStream::connect(address).await.unwrap(), ca, name, alpn).await
}

/// [`connect_to`] on a connection that is there already.
pub(crate) async fn handshake(
    socket: TcpStream,
    ca: &Leaf,
    name: &str,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(rustls::pki_types::CertificateDer::from_pem_slice(ca.ca_pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
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
            "refused by the proxy, not by the client: {name}: {refused}"
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
        "the default answered: {refused}"
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
async fn http2_by_its_preface_on_a_plain_listener() {
    let origin = RawOrigin::start(|_| ok("hello")).await;
    let proxy = Proxy::start(&one_route(&bucket_at(origin.address)));
    let socket = TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::builder()
        .uri("http://a.example/k")
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
}

/// An origin behind TLS, with the certificate of `leaf`.
pub(crate) async fn tls_origin(leaf: &Leaf) -> SocketAddr {
    tls_origin_at(leaf, ([127, 0, 0, 1], 0).into()).await
}

pub(crate) async fn tls_origin_at(leaf: &Leaf, address: SocketAddr) -> SocketAddr {
    let plain = RawOrigin::start(|_| ok("secret")).await;
    let chain = rustls::pki_types::CertificateDer::pem_file_iter(&leaf.cert)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(&leaf.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let plain = plain;
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (acceptor, inner) = (acceptor.clone(), plain.address);
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else {
                    return;
                };
                let mut socket = TcpStream::connect(inner).await.unwrap();
                let _ended = tokio::io::copy_bidirectional(&mut stream, &mut socket).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origins_certificate_must_be_trusted_and_of_its_name() {
    let leaf = certificates::leaf(&["oss.test"]);
    let address = tls_origin(&leaf).await;
    let route = |more: &str| {
        format!(
            "origin = {{ bucket = \"examplebucket\", endpoint = \"{address}\", host = \"h\"{more} }}"
        )
    };
    for (more, code) in [
        (
            format!(", ca = {:?}, server_name = \"oss.test\"", leaf.ca),
            200,
        ),
        (
            format!(", ca = {:?}, server_name = \"other.test\"", leaf.ca),
            502,
        ),
        (", server_name = \"oss.test\"".to_owned(), 502),
    ] {
        let proxy = Proxy::start(&one_route(&route(&more)));
        let answer = proxy.get("x", "/k").await;
        assert_eq!(status(&answer), code, "{more}: {answer}");
        assert_eq!(
            answer.contains("<Code>UpstreamTlsFailure</Code>"),
            code == 502,
            "{answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_closes_idle_connections_and_lets_running_requests_finish() {
    let (let_go, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let origin = RawOrigin::start(move |request| {
        if request.line().contains("slow") {
            // The answer waits for the drain to have begun.
            tell.send(()).unwrap();
            tokio::task::block_in_place(|| gate.lock().unwrap().recv()).unwrap();
        }
        ok("done")
    })
    .await;
    let mut proxy = Proxy::start(&one_route(&bucket_at(origin.address)));
    let mut idle = TcpStream::connect(proxy.address).await.unwrap();
    idle.write_all(b"GET /k HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 15];
    idle.read_exact(&mut first).await.unwrap();
    let mut busy = TcpStream::connect(proxy.address).await.unwrap();
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    told.recv().await.unwrap();
    let address = proxy.address;
    let draining = tokio::spawn(async move {
        proxy.drain().await;
        proxy
    });
    let mut rest = String::new();
    idle.read_to_string(&mut rest).await.unwrap();
    // The idle connection has ended, so the drain has begun.
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(5), refused)
        .await
        .unwrap();
    let_go.send(()).unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.ends_with("done") && answer.contains("connection: close"),
        "{answer}"
    );
    let proxy = tokio::time::timeout(Duration::from_secs(5), draining)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(proxy.stop().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_origin_does_not_outlive_the_stop() {
    let origin = RawOrigin::start(|_| Reply::Silent).await;
    let proxy = Proxy::start(&one_route(&bucket_at(origin.address)));
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    socket
        .write_all(b"GET /k HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    while origin.received().is_empty() {
        tokio::task::yield_now().await;
    }
    let lines = proxy.stop();
    assert_eq!(lines[0]["status"], 499);
    assert_eq!(lines[0]["aborted"], true);
}
