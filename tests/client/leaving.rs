//! A node that cannot reach OSS any more closes its clients' connections before its load balancer notices.
//!
//! Rows: idle HTTP/1.1 connections, in use and parked; a connection without a request yet; a request that has
//! arrived and is not read yet; idle HTTP/2 connections, and an HTTP/2 connection that is opened afterwards.
//! `tests/ha` has the same behind a load balancer.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use ossgate::config;
use ossgate::http::Received;
use ossgate::http::context::ConnectionInfo;
use ossgate::listener::{Listening, MakeService, Places};
use ossgate::shutdown::LeaveRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::support::daemon::wait_for;
use crate::support::frames::{GOAWAY, HEADERS, Raw};
use crate::support::load::ask;
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, bucket_at, one_route};

/// A load balancer removes a node after two failed checks, at least half a second apart. The clients of these
/// tests connect spread over a second: a check that ran once a second would be late for some.
const SOON: Duration = Duration::from_millis(500);
const CLIENTS: usize = 10;
const REQUEST: &str = "GET /k HTTP/1.1\r\nhost: x\r\n\r\n";

fn proxy(origin: &RawOrigin) -> Proxy {
    let text = one_route(&bucket_at(origin.address));
    Proxy::start(&text.replace("[server]\n", "[server]\nprobe = \"100ms\"\n"))
}

async fn cut_off(proxy: &Proxy, origin: RawOrigin) {
    drop(origin);
    let health = Arc::clone(&proxy.state().health);
    wait_for("not ready", || (!health.is_ready()).then_some(())).await;
}

/// Waits until a client's connection has been closed without another byte.
async fn closed(client: &mut TcpStream, until: Instant) {
    let read = tokio::time::timeout_at(until, client.read(&mut [0; 64])).await;
    assert_eq!(read.expect("closed in time").unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cut_off_closes_idle_connections_at_once() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(&origin);
    let mut parked = TcpStream::connect(proxy.address).await.unwrap();
    assert_eq!(ask(&mut parked, REQUEST).await, Ok(true));
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    // A connection is parked after three idle seconds.
    for _ in 0..45 {
        pace.tick().await;
    }
    let mut idle = Vec::new();
    for _ in 0..CLIENTS {
        pace.tick().await;
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(ask(&mut client, REQUEST).await, Ok(true));
        idle.push(client);
    }
    let mut fresh = TcpStream::connect(proxy.address).await.unwrap();
    cut_off(&proxy, origin).await;
    let until = Instant::now() + SOON;
    closed(&mut parked, until).await;
    for client in &mut idle {
        closed(client, until).await;
    }
    // A new connection may have its first request in flight, so it gets an answer.
    fresh.write_all(REQUEST.as_bytes()).await.unwrap();
    let mut answer = String::new();
    fresh.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cut_off_sends_goaway_at_once_and_to_new_clients_after_one_request() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(&origin);
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let mut idle = Vec::new();
    for _ in 0..CLIENTS {
        pace.tick().await;
        let mut client = Raw::connect(&proxy, 65_535).await;
        client.get(1, "/k", &[]).await;
        client.until(|frame| frame.kind == HEADERS).await;
        idle.push(client);
    }
    cut_off(&proxy, origin).await;
    let until = Instant::now() + SOON;
    for client in &mut idle {
        let goaway = client.until(|frame| frame.kind == GOAWAY);
        tokio::time::timeout_at(until, goaway)
            .await
            .expect("in time");
    }
    let mut late = Raw::connect(&proxy, 65_535).await;
    late.get(1, "/k", &[]).await;
    let both = async {
        let first = late.until(|frame| matches!(frame.kind, GOAWAY | HEADERS));
        let first = first.await.kind;
        let other = if first == GOAWAY { HEADERS } else { GOAWAY };
        late.until(|frame| frame.kind == other).await;
    };
    timeout(SOON, both).await.expect("a GOAWAY and an answer");
}

/// A service that answers every request.
#[derive(Clone)]
struct Always;

impl tower::Service<Received> for Always {
    type Response = http::Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Received) -> Self::Future {
        ready(Ok(http::Response::new(Full::from("here"))))
    }
}

impl MakeService<Full<Bytes>> for Always {
    type Service = Self;

    fn make(&self, _: Arc<ConnectionInfo>) -> Self {
        self.clone()
    }
}

/// Both ends run on one thread. So the event loop cannot learn of the bytes between the write and its next
/// wait.
#[tokio::test]
async fn a_request_that_has_arrived_is_served_although_its_connection_is_about_to_close() {
    let text = one_route(&bucket_at(([127, 0, 0, 1], 1).into()));
    let loaded = config::from_str("test.toml", &text, Path::new("/"), &|_| None);
    let listener = &loaded
        .unwrap_or_else(|problems| panic!("{problems}"))
        .config;
    let places = Places {
        served: 10,
        turned_away: 0,
    };
    let (listening, sockets) = Listening::bind(
        &listener.listeners[0],
        None,
        1,
        places,
        &mut Default::default(),
    )
    .unwrap();
    for socket in sockets {
        tokio::spawn(socket.run(Always, TaskTracker::new()));
    }
    let mut client = TcpStream::connect(listening.local.unwrap()).await.unwrap();
    assert_eq!(ask(&mut client, REQUEST).await, Ok(true));
    let mut client = client.into_std().unwrap();
    client.write_all(REQUEST.as_bytes()).unwrap();
    listening.trigger.request_leave(LeaveRequest::AtOnce);
    // Tasks that are ready run before the event loop polls the sockets.
    tokio::task::yield_now().await;
    client.set_nonblocking(false).unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        client.read_to_string(&mut answer).map(|_| answer)
    });
    let answer = reading.await.unwrap().unwrap();
    assert!(answer.ends_with("here"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}
