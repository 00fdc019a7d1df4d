//! Load above the limits: some clients get a 503, the others wait, and requests in flight continue.
//!
//! Rows: connections above the limit; memory above its limit during a transfer; a limit that a reload
//! changes. Left out: descriptors (`descriptors`), logs (`log`).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::daemon::Daemon;
use crate::support::load::ask;
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, bucket_at, one_route, status};

const GET: &str = "GET /k HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn connections_above_the_limit_get_a_503_and_are_served_later() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let text =
        one_route(&bucket_at(origin.address)).replacen(":0\"\n", ":0\"\nmax_connections = 2\n", 1);
    let proxy = Proxy::start(&text);
    let mut served = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(ask(&mut socket, GET).await, Ok(true));
        served.push(socket);
    }
    let refused = proxy.text(GET).await;
    assert_eq!(status(&refused), 503);
    for part in [
        "retry-after: 1\r\n",
        "x-ossgate-error: proxy_busy\r\n",
        "connection: close\r\n",
        "<Code>ProxyBusy</Code>",
        "OSS was not asked",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    for socket in &mut served {
        assert_eq!(
            ask(socket, GET).await,
            Ok(true),
            "open connections are served"
        );
    }
    served.pop();
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    while status(&proxy.get("x", "/k").await) != 200 {
        pace.tick().await;
    }
    let metrics = proxy.state().metrics();
    let refused = metrics
        .lines()
        .find(|line| line.starts_with("ossgate_connections_refused_total"));
    assert!(!refused.unwrap().ends_with(" 0"), "{refused:?}");
}

#[tokio::test]
async fn above_the_memory_limit_new_requests_get_a_503_and_transfers_go_on() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let text = |memory: &str| {
        format!(
            "[server]\nworkers = 1\nmax_memory = \"{memory}\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\n{}\n",
            bucket_at(origin.address)
        )
    };
    let daemon = Daemon::start(&text("1GiB"));
    let address = daemon.addresses(1).await[0];
    let mut upload = TcpStream::connect(address).await.unwrap();
    upload
        .write_all(
            b"PUT /k HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n",
        )
        .await
        .unwrap();
    let mut answer = [0; 25];
    upload.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    daemon.write(&text("1MiB"));
    Daemon::signal("HUP", daemon.child.id());
    daemon.event("memory limit").await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let refused = ask(&mut socket, GET).await.unwrap_err();
    assert_eq!(status(&refused), 503, "{refused}");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    upload.write_all(b"12").await.unwrap();
    let mut answer = [0; 15];
    upload.read_exact(&mut answer).await.unwrap();
    assert_eq!(
        &answer, b"HTTP/1.1 200 OK",
        "the upload in flight continues"
    );
    daemon.write(&text("1GiB"));
    Daemon::signal("HUP", daemon.child.id());
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    loop {
        pace.tick().await;
        let mut socket = TcpStream::connect(address).await.unwrap();
        if ask(&mut socket, GET).await.is_ok() {
            return;
        }
    }
}

#[tokio::test]
async fn a_changed_limit_counts_connections_that_are_open_already() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let text = |limit: usize| {
        format!(
            "[server]\nworkers = 2\n[[listener]]\naddress = \"127.0.0.1:0\"\nmax_connections = {limit}\n[[route]]\n{}\n",
            bucket_at(origin.address)
        )
    };
    let mut proxy = Proxy::start(&text(1));
    // A worker that waits for a connection must not count against the limit.
    for _ in 0..40 {
        let answer = proxy.get("x", "/k").await;
        assert_eq!(status(&answer), 200, "{answer}");
        let mut pace = tokio::time::interval(Duration::from_millis(1));
        while open_connections(&proxy) > 0 {
            pace.tick().await;
        }
    }
    let mut inside = TcpStream::connect(proxy.address).await.unwrap();
    assert_eq!(ask(&mut inside, GET).await, Ok(true));
    assert_eq!(status(&proxy.text(GET).await), 503);
    proxy.change(&text(2)).unwrap();
    let mut second = TcpStream::connect(proxy.address).await.unwrap();
    assert_eq!(ask(&mut second, GET).await, Ok(true), "raised");
    for limit in [3, 2, 3, 2] {
        proxy.change(&text(limit)).unwrap();
    }
    assert_eq!(
        status(&proxy.text(GET).await),
        503,
        "changes back and forth add nothing to the limit"
    );
    proxy.change(&text(1)).unwrap();
    drop(second);
    let mut pace = tokio::time::interval(Duration::from_millis(1));
    while open_connections(&proxy) > 1 {
        pace.tick().await;
    }
    assert_eq!(status(&proxy.text(GET).await), 503, "lowered");
    assert_eq!(ask(&mut inside, GET).await, Ok(true));
}

fn open_connections(proxy: &Proxy) -> u64 {
    proxy.state().status()["listeners"][0]["connections"]
        .as_u64()
        .unwrap()
}
