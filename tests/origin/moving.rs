//! Addresses that die, move and lie, and name servers that do: what a request does about it.
//!
//! Rows: another certificate where an address was; an old address that swallows connects; places
//! limited; more dead addresses than alive; a kept connection into nowhere; refusals that are written
//! before the upload is read; answers that break off in their head; name servers that fail beside one
//! that works; one family of addresses without an answer.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ossgate::demo::dns::{Answer, Dns};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::Instant;

use crate::support::black_hole::{black_hole, fill};
use crate::support::certificates;
use crate::support::daemon::wait_for;
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, status};
use crate::support::tls::tls_origin_at;

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 6, last)
}

fn answer(lasts: &[u8]) -> Answer {
    Answer::Addresses {
        ips: lasts.iter().map(|last| IpAddr::V4(ip(*last))).collect(),
        ttl: 60,
    }
}

async fn dns(first: Answer) -> Dns {
    let dns = Dns::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
    let dns = dns.await.unwrap();
    dns.set(first);
    dns
}

/// A proxy for `oss.test:port`; `dns` and `origin`: more keys of these tables.
fn proxy(servers: &[SocketAddr], dns: &str, port: u16, origin: &str) -> Proxy {
    let servers: Vec<_> = servers.iter().map(|server| format!("{server:?}")).collect();
    Proxy::start(&format!(
        "[server]\nworkers = 1\n[dns]\nservers = {servers:?}\ntimeout = \"500ms\"\n{dns}\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\n[route.origin]\nbucket = \"examplebucket\"\n\
         endpoint = \"oss.test:{port}\"\n{origin}\n"
    ))
}

async fn get(proxy: &Proxy) -> String {
    let answer = proxy.get("x", "/k").await;
    assert_eq!(status(&answer), 200, "{answer}");
    answer
}

async fn known(dns: &Dns) {
    wait_for("the first answer", || (dns.queries() > 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_another_certificate_has_moved() {
    let right = certificates::leaf(&["examplebucket.oss.test"]);
    let wrong = certificates::leaf(&["somebody.else.test"]);
    let old = tls_origin_at(&wrong, (ip(1), 0).into()).await;
    tls_origin_at(&right, (ip(2), old.port()).into()).await;
    let dns = dns(answer(&[1])).await;
    let ca = format!("ca = {:?}", right.ca);
    let proxy = proxy(&[dns.addr()], "", old.port(), &ca);
    known(&dns).await;
    dns.set(answer(&[2]));
    for _ in 0..10 {
        get(&proxy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_on_an_address_that_is_gone_follows_dns() {
    let (hole, _fillers) = black_hole((ip(3), 0).into());
    let port = hole.local_addr().unwrap().port();
    let listener = TcpListener::bind((ip(4), port)).await.unwrap();
    let _origin = RawOrigin::serve(listener, |_| ok("x"));
    let dns = dns(answer(&[3])).await;
    let proxy = proxy(&[dns.addr()], "", port, "tls = false");
    known(&dns).await;
    dns.set(answer(&[4]));
    let begin = Instant::now();
    get(&proxy).await;
    // A connect that nobody answers takes three seconds.
    assert!(begin.elapsed() < Duration::from_millis(2500));
}

#[tokio::test(flavor = "multi_thread")]
async fn limited_places_leave_a_second_address_to_try() {
    let listener = TcpListener::bind((ip(5), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let origin = RawOrigin::serve(listener, |_| ok("x"));
    // Nobody listens at the other one.
    let dns = dns(answer(&[5, 6])).await;
    let pool = "tls = false\npool = { idle_per_address = 0, max_per_address = 2 }";
    let proxy = proxy(&[dns.addr()], "", port, pool);
    let begin = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    // The dead one is tried again after one second, and after two more.
    while begin.elapsed() < Duration::from_millis(3500) {
        pace.tick().await;
        get(&proxy).await;
    }
    assert!(origin.received().len() > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_address_of_ten_is_tried_when_the_others_refuse() {
    let listener = TcpListener::bind((ip(19), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _origin = RawOrigin::serve(listener, |_| ok("x"));
    let dns = dns(answer(&[10, 11, 12, 13, 14, 15, 16, 17, 18, 19])).await;
    get(&proxy(&[dns.addr()], "", port, "tls = false")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_on_a_kept_connection_into_nowhere_goes_to_another_address() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((ip(21), 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let other = TcpListener::bind((ip(22), address.port())).await.unwrap();
    let _other = RawOrigin::serve(other, |_| ok("second"));
    let dns = dns(answer(&[21])).await;
    let proxy = proxy(
        &[dns.addr()],
        "min_ttl = \"1s\"\nmax_ttl = \"1s\"",
        address.port(),
        "tls = false",
    );
    let answering = tokio::spawn(async move {
        let (mut kept, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            kept.read_buf(&mut request).await.unwrap();
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst";
        kept.write_all(answer).await.unwrap();
        (listener, kept)
    });
    assert!(get(&proxy).await.ends_with("first"));
    let (_listener, mut kept) = answering.await.unwrap();
    let _fillers = fill(address);
    let asked = dns.queries();
    dns.set(answer(&[21, 22]));
    wait_for("both addresses", || {
        (dns.queries() > asked + 1).then_some(())
    })
    .await;
    let begin = Instant::now();
    assert!(get(&proxy).await.ends_with("second"));
    // `first_byte` is a minute.
    assert!(begin.elapsed() < Duration::from_secs(15));
    let mut request = [0; 3];
    kept.read_exact(&mut request).await.unwrap();
    assert_eq!(&request, b"GET", "it was sent there first");
    assert_eq!(proxy.stop()[1]["retries"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dead_address_of_two_costs_no_request() {
    let listener = TcpListener::bind((ip(26), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _origin = RawOrigin::serve(listener, |_| ok("x"));
    let dns = dns(answer(&[25, 26])).await;
    let proxy = proxy(&[dns.addr()], "", port, "tls = false");
    for _ in 0..100 {
        get(&proxy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_blackholed_address_of_two_costs_a_stagger_at_most() {
    let (hole, _fillers) = black_hole((ip(23), 0).into());
    let port = hole.local_addr().unwrap().port();
    let listener = TcpListener::bind((ip(24), port)).await.unwrap();
    let _origin = RawOrigin::serve(listener, |_| ok("x"));
    let dns = dns(answer(&[23, 24])).await;
    let proxy = proxy(&[dns.addr()], "", port, "tls = false");
    let mut times = Vec::new();
    for _ in 0..200 {
        let begin = Instant::now();
        get(&proxy).await;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    let slow = times
        .iter()
        .filter(|time| **time > Duration::from_millis(200))
        .count();
    // Taking turns, every other one would; and none waits for a connect, which may take three seconds.
    assert!(slow <= 20, "{slow} requests waited for the dead address");
    assert!(times[199] < Duration::from_secs(2), "{:?}", times[199]);
}
