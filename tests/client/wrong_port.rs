//! Plain HTTP on a listener with TLS, and TLS on a listener without.
//!
//! Rows: methods, Hosts, heads that are no HTTP, bodies and pieces of any size on a listener with TLS; the health
//! path there; HTTP/2 with prior knowledge; the same behind a PROXY header; a ClientHello on a listener without
//! TLS, with and without HTTP/2. Left out: the counters and the log of failed handshakes (`tls_failures`).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::certificates;
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, bucket_at, header, one_route, status};
use crate::support::tls;

fn with_tls(origin: &RawOrigin, listener: &str) -> Proxy {
    let leaf = certificates::leaf(&["a.example"]);
    let route = format!(
        "{}\n[[certificate]]\ncert = {:?}\nkey = {:?}",
        bucket_at(origin.address),
        leaf.cert,
        leaf.key
    );
    let text = one_route(&route).replace(":0\"\n", &format!(":0\"\ntls = true\n{listener}\n"));
    Proxy::start(&text)
}

/// Sends `bytes` in pieces of `size`, and returns the response.
async fn send(proxy: &Proxy, bytes: &[u8], size: usize) -> String {
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    for piece in bytes.chunks(size) {
        socket.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_on_a_port_with_tls_is_answered_400_and_told_the_https_form() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = with_tls(&origin, "health_path = \"/health\"");
    let get = |host: &str| format!("GET /k?Signature=secret HTTP/1.1\r\n{host}\r\n");
    let long = format!("x-long: {}\r\n", "x".repeat(100_000));
    let mut count = 0;
    for (request, url) in [
        (get("host: a.example\r\n"), Some("https://a.example/")),
        (
            get("HOST: A.Example:8443\r\n"),
            Some("https://A.Example:8443/"),
        ),
        (get("host: [::1]:8443\r\n"), Some("https://[::1]:8443/")),
        (get("host: 203.0.113.7\r\n"), Some("https://203.0.113.7/")),
        (
            "GET http://b.example/%6B HTTP/1.1\r\nhost: b.example\r\n\r\n".to_owned(),
            Some("https://b.example/"),
        ),
        (
            "PUT /k HTTP/1.1\r\nhost: a.example\r\ncontent-length: 5\r\n\r\nhello".to_owned(),
            Some("https://a.example/"),
        ),
        // A health check of HTTP without TLS must not find the node good.
        (
            "GET /health HTTP/1.1\r\nhost: a.example\r\n\r\n".to_owned(),
            Some("https://a.example/"),
        ),
        ("GET /%68ealth HTTP/1.0\r\n\r\n".to_owned(), None),
        ("\r\nGET / HTTP/1.0\r\n\r\n".to_owned(), None),
        (get(""), None),
        (get("host: a.example\r\nhost: b.example\r\n"), None),
        (get("host: a.example/<b>\r\n"), None),
        (get("host: user@a.example\r\n"), None),
        (get("host : a.example\r\n"), None),
        (get(&long), None),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), None),
    ] {
        for size in [1, 5, usize::MAX] {
            // A hundred thousand pieces take too long.
            if size == 1 && request.len() > 10_000 {
                continue;
            }
            count += 1;
            let answer = send(&proxy, request.as_bytes(), size.min(request.len())).await;
            assert_eq!(status(&answer), 400, "{request:.200}: {answer}");
            assert_eq!(header(&answer, "x-ossgate-error"), ["plain_http"]);
            assert_eq!(header(&answer, "connection"), ["close"]);
            assert_eq!(header(&answer, "x-ossgate-request-id").len(), 1);
            assert!(
                answer.contains("<Code>ProxyHttpsRequired</Code>"),
                "{answer}"
            );
            assert!(answer.contains("This port speaks HTTPS"), "{answer}");
            assert!(!answer.contains("secret"), "{answer}");
            let expected = url.map(|url| format!(" Use {url} instead. OSS was not asked."));
            let found = answer.find(" Use https://").map(|start| &answer[start..]);
            match (found, expected) {
                (None, None) => {}
                (Some(found), Some(expected)) => assert!(found.starts_with(&expected), "{found}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
    }
    assert!(origin.received().is_empty());
    let lines = proxy.stop();
    assert_eq!(lines.len(), count);
    for line in lines {
        assert_eq!(
            (&line["status"], &line["error"]),
            (&400.into(), &"plain_http".into())
        );
        assert!(line.get("tls").is_none(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gets_the_refusal_as_a_page() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = with_tls(&origin, "");
    let request = "GET / HTTP/1.1\r\nhost: a.example\r\naccept: text/html\r\n\r\n";
    let answer = proxy.text(request).await;
    assert!(answer.contains("<h1>400 Bad Request</h1>"), "{answer}");
    assert!(
        answer.contains("Use https://a.example/ instead"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_without_tls_on_a_port_with_tls_is_answered_400() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = with_tls(&origin, "");
    let request = http::Request::get("http://a.example/k");
    let answer = proxy.http2(request, "").await;
    assert_eq!(answer, (400, "plain_http".to_owned()));
    let without = with_tls(&origin, "http2 = false");
    for size in [1, 24] {
        let answer = send(&without, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", size).await;
        assert_eq!(status(&answer), 400, "{answer}");
        assert_eq!(header(&answer, "x-ossgate-error"), ["plain_http"]);
    }
    assert!(origin.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_after_a_proxy_header_is_answered_400_to_its_client() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let listener = "proxy_protocol = \"any\"\ntrusted_proxies = [\"127.0.0.0/8\"]";
    let proxy = with_tls(&origin, listener);
    let get = b"GET /k HTTP/1.1\r\nhost: a.example\r\n\r\n";
    let v1 = b"PROXY TCP4 198.51.100.7 10.0.0.1 51234 443\r\n".to_vec();
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    v2.extend_from_slice(&[198, 51, 100, 7, 10, 0, 0, 1, 0xc8, 0x22, 0x01, 0xbb]);
    for size in [1, 1000] {
        for header in [&v1, &v2] {
            let bytes = [&header[..], get].concat();
            let answer = send(&proxy, &bytes, size).await;
            assert_eq!(status(&answer), 400, "{answer}");
            assert!(
                answer.contains("Use https://a.example/ instead"),
                "{answer}"
            );
        }
    }
    let lines = proxy.stop();
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|line| line["client"] == "198.51.100.7"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_on_a_port_without_tls_is_answered_400_and_counted() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let mut hello = Vec::new();
    let name = rustls::pki_types::ServerName::try_from("a.example").unwrap();
    let config = tls::Client::default().config();
    let mut client = rustls::ClientConnection::new(config, name).unwrap();
    client.write_tls(&mut hello).unwrap();
    for listener in ["", "http2 = false"] {
        let text = one_route(&bucket_at(origin.address));
        let proxy = Proxy::start(&text.replace(":0\"\n", &format!(":0\"\n{listener}\n")));
        for size in [1, 7, hello.len()] {
            // The response may come before all pieces have been sent.
            let answer = send(&proxy, &hello, size).await;
            assert_eq!(status(&answer), 400, "{answer}");
            assert_eq!(header(&answer, "x-ossgate-error"), ["tls_on_plain_port"]);
            assert!(answer.contains("HTTP without TLS"), "{answer}");
        }
        let refused = tls::Client::default().connect(proxy.address, "a.example");
        let refused = refused.await.unwrap_err().to_string();
        assert!(refused.contains("corrupt message"), "{refused}");
        let count = format!(
            "ossgate_tls_handshakes_total{{listener=\"{}\",result=\"tls_on_plain_port\"}} 4",
            proxy.address
        );
        let metrics = proxy.state().metrics();
        assert!(metrics.contains(&count), "{metrics}");
        assert_eq!(metrics.matches("ossgate_tls_handshakes_total{").count(), 1);
        let lines = proxy.stop();
        assert_eq!(lines.len(), 4);
        assert!(
            lines
                .iter()
                .all(|line| line["error"] == "tls_on_plain_port")
        );
    }
    assert!(origin.received().is_empty());
}
