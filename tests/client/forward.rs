//! What passes through unchanged, both ways: bytes of path, query, header values and bodies, and the framing.
//!
//! Rows: HTTP/1.1 requests with and without bodies; metadata; hop-by-hop fields; `Expect: 100-continue`; answers
//! before the request body is read. Left out: broken answers (`origin/answers`), retries (`origin/retries`), TLS
//! (`tls`), HTTP/2 (`http2`) and the SDKs (`tests/sdk`).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::origin::{Received, Reply, accept_request, ok};
use crate::support::proxy::{pair, proxy, status};

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_of_path_and_query_arrives_as_sent() {
    let (origin, proxy) = pair(|_| ok("x")).await;
    let targets = [
        "/a//b/../c/./d",
        "/a%2Fb%2f%00%25?x=%2F+y&&=&a=b=c",
        "/%E7%9B%AE/~!$&'()*+,;=:@|\"{}",
        "/?acl",
        "/a?",
        "/a/?prefix=a%2Fb&delimiter=/",
    ];
    for target in targets {
        assert_eq!(
            status(&proxy.get("x.example", target).await),
            200,
            "{target}"
        );
    }
    let lines: Vec<String> = origin.received().iter().map(Received::line).collect();
    let expected: Vec<String> = targets
        .iter()
        .map(|target| format!("GET {target} HTTP/1.1"))
        .collect();
    assert_eq!(lines, expected);
}

