//! A single request while an address moves or dies: how it reaches another address.
//!
//! Rows: another certificate at an old address; an old address that never responds to connects; a limited
//! pool; more dead addresses than live ones; a kept connection to a host that has vanished; one address of
//! two that refuses connections; one of two that never responds to connects. Left out: kinds of DNS answers
//! (`resolve`), the same under load (`load`, `faults`).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ossgate::demo::dns::{Dns, DnsAnswer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::Instant;

use crate::support::black_hole::{black_hole, fill};
use crate::support::certificates;
use crate::support::daemon::wait_for;
use crate::support::origin::{RawOrigin, accept_request, ok};
use crate::support::proxy::{Proxy, status};
use crate::support::tls::tls_origin_at;

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 6, last)
}

fn answer(lasts: &[u8]) -> DnsAnswer {
    DnsAnswer::Addresses {
        ips: lasts.iter().map(|last| IpAddr::V4(ip(*last))).collect(),
        ttl: 60,
    }
}

async fn dns(first: DnsAnswer) -> Dns {
    let dns = Dns::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
    let dns = dns.await.unwrap();
    dns.set(first);
    dns
}

/// Starts a proxy for `oss.test:port`. `dns` and `origin` are additional keys for the config tables of these
/// names.
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

async fn first_query(dns: &Dns) {
    wait_for("the first query", || (dns.queries() > 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_certificate_counts_as_a_moved_address() {
    let right = certificates::leaf(&["examplebucket.oss.test"]);
    let wrong = certificates::leaf(&["somebody.else.test"]);
    let old = tls_origin_at(&wrong, (ip(1), 0).into()).await;
    tls_origin_at(&right, (ip(2), old.port()).into()).await;
    let dns = dns(answer(&[1])).await;
    let ca = format!("ca = {:?}", right.ca);
    let proxy = proxy(&[dns.addr()], "", old.port(), &ca);
    first_query(&dns).await;
    dns.set(answer(&[2]));
    for _ in 0..10 {
        get(&proxy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_a_dead_address_moves_on_when_dns_does() {
    let (hole, _fillers) = black_hole((ip(3), 0).into());
    let port = hole.local_addr().unwrap().port();
    let listener = TcpListener::bind((ip(4), port)).await.unwrap();
    let _origin = RawOrigin::serve(listener, |_| ok("x"));
    let dns = dns(answer(&[3])).await;
    let proxy = proxy(&[dns.addr()], "", port, "tls = false");
    first_query(&dns).await;
    dns.set(answer(&[4]));
    let begin = Instant::now();
    get(&proxy).await;
    // A connect without a response times out after three seconds.
    assert!(begin.elapsed() < Duration::from_millis(2500));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_pool_still_allows_a_second_address_to_be_tried() {
    let listener = TcpListener::bind((ip(5), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let origin = RawOrigin::serve(listener, |_| ok("x"));
    // No origin listens at the second address.
    let dns = dns(answer(&[5, 6])).await;
    let pool = "tls = false\npool = { idle_per_address = 0, max_per_address = 2 }";
    let proxy = proxy(&[dns.addr()], "", port, pool);
    let begin = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    // The pool tries the dead address again after one second, and again two seconds later.
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
        let mut kept = accept_request(&listener).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst";
        kept.write_all(answer).await.unwrap();
        (listener, kept)
    });
    assert!(get(&proxy).await.ends_with("first"));
    let (_listener, mut kept) = answering.await.unwrap();
    let _fillers = fill(address);
    let before = dns.queries();
    dns.set(answer(&[21, 22]));
    wait_for("the query after the change", || {
        (dns.queries() > before + 1).then_some(())
    })
    .await;
    let begin = Instant::now();
    assert!(get(&proxy).await.ends_with("second"));
    // Well below the timeout `first_byte`, which is a minute.
    assert!(begin.elapsed() < Duration::from_secs(15));
    let mut request = [0; 3];
    kept.read_exact(&mut request).await.unwrap();
    assert_eq!(
        &request, b"GET",
        "the request went to the kept connection first"
    );
    assert_eq!(proxy.stop()[1]["retries"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refusing_address_of_two_costs_no_request() {
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
    // If the addresses took turns, 100 requests would wait. No request waits for the connect timeout of three
    // seconds.
    assert!(slow <= 20, "{slow} requests waited for the dead address");
    assert!(times[199] < Duration::from_secs(2), "{:?}", times[199]);
}
