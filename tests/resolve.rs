//! OSS's addresses move, DNS fails, addresses die: no request is lost.
//!
//! Rows: flips between two addresses; answers in rotation; silence, NXDOMAIN, SERVFAIL after a good
//! answer and at the start; one address refusing, one blackholed; addresses that must not be used.
//! A scripted DNS on loopback, origins on 127.0.0.x. Left out: IPv6.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ossgate::demo::dns::{Dns, DnsAnswer};
use tokio::net::TcpListener;

use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, status};

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, last)
}

fn answer(lasts: &[u8]) -> DnsAnswer {
    DnsAnswer::Addresses {
        ips: lasts.iter().map(|last| IpAddr::V4(ip(*last))).collect(),
        ttl: 1,
    }
}

async fn dns(first: DnsAnswer) -> Dns {
    let dns = Dns::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    dns.set(first);
    dns
}

/// Origins on the same port of several addresses, each answering its own number.
async fn origins(lasts: &[u8]) -> (u16, Vec<RawOrigin>) {
    let first = TcpListener::bind((ip(lasts[0]), 0)).await.unwrap();
    let port = first.local_addr().unwrap().port();
    let mut listeners = vec![first];
    for last in &lasts[1..] {
        listeners.push(TcpListener::bind((ip(*last), port)).await.unwrap());
    }
    let serve = |(listener, last): (TcpListener, &u8)| {
        let last = *last;
        RawOrigin::serve(listener, move |_| ok(&format!("from {last}")))
    };
    (port, listeners.into_iter().zip(lasts).map(serve).collect())
}

fn proxy(dns: &Dns, port: u16, more: &str) -> Proxy {
    Proxy::start(&format!(
        "[server]\nworkers = 1\n[dns]\nservers = [\"{}\"]\nmin_ttl = \"1s\"\ntimeout = \"300ms\"\n{more}\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\norigin = {{ bucket = \"examplebucket\", endpoint = \"oss.test:{port}\", tls = false }}\n",
        dns.addr()
    ))
}

async fn get(proxy: &Proxy) -> String {
    proxy.get("x", "/k").await
}

/// Asks until the answer holds `part`; every answer on the way must be good.
async fn get_until(proxy: &Proxy, part: &str) {
    let asking = async {
        loop {
            let answer = get(proxy).await;
            assert_eq!(status(&answer), 200, "{answer}");
            if answer.ends_with(part) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(15), asking)
        .await
        .expect(part);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_follows_dns_to_an_address_nobody_had_told_of() {
    let (port, mut origins) = origins(&[11, 12]).await;
    let dns = dns(answer(&[11])).await;
    let proxy = proxy(&dns, port, "");
    get_until(&proxy, "from 11").await;
    // The old address is gone, and the new one is known to DNS only.
    dns.set(answer(&[12]));
    drop(origins.remove(0));
    get_until(&proxy, "from 12").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_rotation_keep_the_connections_of_all_addresses() {
    let (port, origins) = origins(&[21, 22, 23]).await;
    let dns = dns(answer(&[21])).await;
    let proxy = proxy(&dns, port, "");
    for last in [21, 22, 23] {
        dns.set(answer(&[last]));
        let queries = dns.queries();
        while dns.queries() < queries + 2 {
            assert_eq!(status(&get(&proxy).await), 200);
        }
    }
    let before: usize = origins.iter().map(RawOrigin::connections).sum();
    for last in [21, 22, 23] {
        dns.set(answer(&[last]));
        let queries = dns.queries();
        while dns.queries() < queries + 2 {
            assert_eq!(status(&get(&proxy).await), 200);
        }
    }
    let after: usize = origins.iter().map(RawOrigin::connections).sum();
    assert_eq!(after, before, "no address was forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dns_that_fails_after_a_good_answer_costs_nothing() {
    let (port, _origins) = origins(&[31]).await;
    let dns = dns(answer(&[31])).await;
    let proxy = proxy(&dns, port, "");
    get_until(&proxy, "from 31").await;
    for failure in [
        DnsAnswer::Silent,
        DnsAnswer::NxDomain,
        DnsAnswer::ServFail,
        DnsAnswer::Empty,
    ] {
        dns.set(failure);
        let queries = dns.queries();
        while dns.queries() < queries + 2 {
            assert_eq!(status(&get(&proxy).await), 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dns_that_fails_at_the_start_is_named_and_heals() {
    let (port, _origins) = origins(&[41]).await;
    let dns = dns(DnsAnswer::NxDomain).await;
    let proxy = proxy(&dns, port, "");
    let failed = get(&proxy).await;
    assert_eq!(status(&failed), 502, "{failed}");
    assert!(
        failed.contains("<Code>UpstreamDnsFailure</Code>") && failed.contains("does not exist"),
        "{failed}"
    );
    dns.set(answer(&[41]));
    let healing = async { while status(&get(&proxy).await) != 200 {} };
    tokio::time::timeout(Duration::from_secs(10), healing)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dead_address_of_two_costs_no_request() {
    let (port, mut origins) = origins(&[51, 52]).await;
    let dns = dns(answer(&[51, 52])).await;
    let proxy = proxy(&dns, port, "");
    drop(origins.remove(0));
    for _ in 0..100 {
        assert_eq!(status(&get(&proxy).await), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_an_endpoint_must_not_have_are_refused_by_name() {
    let dns = dns(DnsAnswer::Addresses {
        ips: vec![
            "169.254.169.254".parse().unwrap(),
            "100.100.100.200".parse().unwrap(),
        ],
        ttl: 1,
    })
    .await;
    let proxy = proxy(&dns, 80, "");
    let answer = get(&proxy).await;
    assert_eq!(status(&answer), 502);
    assert!(
        answer.contains("<Code>UpstreamAddressForbidden</Code>"),
        "{answer}"
    );
}
