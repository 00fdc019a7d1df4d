//! A single request that moves from one endpoint to the next, or must not move.
//!
//! Rows: a request on a kept connection to a vanished host, and one whose response is only slow; uploads
//! before and after their first byte; downloads that break with their endpoint; signatures that forbid
//! another endpoint. Left out: when the traffic as a whole moves and returns (`tiers`).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::support::black_hole::fill;
use crate::support::object::{LENGTH, TAG, answer, joined, object, whole};
use crate::support::origin::{RawOrigin, Reply, accept_request, ok};
use crate::support::proxy::status;
use crate::support::tiers::{PLAIN, closed, dns, get, named, proxy};

/// A network that drops every packet leaves kept connections open. The first endpoint responds to one
/// request. After that it sends nothing and accepts no connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_on_a_kept_connection_of_a_lost_endpoint_moves() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let second = RawOrigin::start(|_| ok("second")).await;
    let dns = dns().await;
    // The endpoints are literal addresses, because the pool does not keep connections made before the first
    // DNS answer.
    let endpoints = [address, second.address].map(|address| address.to_string());
    let more = "tls = false\ntimeouts = { connect = \"2s\" }\nhost = \"img.example.com\"";
    let proxy = proxy(&dns, &endpoints, more);
    let answering = tokio::spawn(async move {
        let mut kept = accept_request(&listener).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst";
        kept.write_all(answer).await.unwrap();
        (listener, kept)
    });
    assert_eq!(get(&proxy).await, "first");
    let (_listener, mut kept) = answering.await.unwrap();
    let _fillers = fill(address);
    let begin = Instant::now();
    // After one second without a response, the proxy probes the endpoint, which takes two seconds. A second
    // probe would take two more.
    assert_eq!(get(&proxy).await, "second");
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    let mut request = [0; 3];
    kept.read_exact(&mut request).await.unwrap();
    assert_eq!(
        &request, b"GET",
        "the request went to the kept connection first"
    );
    let begin = Instant::now();
    assert_eq!(get(&proxy).await, "second");
    // Another connect to the first endpoint would take two seconds.
    assert!(begin.elapsed() < Duration::from_millis(1500), "moved");
    assert_eq!(proxy.stop()[1]["retries"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_on_a_kept_connection_is_waited_for() {
    let first = RawOrigin::start(|request| match request.line().contains("slow") {
        true => {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow";
            Reply::Late(Duration::from_millis(1500), answer.to_vec())
        }
        false => ok("first"),
    })
    .await;
    let second = RawOrigin::start(|_| ok("second")).await;
    let dns = dns().await;
    let endpoints = [first.address, second.address].map(|address| address.to_string());
    let more = format!("{PLAIN}\nhost = \"img.example.com\"");
    let proxy = proxy(&dns, &endpoints, &more);
    assert_eq!(get(&proxy).await, "first");
    let answer = proxy.get("x", "/slow").await;
    assert!(answer.ends_with("slow"), "{answer}");
    assert_eq!(first.connections(), 1, "the request was not sent again");
    assert_eq!(first.received().len(), 2);
    assert!(second.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_moves_while_none_of_it_was_sent_and_never_after() {
    let put = "PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
    let post = "POST /k?append&position=0 HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
    let dns = dns().await;
    for upload in [put, post] {
        let second = RawOrigin::start(|_| ok("")).await;
        let endpoints = named([closed().await, second.address.port()]);
        let tiers = proxy(&dns, &endpoints, PLAIN);
        assert_eq!(status(&tiers.text(upload).await), 200);
        assert_eq!(second.received()[0].body, b"hello");

        let first = RawOrigin::start(|_| Reply::Close(Vec::new())).await;
        let endpoints = named([first.address.port(), second.address.port()]);
        let tiers = proxy(&dns, &endpoints, PLAIN);
        let answer = tiers.text(upload).await;
        assert_eq!(status(&answer), 502, "{answer}");
        assert!(answer.contains("<Code>UpstreamReset</Code>"), "{answer}");
        assert_eq!(
            second.received().len(),
            1,
            "its bytes may have arrived at the first endpoint"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_at_another_endpoint() {
    let first = {
        let object = object();
        RawOrigin::start(move |request| {
            Reply::Stall(joined(answer(request, &object, TAG, ""), 300_000))
        })
        .await
    };
    let object = object();
    let copy = object.clone();
    let second = RawOrigin::start(move |request| whole(request, &copy)).await;
    let dns = dns().await;
    let endpoints = named([first.address.port(), second.address.port()]);
    let proxy = proxy(&dns, &endpoints, PLAIN);
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    socket
        .write_all(b"GET /k HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut got = vec![0; 1000];
    socket.read_exact(&mut got).await.unwrap();
    drop(first);
    socket.read_to_end(&mut got).await.unwrap();
    assert!(got.ends_with(&object), "{} bytes", got.len());
    assert!(got.len() < LENGTH + 1000);
    let received = &second.received()[0];
    assert!(!received.header("range").is_empty());
    let host = format!("examplebucket.{}", endpoints[1]);
    assert_eq!(received.header("host"), [host.as_bytes()]);
}

const V4: &str = "OSS4-HMAC-SHA256 Credential=id/20261125/cn-hangzhou/oss/aliyun_v4_request";

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_names_the_endpoint_keeps_the_request_there() {
    let second = RawOrigin::start(|_| ok("second")).await;
    let dns = dns().await;
    let port = second.address.port();
    let hangzhou = format!("oss-cn-hangzhou.aliyuncs.com:{port}");
    let shanghai = format!("oss-cn-shanghai.aliyuncs.com:{port}");
    let first = format!("oss-cn-hangzhou.aliyuncs.com:{}", closed().await);
    let bound_host = format!("{PLAIN}\nhost = \"img.example.com\"");
    let by_host = format!("{V4},AdditionalHeaders=host,Signature=00");
    let own = format!("examplebucket.{first}");
    let at = |host: &str, value: &str| {
        format!("GET /k HTTP/1.1\r\nhost: {host}\r\nauthorization: {value}\r\n")
    };
    let header = |value: &str| at(&own, value);
    let query = |query: &str| format!("GET /k?{query} HTTP/1.1\r\nhost: {own}\r\n");
    for (request, other, more, code) in [
        (header("OSS id:c2ln"), &hangzhou, PLAIN, 200),
        (header(&format!("{V4},Signature=00")), &hangzhou, PLAIN, 200),
        (header(&by_host), &hangzhou, PLAIN, 503),
        (
            at("img.example.com", &by_host),
            &hangzhou,
            &*bound_host,
            200,
        ),
        (header(&format!("{V4},Signature=00")), &shanghai, PLAIN, 503),
        (header("OSS id:c2ln"), &shanghai, PLAIN, 200),
        (
            query("OSSAccessKeyId=id&Expires=1&Signature=c2ln"),
            &hangzhou,
            PLAIN,
            200,
        ),
        (
            query("x-oss-additional-headers=host&x-oss-signature=00"),
            &hangzhou,
            PLAIN,
            503,
        ),
    ] {
        let proxy = proxy(&dns, &[first.clone(), other.clone()], more);
        let before = second.received().len();
        // In the second round, all traffic already uses the other endpoint.
        for _ in 0..2 {
            let answer = proxy
                .text(&format!("{request}connection: close\r\n\r\n"))
                .await;
            assert_eq!(status(&answer), code, "{request} to {other}: {answer}");
            if code == 503 {
                assert!(
                    answer.contains("<Code>UpstreamSignatureBound</Code>")
                        && answer.contains("OSS was not reached")
                        && answer.contains("retry-after: 1\r\n"),
                    "{answer}"
                );
                assert!(
                    !answer.to_lowercase().contains("x-oss-request-id"),
                    "{answer}"
                );
            }
            let moving = "GET /other HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            assert_eq!(status(&proxy.text(moving).await), 200);
        }
        let seen = second.received().len() - before;
        assert_eq!(seen, if code == 200 { 4 } else { 2 }, "{request}");
    }
}
