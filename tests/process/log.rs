//! Logs: repeated errors are logged once, and a log that is not read blocks nothing.
//!
//! Rows: an origin that is down; an event log that is not read; an access log that is not read. Left out: the
//! fields of access lines, which the tests of each feature check.

use std::io::Read;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::support::daemon::{self, Daemon, wait_for};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{bucket_at, status};

/// Returns an address that refuses connections.
fn closed() -> SocketAddr {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    closed.local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_is_down_is_logged_once_and_not_by_each_request() {
    let daemon = Daemon::start(&daemon::config(closed(), "[server]\nworkers = 1\n"));
    let address = daemon.addresses(1).await[0];
    for _ in 0..50 {
        assert_eq!(status(&daemon::get(address).await), 502);
    }
    daemon.event("not ready").await;
    let events = daemon.events();
    let warnings = events.lines().filter(|line| line.contains(" WARN "));
    let warnings: Vec<&str> = warnings.collect();
    assert!(warnings.len() <= 3, "{warnings:?}");
    assert!(
        warnings
            .iter()
            .any(|line| line.contains("address fails, setting it aside")),
        "{warnings:?}"
    );
}

/// The events exceed the capacity of the pipe (64 KiB) and of the queue (4,096 events), and nothing reads
/// them.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_log_that_is_not_read_delays_no_request() {
    let config = format!(
        "[server]\nworkers = 1\ndrain_delay = \"0s\"\n[log]\nlevel = \"trace\"\n[admin]\naddress = \"unix:admin.sock\"\n\
         [[listener]]\naddress = \"unix:front.sock\"\n[[route]]\n{}\n",
        bucket_at(closed())
    );
    let mut daemon = Daemon::start_with(&config, |command| {
        command.stderr(Stdio::piped());
    });
    let front = daemon.path("front.sock");
    wait_for("the socket", || front.exists().then_some(())).await;
    for number in 0..6000 {
        let asking = async {
            let mut socket = UnixStream::connect(&front).await.unwrap();
            let request = b"GET /k HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            socket.write_all(request).await.unwrap();
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer).await.unwrap();
            answer
        };
        let answer = tokio::time::timeout(Duration::from_secs(10), asking).await;
        let answer = answer.unwrap_or_else(|_| panic!("no answer after {number}"));
        assert!(answer.starts_with(b"HTTP/1.1 502"), "{number}");
    }
    let metrics = daemon.metrics("admin.sock").await;
    let dropped = metrics
        .lines()
        .find_map(|line| line.strip_prefix("ossgate_log_dropped_events_total "));
    let dropped: u64 = dropped.unwrap().parse().unwrap();
    assert!(
        dropped > 0,
        "events beyond the queue are dropped and counted"
    );
    assert!(metrics.contains("\nossgate_panics_total 0\n"));
    // SIGUSR1 reopens the logs. It must not block the main thread either.
    Daemon::signal("USR1", daemon.child.id());
    for _ in 0..5 {
        let asking = tokio::time::timeout(Duration::from_secs(10), daemon.metrics("admin.sock"));
        assert!(asking.await.is_ok(), "the main thread is blocked");
    }
    // When the log is read again, it reports the number of lost events.
    let mut reader = daemon.child.stderr.take().unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let reading = std::thread::spawn({
        let events = Arc::clone(&events);
        move || {
            let mut piece = [0; 16 * 1024];
            while let Ok(length @ 1..) = reader.read(&mut piece) {
                events.lock().unwrap().extend_from_slice(&piece[..length]);
            }
        }
    });
    let read = || String::from_utf8(events.lock().unwrap().clone()).unwrap();
    wait_for("the number of lost events", || {
        let events = read();
        let lost = events.lines().filter_map(|line| {
            let (_, count) =
                line.split_once("events lost: the log took none for a while events=")?;
            count.parse::<u64>().ok()
        });
        (lost.sum::<u64>() >= dropped).then_some(())
    })
    .await;
    Daemon::signal("TERM", daemon.child.id());
    assert_eq!(daemon.ended().await, Some(0));
    reading.join().unwrap();
    let events = read();
    assert!(events.contains("stopped"), "the last event is written");
}

/// The lines of the access log are lost, but the process ends in time.
#[tokio::test]
async fn an_access_log_that_is_not_read_does_not_delay_the_end_of_the_process() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let text = format!(
        "[log]\naccess = \"json\"\naccess_file = \"-\"\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\n{}\n",
        bucket_at(origin.address)
    );
    let mut daemon = Daemon::start_with(&text, |command| {
        command.stdout(Stdio::piped());
    });
    let address = daemon.addresses(1).await[0];
    let mut client = TcpStream::connect(address).await.unwrap();
    let target = "k".repeat(4000);
    // 100 lines of 4 KB exceed the pipe, which holds 64 KiB.
    for _ in 0..100 {
        let request = format!("GET /{target} HTTP/1.1\r\nhost: x\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nx") {
            client.read_buf(&mut answer).await.unwrap();
        }
    }
    drop(client);
    Daemon::signal("TERM", daemon.child.id());
    assert_eq!(daemon.ended().await, Some(0));
    assert!(daemon.events().contains("the access log takes no lines"));
}
