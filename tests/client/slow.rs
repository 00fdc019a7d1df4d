//! Clients that read their answers slowly: no answer is cut off or mixed with other bytes.
//!
//! Rows: a pipelined request that waits behind an answer for longer than the head timeout; an answer to an
//! upload whose body was not read. The sizes exceed the kernel's buffers, so for some of them the proxy holds
//! the last piece.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::support::origin::{RawOrigin, Reply, ok};
use crate::support::proxy::{Proxy, bucket_at, one_route};

const SIZES: [usize; 8] = [
    100_000, 200_000, 266_300, 300_000, 330_000, 400_000, 1_000_000, 3_000_000,
];

async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(address).await.unwrap()
}

/// Waits for `seconds`, during which the client reads nothing.
async fn pause(seconds: u32) {
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..=seconds {
        clock.tick().await;
    }
}

fn body_of(size: usize) -> String {
    "0123456789".repeat(size / 10)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_behind_an_answer_that_is_read_slowly_does_not_time_out() {
    let origin = RawOrigin::start(|request| {
        let line = request.line();
        let size = line.split(['/', ' ']).nth(2).unwrap();
        ok(&body_of(size.parse().unwrap()))
    })
    .await;
    let settings = "address = \"127.0.0.1:0\"\ntimeouts = { header = \"1s\" }";
    let text = one_route(&bucket_at(origin.address));
    let proxy = Proxy::start(&text.replace("address = \"127.0.0.1:0\"", settings));
    let mut clients = JoinSet::new();
    for size in SIZES {
        let address = proxy.address;
        clients.spawn(async move {
            let mut socket = connect(address).await;
            let first = format!("GET /{size} HTTP/1.1\r\nhost: x\r\n\r\n");
            socket.write_all(first.as_bytes()).await.unwrap();
            pause(1).await;
            let next = "GET /10 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            socket.write_all(next.as_bytes()).await.unwrap();
            pause(4).await;
            let mut came = Vec::new();
            socket.read_to_end(&mut came).await.unwrap();
            let came = String::from_utf8(came).unwrap();
            let first = came.split_once("\r\n\r\n").unwrap().1;
            let next = first.strip_prefix(&body_of(size)).expect("the body");
            assert!(next.starts_with("HTTP/1.1 200 OK\r\n"), "{size}: {next}");
            assert!(next.ends_with("\r\n\r\n0123456789"), "{size}: {next}");
        });
    }
    clients.join_all().await;
    let lines = proxy.stop();
    assert_eq!(lines.len(), 2 * SIZES.len());
    assert!(lines.iter().all(|line| line["status"] == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_an_upload_that_is_not_read_arrives_whole() {
    let origin = RawOrigin::start(|request| {
        let line = request.line();
        let size: usize = line.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
        let head = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {size}\r\n\r\n");
        Reply::Early((head + &body_of(size)).into_bytes())
    })
    .await;
    let proxy = Proxy::start(&one_route(&bucket_at(origin.address)));
    let mut clients = JoinSet::new();
    for size in SIZES {
        let address = proxy.address;
        clients.spawn(async move {
            let mut socket = connect(address).await;
            let put = format!("PUT /{size} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n");
            socket.write_all(put.as_bytes()).await.unwrap();
            pause(2).await;
            let mut came = Vec::new();
            socket.read_to_end(&mut came).await.unwrap();
            let came = String::from_utf8(came).unwrap();
            let (head, body) = came.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 403"), "{size}: {head}");
            assert!(body == body_of(size), "{size}: {}", body.len());
        });
    }
    clients.join_all().await;
}
