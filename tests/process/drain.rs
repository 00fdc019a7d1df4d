//! Drain and stop: the requests that are still served, and the time when the process ends.
//!
//! Rows: idle and busy connections; a connection without a request yet; a silent origin at a stop. Left out:
//! HTTP/2 clients (`client/http2`), a drain under load (`tests/ha`).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::certificates;
use crate::support::daemon::{self, Daemon, wait_for};
use crate::support::frames::{DATA, Raw};
use crate::support::load::ask;
use crate::support::origin::{RawOrigin, Reply, ok};
use crate::support::proxy::{Proxy, bucket_at, one_route, pair};

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_closes_idle_connections_and_lets_running_requests_finish() {
    let (let_go, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let (send_begun, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let origin = RawOrigin::start(move |request| {
        if request.line().contains("slow") {
            // The origin delays its response until the drain has begun.
            send_begun.send(()).unwrap();
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
    begun.recv().await.unwrap();
    let address = proxy.address;
    let draining = tokio::spawn(async move {
        proxy.drain().await;
        proxy
    });
    let mut rest = String::new();
    idle.read_to_string(&mut rest).await.unwrap();
    // The idle connection is closed, so the drain has begun.
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
async fn a_drain_serves_open_connections_once_more_and_ends_early() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let server = "[server]\ndrain_delay = \"300ms\"\ndrain_timeout = \"20s\"\n";
    let mut daemon = Daemon::start(&daemon::config(origin.address, server));
    let address = daemon.addresses(1).await[0];
    let mut fresh = TcpStream::connect(address).await.unwrap();
    let mut kept = TcpStream::connect(address).await.unwrap();
    let request = "GET /k HTTP/1.1\r\nhost: x\r\n\r\n";
    assert_eq!(ask(&mut kept, request).await, Ok(true));
    Daemon::signal("TERM", daemon.child.id());
    daemon.event("draining").await;
    wait_for("no more connections", || {
        std::net::TcpStream::connect(address).is_err().then_some(())
    })
    .await;
    // Connections from before the drain get one more response, even if it is their first.
    for client in [&mut fresh, &mut kept] {
        assert_eq!(ask(client, request).await, Ok(false));
    }
    let begin = Instant::now();
    assert_eq!(daemon.ended().await, Some(0));
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_does_not_wait_for_connections_that_never_sent_a_request() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let leaf = certificates::leaf(&["a.example"]);
    let server = "[server]\ndrain_timeout = \"10s\"\n";
    let tls = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\ntls = true\n[[certificate]]\ncert = {:?}\nkey = {:?}\n",
        leaf.cert, leaf.key
    );
    let mut daemon = Daemon::start(&format!("{}{tls}", daemon::config(origin.address, server)));
    let addresses = daemon.addresses(2).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut kept = TcpStream::connect(addresses[0]).await.unwrap();
        assert_eq!(
            ask(&mut kept, "GET /k HTTP/1.1\r\nhost: x\r\n\r\n").await,
            Ok(true)
        );
        clients.push(kept);
    }
    // Nothing; a part of HTTP/2's preface; the whole of it; nothing on the TLS listener.
    for (address, sent) in [
        (addresses[0], &b""[..]),
        (addresses[0], b""),
        (addresses[0], b"PRI * HT"),
        (
            addresses[0],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        ),
        (addresses[1], b""),
    ] {
        let mut fresh = TcpStream::connect(address).await.unwrap();
        fresh.write_all(sent).await.unwrap();
        clients.push(fresh);
    }
    // The process has accepted all that came before this.
    assert!(daemon::get(addresses[0]).await.ends_with('x'));
    let begin = Instant::now();
    Daemon::signal("TERM", daemon.child.id());
    assert_eq!(daemon.ended().await, Some(0));
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(
        !daemon.events().contains("drain timeout"),
        "{}",
        daemon.events()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_silent_origin() {
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
    assert_eq!(lines[0]["status"], 503);
    assert_eq!(lines[0]["abort_reason"], "proxy_stopped");
}

/// A client whose host has vanished acknowledges nothing. It must not hold the drain for its whole timeout.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_http2_client_without_a_stream_does_not_hold_a_drain() {
    let (_origin, mut proxy) = pair(|_| ok("x")).await;
    let mut client = Raw::connect(&proxy, 65_535).await;
    client.get(1, "/k", &[]).await;
    client
        .until(|frame| frame.kind == DATA && frame.stream == 1)
        .await;
    let began = Instant::now();
    proxy.drain().await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
}
