//! Reloads of the config while requests are in flight.
//!
//! Rows: a constant load across many reloads; transfers that keep the config with which they began;
//! listeners that are added, removed and changed; upstream connections that stay with their origin; a config
//! that cannot be served; settings that need a restart. Left out: signals and commands (`lifecycle`).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::support::load::{CLIENTS, Tally, ask, finish, load};
use crate::support::origin::{RawOrigin, Reply, ok};
use crate::support::proxy::{Proxy, bucket_at, one_route, status};

#[tokio::test(flavor = "multi_thread")]
async fn reloads_lose_no_request_and_cut_no_transfer() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let route = |turn: usize| {
        let listener = ["", "[[listener]]\naddress = \"127.0.0.2:0\"\n"][turn % 2];
        format!(
            "[server]\nworkers = 2\n[[listener]]\naddress = \"127.0.0.1:0\"\nmax_connections = {}\n{listener}\
             [[route]]\nname = \"turn-{turn}\"\n{}\nreferer = {{ allow = [\"http://turn-{turn}.cn\"] }}\n",
            1000 + turn,
            bucket_at(origin.address)
        )
    };
    let mut proxy = Proxy::start(&route(0));
    let (tally, begin) = (Arc::new(Tally::default()), Instant::now());
    let clients = load(proxy.address, &tally);
    // This upload is in flight during all reloads.
    let mut upload = TcpStream::connect(proxy.address).await.unwrap();
    upload
        .write_all(b"PUT /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 40\r\n\r\n")
        .await
        .unwrap();
    let mut pace = tokio::time::interval(Duration::from_millis(60));
    for turn in 1..=40 {
        pace.tick().await;
        upload.write_all(b".").await.unwrap();
        proxy.change(&route(turn)).unwrap();
    }
    let mut answer = vec![0; 15];
    upload.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200 OK");
    finish("40 reloads", &tally, clients, begin).await;
    assert_eq!(proxy.state().reloads().taken, 41);
}

#[tokio::test]
async fn a_request_ends_on_the_config_it_began_with_and_the_next_uses_the_new_one() {
    let (old, new) = (
        RawOrigin::start(|_| Reply::Silent).await,
        RawOrigin::start(|_| ok("new")).await,
    );
    let mut proxy = Proxy::start(&one_route(&bucket_at(old.address)));
    let mut waiting = TcpStream::connect(proxy.address).await.unwrap();
    waiting
        .write_all(b"GET /k HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    while old.received().is_empty() {
        tokio::task::yield_now().await;
    }
    proxy.change(&one_route(&bucket_at(new.address))).unwrap();
    assert!(proxy.get("x", "/k").await.ends_with("new"));
    assert_eq!(old.received().len(), 1);
    drop(old);
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.unwrap_or(0);
    assert!(
        answer.is_empty() || status(&answer) == 502,
        "it was not sent to the new one: {answer}"
    );
}

#[tokio::test]
async fn an_unchanged_origin_keeps_its_connections() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let with = |rule: &str| one_route(&format!("{}\n{rule}", bucket_at(origin.address)));
    let mut proxy = Proxy::start(&with(""));
    assert_eq!(status(&proxy.get("x", "/1").await), 200);
    for turn in 0..5 {
        let rule = format!(
            "guard = {{ preset = \"{}\" }}",
            ["full", "read-only"][turn % 2]
        );
        proxy.change(&with(&rule)).unwrap();
        assert_eq!(status(&proxy.get("x", "/2").await), 200);
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn listeners_are_added_and_removed_and_their_connections_finish() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let base = one_route(&bucket_at(origin.address));
    let more = base.replacen(
        "[[route]]",
        "[[listener]]\naddress = \"127.0.0.3:0\"\n[[route]]",
        1,
    );
    let mut proxy = Proxy::start(&base);
    let first = proxy.address;
    let changed = proxy.change(&more).unwrap();
    let second = proxy.addresses[1].unwrap();
    assert_eq!(changed.added, [second.to_string()]);
    let mut client = TcpStream::connect(second).await.unwrap();
    let request = b"GET /k HTTP/1.1\r\nhost: x\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut answer = [0; 15];
    client.read_exact(&mut answer).await.unwrap();
    let changed = proxy.change(&base).unwrap();
    assert_eq!(changed.removed, [second.to_string()]);
    while TcpStream::connect(second).await.is_ok() {
        tokio::task::yield_now().await;
    }
    // An open connection gets one more response, then the listener closes it.
    client.write_all(request).await.unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert!(
        rest.contains("HTTP/1.1 200 OK\r\n") && rest.contains("connection: close"),
        "{rest}"
    );
    assert_eq!(proxy.addresses, [Some(first)]);
    assert_eq!(status(&proxy.get("x", "/k").await), 200);
}

