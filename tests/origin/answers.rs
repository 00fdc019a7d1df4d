//! Responses of the origin that are broken, early or missing.
//!
//! Rows: a body that breaks off; responses that cannot be passed on; a refused connect and a silent origin; a
//! response that the origin sends before it reads the upload, closing the connection. Left out: downloads
//! that continue after a break (`resume`), requests that are sent again (`retries`).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::origin::{RawOrigin, Reply};
use crate::support::proxy::{Proxy, bucket_at, one_route, pair, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_never_looks_complete() {
    for head in ["content-length: 100", "transfer-encoding: chunked"] {
        let (_origin, proxy) = pair(move |_| {
            Reply::Close(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nhello\r\n").into_bytes())
        })
        .await;
        let answer = proxy.get("x", "/k").await;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        assert!(body.len() < 100, "{answer}");
        assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
        let lines = proxy.stop();
        assert_eq!(lines[0]["aborted"], true, "{lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_cannot_be_passed_on_become_502() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "not http at all\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnot a length\r\n",
    ] {
        let (_origin, proxy) = pair(move |_| Reply::Close(answer.as_bytes().to_vec())).await;
        let got = proxy.get("x", "/k").await;
        assert_eq!(status(&got), 502, "{answer}: {got}");
        assert!(got.contains("x-ossgate-error: upstream_"), "{got}");
        assert!(!got.to_lowercase().contains("x-oss-request-id"), "{got}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connect_is_a_502_and_a_silent_origin_a_504() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let proxy = Proxy::start(&one_route(&bucket_at(closed)));
    let answer = proxy.get("x", "/k").await;
    assert_eq!(status(&answer), 502);
    assert!(
        answer.contains("<Code>UpstreamConnectRefused</Code>"),
        "{answer}"
    );
    let origin = RawOrigin::start(|_| Reply::Silent).await;
    let route = bucket_at(origin.address).replace(
        "tls = false",
        "tls = false, timeouts = { first_byte = \"200ms\" }",
    );
    let proxy = Proxy::start(&one_route(&route));
    let answer = proxy.get("x", "/k").await;
    assert_eq!(status(&answer), 504);
    assert!(answer.contains("<Code>UpstreamTimeout</Code>"), "{answer}");
    assert_eq!(proxy.stop()[0]["error"], "upstream_timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_arrives_although_the_origin_closes_without_reading_the_upload() {
    let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\nx-oss-request-id: 1\r\n\r\nnope";
    let origin = RawOrigin::start(|_| Reply::Abrupt(refusal.to_vec())).await;
    let proxy = Proxy::start(&one_route(&bucket_at(origin.address)));
    for _ in 0..40 {
        let socket = TcpStream::connect(proxy.address).await.unwrap();
        let (mut reading, mut writing) = socket.into_split();
        let uploading = tokio::spawn(async move {
            let head = b"PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: 1048576\r\nconnection: close\r\n\r\n";
            // Both writes may fail, because the proxy may close the connection first.
            let _sent = writing.write_all(head).await;
            let _sent = writing.write_all(&vec![b'y'; 1 << 20]).await;
            // `writing` is returned, not dropped: a drop would shut down the sending side, like a client that
            // disconnects.
            writing
        });
        let mut answer = Vec::new();
        let _end = reading.read_to_end(&mut answer).await;
        drop(uploading.await.unwrap());
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(answer.ends_with("nope"), "{answer}");
    }
}
