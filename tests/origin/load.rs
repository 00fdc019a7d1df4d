//! A constant load while addresses, DNS or an endpoint change: no request fails.
//!
//! Rows: DNS alternates between two addresses, and the withdrawn one stops accepting; DNS does not answer for
//! ten times the TTL; an endpoint stops accepting and comes back. The load mixes kept-alive and new
//! connections, reads and writes. `OSSGATE_TEST_FLIPS` sets the number of address changes (default 6, three
//! seconds each). Left out: single requests (`resolve`, `moving`, `tiers`).

#![allow(
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a load prints its figures, is sized by the environment, and its origin has a clock"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use ossgate::demo::dns::{Dns, DnsAnswer};
use ossgate::demo::net::{self, Served};
use ossgate::demo::origin::{BucketOptions, Options, Origin, TrustAll};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::load::{CLIENTS, PACE, Tally, finish, load};
use crate::support::proxy::Proxy;

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 2, last)
}

fn answer(lasts: &[u8]) -> DnsAnswer {
    DnsAnswer::Addresses {
        ips: lasts.iter().map(|last| IpAddr::V4(ip(*last))).collect(),
        ttl: 1,
    }
}

async fn start(lasts: &[u8], port: u16) -> (Dns, Proxy) {
    let dns = Dns::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    dns.set(answer(lasts));
    let proxy = Proxy::start(&format!(
        "[server]\nworkers = 2\n[dns]\nservers = [\"{}\"]\nmin_ttl = \"1s\"\ntimeout = \"300ms\"\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\norigin = {{ bucket = \"examplebucket\", endpoint = \"oss.test:{port}\", tls = false }}\n",
        dns.addr()
    ));
    (dns, proxy)
}

fn oss() -> Origin {
    let origin = Origin::new(Options {
        endpoints: vec!["oss.test".into()],
        buckets: vec![BucketOptions::new("examplebucket")],
        ..Options::new(Arc::new(TrustAll), Arc::new(SystemTime::now))
    });
    assert!(origin.put("examplebucket", b"k", None, "x".into()));
    origin
}

#[tokio::test(flavor = "multi_thread")]
async fn flips_between_two_addresses_lose_no_request() {
    let flips: u64 = std::env::var("OSSGATE_TEST_FLIPS").map_or(6, |flips| flips.parse().unwrap());
    let origin = oss();
    let first = TcpListener::bind((ip(1), 0)).await.unwrap();
    let port = first.local_addr().unwrap().port();
    let mut serving = net::serve(first, None, origin.clone());
    let (dns, proxy) = start(&[1], port).await;
    let (tally, begin) = (Arc::new(Tally::default()), Instant::now());
    let clients = load(proxy.address, &tally);
    // The open connections of withdrawn addresses stay open; only their listeners close.
    let mut withdrawn: Vec<Served> = Vec::new();
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    clock.tick().await;
    for flip in 0..flips {
        let next = ip(if flip % 2 == 0 { 2 } else { 1 });
        let listener = TcpListener::bind((next, port)).await.unwrap();
        let old = std::mem::replace(&mut serving, net::serve(listener, None, origin.clone()));
        dns.set(DnsAnswer::Addresses {
            ips: vec![next.into()],
            ttl: 1,
        });
        clock.tick().await;
        clock.tick().await;
        old.stop_accepting();
        withdrawn.push(old);
        clock.tick().await;
    }
    finish(&format!("{flips} flips"), &tally, clients, begin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dns_silent_for_ten_times_the_ttl_loses_no_request() {
    let listener = TcpListener::bind((ip(11), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _serving = net::serve(listener, None, oss());
    let (dns, proxy) = start(&[11], port).await;
    let (tally, begin) = (Arc::new(Tally::default()), Instant::now());
    let clients = load(proxy.address, &tally);
    while tally.sent.load(Relaxed) < CLIENTS {
        tokio::task::yield_now().await;
    }
    dns.set(DnsAnswer::Silent);
    tokio::time::interval_at(Instant::now() + Duration::from_secs(10), PACE)
        .tick()
        .await;
    finish("dead dns", &tally, clients, begin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_stops_accepting_and_comes_back_loses_no_request() {
    let [first, second] = [oss(), oss()];
    let listen = |address: SocketAddr| async move { TcpListener::bind(address).await.unwrap() };
    let listener = listen((ip(31), 0).into()).await;
    let address = listener.local_addr().unwrap();
    let serving = net::serve(listener, None, first.clone());
    let other = listen((ip(32), 0).into()).await;
    let proxy = Proxy::start(&format!(
        "[server]\nworkers = 2\n[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\n\
         origin = {{ bucket = \"examplebucket\", host = \"examplebucket.oss.test\", tls = false, endpoint = \"{address}\", \
         pool = {{ idle_per_address = 4 }}, fallback = [{{ endpoint = \"{}\" }}] }}\n",
        other.local_addr().unwrap()
    ));
    let _other = net::serve(other, None, second.clone());
    let (tally, begin) = (Arc::new(Tally::default()), Instant::now());
    let clients = load(proxy.address, &tally);
    let grows = |origin: &Origin| {
        let (origin, before) = (origin.clone(), origin.requests());
        async move {
            let growing = async {
                let mut pace = tokio::time::interval(PACE);
                while origin.requests() < before + 200 {
                    pace.tick().await;
                }
            };
            let limit = Duration::from_secs(60);
            tokio::time::timeout(limit, growing).await.expect("traffic")
        }
    };
    grows(&first).await;
    assert_eq!(second.requests(), 0);
    serving.stop_accepting();
    grows(&second).await;
    let _again = net::serve(listen(address).await, None, first.clone());
    grows(&first).await;
    finish("endpoint gone and back", &tally, clients, begin).await;
}
