//! Uploads when connections to the origin break, and the reuse of a connection after a refused upload.
//!
//! Rows: kept connections that the origin closes without notice; one address of three that vanishes; bodies
//! with a length and chunked; bodies above the limit; a PUT that must not overwrite; refused uploads, small
//! and large. `OSSGATE_TEST_UPLOADS` sets the number of requests of each load; the default is 400. Left out:
//! uploads that the client aborts (`client/leaving`).

#![allow(
    clippy::disallowed_methods,
    reason = "a load is sized by the environment"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use ossgate::demo::dns::{Dns, DnsAnswer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::black_hole::MortalOrigin;
use crate::support::origin::{RawOrigin, Received, Reply, ok};
use crate::support::proxy::{Proxy, bucket_at, one_route, pair, status};

const CLIENTS: usize = 16;

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 8, last)
}

fn requests() -> usize {
    std::env::var("OSSGATE_TEST_UPLOADS").map_or(400, |count| count.parse().unwrap())
}

/// Returns the body of request `number`: 100 bytes to 40 KB, different for each number.
fn body(number: usize) -> Vec<u8> {
    let length = 100 + number * 997 % 39_900;
    (0..length)
        .map(|place| u8::try_from((place * 31 + number) % 251).unwrap())
        .collect()
}

fn put(target: &str, body: &[u8], is_chunked: bool) -> Vec<u8> {
    let mut request = format!("PUT {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    let mut bytes = if is_chunked {
        request += "transfer-encoding: chunked\r\n\r\n";
        let mut bytes = request.into_bytes();
        bytes.extend(format!("{:x}\r\n", body.len()).into_bytes());
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(b"\r\n0\r\n\r\n");
        return bytes;
    } else {
        request += &format!("content-length: {}\r\n\r\n", body.len());
        request.into_bytes()
    };
    bytes.extend_from_slice(body);
    bytes
}

/// Sends `count` requests, of which one in four is a PUT. Returns the responses that are not 200.
async fn load(proxy: &Arc<Proxy>, count: usize) -> Vec<String> {
    let next: Arc<AtomicUsize> = Arc::default();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (proxy, next) = (Arc::clone(proxy), Arc::clone(&next));
        clients.spawn(async move {
            let mut failed = Vec::new();
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= count {
                    return failed;
                }
                let answer = if number % 4 == 3 {
                    let bytes = put(&format!("/{number}"), &body(number), number % 8 == 7);
                    proxy.raw(&bytes).await
                } else {
                    proxy.get("x", &format!("/{number}")).await.into_bytes()
                };
                let answer = String::from_utf8_lossy(&answer).into_owned();
                if status(&answer) != 200 {
                    failed.push(format!("{number}: {answer}"));
                }
            }
        });
    }
    let mut failed = Vec::new();
    while let Some(one) = clients.join_next().await {
        failed.extend(one.unwrap());
    }
    failed
}