/// A listener takes 200 header fields by default; an upload may use nearly all of them for metadata.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_comes_back_with_all_of_its_metadata() {
    let metadata: String = (0..190)
        .map(|number| format!("x-oss-meta-{number}: {number}\r\n"))
        .collect();
    let head = format!("HTTP/1.1 200 OK\r\n{metadata}content-length: 1\r\n\r\nx");
    let (origin, proxy) = pair(move |_| Reply::Close(head.clone().into_bytes())).await;
    let request = format!(
        "PUT /k HTTP/1.1\r\nhost: x\r\n{metadata}content-length: 1\r\nconnection: close\r\n\r\nx"
    );
    let answer = proxy.text(&request).await;
    let received = origin.received();
    for number in 0..190 {
        let (name, value) = (format!("x-oss-meta-{number}"), format!("{number}"));
        assert_eq!(received[0].header(&name), [value.as_bytes().to_vec()]);
        assert!(answer.contains(&format!("{name}: {value}\r\n")), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn header_values_arrive_as_bytes_in_order_and_hop_by_hop_fields_do_not() {
    let (origin, proxy) = pair(|_| ok("x")).await;
    let request = b"GET /k HTTP/1.1\r\nHost: x.example\r\nx-oss-meta-a: \xe7\x9b\xae\xff\r\nx-oss-meta-b: 1\r\n\
        x-oss-meta-b: 2\r\nConnection: close, x-hop\r\nx-hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\n\
        Proxy-Authorization: Basic eA==\r\nAuthorization: OSS a:b=\r\nDate: Thu, 02 Jan 2025 03:04:05 GMT\r\n\r\n";
    proxy.raw(request).await;
    let received = origin.received();
    let got = &received[0];
    assert_eq!(got.header("x-oss-meta-a"), [b"\xe7\x9b\xae\xff".to_vec()]);
    assert_eq!(got.header("x-oss-meta-b"), [b"1".to_vec(), b"2".to_vec()]);
    assert_eq!(got.header("authorization"), [b"OSS a:b=".to_vec()]);
    assert_eq!(
        got.header("date"),
        [b"Thu, 02 Jan 2025 03:04:05 GMT".to_vec()]
    );
    assert_eq!(got.header("host"), [b"examplebucket.oss.test".to_vec()]);
    for gone in [
        "connection",
        "x-hop",
        "keep-alive",
        "te",
        "upgrade",
        "proxy-authorization",
    ] {
        assert!(got.header(gone).is_empty(), "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_comes_back_unchanged_with_the_proxys_id() {
    let (_origin, proxy) = pair(|_| {
        Reply::Bytes(
            b"HTTP/1.1 206 Partial Content\r\nServer: AliyunOSS\r\nETag: \"5B3C\"\r\nx-oss-request-id: 5C3D9175B6FC201293AD0001\r\n\
              x-oss-meta-raw: \xff\xe7\r\nContent-Range: bytes 0-3/10\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nbody"
                .to_vec(),
        )
    })
    .await;
    let answer = proxy
        .raw(b"GET /k HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    let text = String::from_utf8_lossy(&answer).to_lowercase();
    for part in [
        "206 partial content",
        "server: aliyunoss",
        "etag: \"5b3c\"",
        "x-ossgate-request-id: og-",
        "\r\n\r\nbody",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(answer.windows(2).any(|window| window == b"\xff\xe7"));
    let lines = proxy.stop();
    assert_eq!(lines[0]["oss_request_id"], "5C3D9175B6FC201293AD0001");
    assert_eq!(lines[0]["status"], 206);
    assert_eq!(lines[0]["bytes_out"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_bodies_keep_their_framing() {
    let (origin, proxy) = pair(|_| ok("")).await;
    proxy
        .text("PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello")
        .await;
    proxy
        .text("PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .await;
    let chunked = "PUT /k HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n5\r\nhello\r\n0\r\nx-trailer: 1\r\n\r\n";
    proxy.text(chunked).await;
    let received = origin.received();
    assert_eq!(received[0].body, b"hello");
    assert_eq!(received[1].header("content-length"), [b"0".to_vec()]);
    assert_eq!(
        received[2].header("transfer-encoding"),
        [b"chunked".to_vec()]
    );
    assert!(
        received[2].body.starts_with(b"5\r\nhello\r\n0\r\n\r\n"),
        "trailers are dropped"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_100_continue_of_the_origin_reaches_the_client() {
    let (_origin, proxy) = pair(|_| ok("done")).await;
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    let head = b"PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n";
    socket.write_all(head).await.unwrap();
    let mut first = [0; 25];
    socket.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"hello").await.unwrap();
    let mut rest = String::new();
    socket.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("done"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_reaches_a_client_that_waits_or_still_sends() {
    let refusal =
        b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno".to_vec();
    let (_origin, proxy) = pair(move |_| Reply::Early(refusal.clone())).await;
    let waiting = "PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n";
    let answer = proxy.text(waiting).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    socket
        .write_all(b"PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
        .await
        .unwrap();
    socket.write_all(&vec![b'x'; 100_000]).await.unwrap();
    let mut answer = String::new();
    let _end = socket.read_to_string(&mut answer).await;
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.ends_with("no"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_keeps_its_chunked_body() {
    let (origin, proxy) = pair(|_| ok("x")).await;
    let get = "GET /k HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
               5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(status(&proxy.text(get).await), 200);
    assert_eq!(origin.received()[0].body, b"5\r\nhello\r\n0\r\n\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_before_the_body_is_read_closes_the_connection() {
    let (_origin, proxy) = pair(|request| match request.line().contains("/early") {
        true => Reply::Abrupt(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_vec()),
        false => ok("x"),
    })
    .await;
    for (path, more, closes) in [
        ("/early", "expect: 100-continue\r\n", true),
        ("/late", "", false),
    ] {
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        let head = format!("PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n{more}\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        if !closes {
            socket.write_all(b"hello").await.unwrap();
        }
        let mut answer = Vec::new();
        while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
            socket.read_buf(&mut answer).await.unwrap();
        }
        let answer = String::from_utf8_lossy(&answer).to_lowercase();
        assert_eq!(answer.contains("connection: close"), closes, "{answer}");
    }
}

/// The body looks like an error response that the HTTP library itself would write, and arrives after the head.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_looks_like_an_error_response_comes_back() {
    let object = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = proxy(listener.local_addr().unwrap(), "");
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    let request = b"GET /k HTTP/1.1\r\nhost: x\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut origin = accept_request(&listener).await;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
        object.len()
    );
    origin.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        client.read_buf(&mut answer).await.unwrap();
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    origin.write_all(object).await.unwrap();
    let mut body = vec![0; object.len()];
    client.read_exact(&mut body).await.unwrap();
    assert_eq!(body, object);
}