#[tokio::test]
async fn a_listener_that_stays_gets_its_new_settings() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let base = one_route(&bucket_at(origin.address));
    let mut proxy = Proxy::start(&base);
    assert_eq!(status(&proxy.get("x", "/health").await), 200);
    let before = origin.received().len();
    let with_health = base.replacen(":0\"\n", ":0\"\nhealth_path = \"/health\"\n", 1);
    let changed = proxy.change(&with_health).unwrap();
    assert_eq!((changed.added, changed.removed), (vec![], vec![]));
    assert!(proxy.get("x", "/health").await.contains("ready"));
    assert_eq!(origin.received().len(), before, "the proxy itself responds");
}

#[tokio::test]
async fn a_config_that_cannot_be_served_changes_nothing() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let base = one_route(&bucket_at(origin.address));
    let mut proxy = Proxy::start(&base);
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bad = format!(
        "{}[[listener]]\naddress = \"{}\"\n",
        base.replace("name = ", "other = ")
            .replace("[[route]]\n", "[[route]]\nhosts = [\"other.cn\"]\n"),
        taken.local_addr().unwrap()
    );
    let why = proxy.change(&bad).unwrap_err();
    assert!(why.contains("cannot listen on"), "{why}");
    assert_eq!(status(&proxy.get("x", "/k").await), 200, "the old routes");
    assert_eq!(proxy.addresses.len(), 1);
    let why = proxy
        .change(&base.replace("[[route]]", "[[rout]]"))
        .unwrap_err();
    assert!(why.contains("test.toml:5:"), "{why}");
    assert_eq!(status(&proxy.get("x", "/k").await), 200);
}

#[tokio::test]
async fn settings_that_need_a_restart_are_named_and_the_others_apply() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let base = one_route(&bucket_at(origin.address));
    let mut proxy = Proxy::start(&base);
    let other = base
        .replace("workers = 1", "workers = 2")
        .replace("[[route]]", "[[route]]\nhosts = [\"a.cn\"]")
        + "[dns]\nmin_ttl = \"7s\"\n[log]\naccess = \"combined\"\nlevel = \"debug\"\n";
    let changed = proxy.change(&other).unwrap();
    assert_eq!(
        changed.needs_restart,
        ["server.workers", "dns", "log.access"]
    );
    assert_eq!(
        status(&proxy.get("b.cn", "/k").await),
        404,
        "the new routes"
    );
    assert_eq!(status(&proxy.get("a.cn", "/k").await), 200);
    // The process still uses the first config's values of these settings, so no restart is needed.
    assert_eq!(proxy.change(&base).unwrap().needs_restart, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_closes_connections_after_their_next_answer_and_can_be_undone() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let config = one_route(&bucket_at(origin.address)).replacen(
        ":0\"\n",
        ":0\"\nhealth_path = \"/health\"\n",
        1,
    );
    let mut proxy = Proxy::start(&config);
    let keep = "GET /k HTTP/1.1\r\nhost: x\r\n\r\n";
    let health = "GET /health HTTP/1.0\r\n\r\n";
    while status(&proxy.text(health).await) != 200 {}
    let tally = Arc::new(Tally::default());
    let (clients, begin) = (load(proxy.address, &tally), Instant::now());
    proxy.set_leaving(true);
    let answer = proxy.text(keep).await;
    assert!(answer.contains("connection: close"), "{answer}");
    let refused = proxy.text(health).await;
    assert_eq!(status(&refused), 503);
    assert!(refused.contains("draining"), "{refused}");
    while tally.sent.load(Relaxed) < CLIENTS * 10 {
        tokio::task::yield_now().await;
    }
    finish("leaving", &tally, clients, begin).await;
    proxy.set_leaving(false);
    assert_eq!(status(&proxy.text(health).await), 200);
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    for _ in 0..2 {
        assert_eq!(ask(&mut client, keep).await, Ok(true));
    }
}