/// Returns a received body without chunk headers. Each chunked body here has one chunk.
fn unchunked(received: &Received) -> Vec<u8> {
    if received.header("transfer-encoding").is_empty() {
        return received.body.clone();
    }
    let mut rest = &received.body[..];
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = usize::from_str_radix(&size, 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_to_an_origin_that_closes_kept_connections_without_notice() {
    let served: Arc<std::sync::Mutex<Vec<usize>>> = Arc::default();
    let counts = Arc::clone(&served);
    let origin = RawOrigin::start(move |request| {
        let mut counts = counts.lock().unwrap();
        if counts.len() <= request.connection {
            counts.resize(request.connection + 1, 0);
        }
        counts[request.connection] += 1;
        let Reply::Bytes(bytes) = ok("") else {
            unreachable!()
        };
        // Each connection sends one to four responses and then closes.
        if counts[request.connection] > request.connection % 4 {
            Reply::Close(bytes)
        } else {
            Reply::Bytes(bytes)
        }
    })
    .await;
    let proxy = Arc::new(Proxy::start(&one_route(&bucket_at(origin.address))));
    let failed = load(&proxy, requests()).await;
    assert!(failed.is_empty(), "{}: {:?}", failed.len(), failed.first());
    let received = origin.received();
    for request in received.iter().filter(|one| one.line().starts_with("PUT")) {
        let line = request.line();
        let number: usize = line.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
        assert!(unchunked(request) == body(number), "{line}: another body");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_to_one_address_of_three_that_vanishes() {
    let mut dying = MortalOrigin::start((ip(1), 0).into());
    let port = dying.address().port();
    let mut others = Vec::new();
    for last in [2, 3] {
        let listener = TcpListener::bind((ip(last), port)).await.unwrap();
        others.push(RawOrigin::serve(listener, |_| ok("")));
    }
    let dns = Dns::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
    let dns = dns.await.unwrap();
    dns.set(DnsAnswer::Addresses {
        ips: [1, 2, 3].map(|last| IpAddr::V4(ip(last))).to_vec(),
        ttl: 60,
    });
    let proxy = Arc::new(Proxy::start(&format!(
        "[server]\nworkers = 1\n[dns]\nservers = [\"{}\"]\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\norigin = {{ bucket = \"examplebucket\", endpoint = \"oss.test:{port}\", tls = false }}\n",
        dns.addr()
    )));
    assert!(load(&proxy, 100).await.is_empty());
    dying.die();
    let failed = load(&proxy, requests()).await;
    assert!(failed.is_empty(), "{}: {:?}", failed.len(), failed.first());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_small_body_of_a_request_that_may_be_repeated_is_sent_again() {
    let small = body(1);
    let large = vec![7; 65 * 1024];
    for (name, request, code, sent) in [
        ("small", put("/k", &small, false), 200, 2),
        ("small, chunked", put("/k", &small, true), 200, 2),
        ("large", put("/k", &large, false), 502, 1),
        ("large, chunked", put("/k", &large, true), 502, 1),
        (
            "a second PUT would fail",
            with_field(&put("/k", &small, false), "x-oss-forbid-overwrite: true"),
            502,
            1,
        ),
    ] {
        let (origin, proxy) = pair(|request| match request.connection {
            0 => Reply::Close(Vec::new()),
            _ => ok(""),
        })
        .await;
        let answer = String::from_utf8_lossy(&proxy.raw(&request).await).into_owned();
        assert_eq!(status(&answer), code, "{name}: {answer}");
        let received = origin.received();
        assert_eq!(received.len(), sent, "{name}");
        if let [first, second] = &received[..] {
            assert_eq!(first.head, second.head, "{name}");
            assert!(first.body == second.body, "{name}");
        }
    }
}

fn with_field(request: &[u8], field: &str) -> Vec<u8> {
    let end = request.windows(2).position(|window| window == b"\r\n");
    let end = end.unwrap() + 2;
    let (line, rest) = request.split_at(end);
    [line, field.as_bytes(), b"\r\n", rest].concat()
}

/// The proxy cannot detect whether OSS has read the body of a refused upload. Unread bytes would be taken for
/// the next request, so the connection is closed.
#[tokio::test(flavor = "multi_thread")]
async fn the_connection_of_a_refused_upload_is_not_used_again() {
    for length in [1, 5000, 60_000] {
        let (origin, proxy) = pair(|request| {
            if request.line().starts_with("PUT") {
                let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
                return Reply::Bytes(refusal.to_vec());
            }
            ok("x")
        })
        .await;
        assert_eq!(status(&proxy.get("x", "/k").await), 200);
        let answer = proxy.raw(&put("/k", &vec![b'G'; length], false)).await;
        assert_eq!(status(&String::from_utf8_lossy(&answer)), 403);
        assert_eq!(status(&proxy.get("x", "/k").await), 200);
        let used: Vec<usize> = origin.received().iter().map(|one| one.connection).collect();
        assert!(used[1] != used[2], "{length} bytes: {used:?}");
    }
}
