//! The kinds of DNS answers and their effect on requests.
//!
//! Rows: an answer with another address; rotating answers; no answer, NXDOMAIN, SERVFAIL and empty answers,
//! each after a good answer and at the start; several name servers of which one works; one address family
//! without an answer; addresses that are not permitted for an endpoint. The DNS server is scripted and on
//! loopback, the origins are on 127.0.1.x. Left out: origins that are reached by IPv6.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ossgate::demo::dns::{Dns, DnsAnswer};
use tokio::net::{TcpListener, UdpSocket};

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

/// Starts origins on several addresses, all with the same port. Each response contains the last number of the
/// address.
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

fn proxy(servers: &[SocketAddr], port: u16, more: &str) -> Proxy {
    let servers: Vec<_> = servers.iter().map(|server| format!("{server:?}")).collect();
    Proxy::start(&format!(
        "[server]\nworkers = 1\n[dns]\nservers = {servers:?}\nmin_ttl = \"1s\"\ntimeout = \"300ms\"\n{more}\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\norigin = {{ bucket = \"examplebucket\", endpoint = \"oss.test:{port}\", tls = false }}\n"
    ))
}

async fn get(proxy: &Proxy) -> String {
    proxy.get("x", "/k").await
}

/// Repeats a GET until the response ends with `part`. Every response must have status 200.
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
async fn a_request_follows_dns_to_an_address_that_is_not_known_yet() {
    let (port, mut origins) = origins(&[11, 12]).await;
    let dns = dns(answer(&[11])).await;
    let proxy = proxy(&[dns.addr()], port, "");
    get_until(&proxy, "from 11").await;
    // The old address refuses connections, and only DNS returns the new one.
    dns.set(answer(&[12]));
    drop(origins.remove(0));
    get_until(&proxy, "from 12").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_rotation_keep_the_connections_of_all_addresses() {
    let (port, origins) = origins(&[21, 22, 23]).await;
    let dns = dns(answer(&[21])).await;
    let proxy = proxy(&[dns.addr()], port, "");
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
    assert_eq!(after, before, "no connection was opened anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dns_failure_after_a_good_answer_costs_no_request() {
    let (port, _origins) = origins(&[31]).await;
    let dns = dns(answer(&[31])).await;
    let proxy = proxy(&[dns.addr()], port, "");
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
async fn a_dns_failure_at_the_start_is_reported_and_recovers() {
    let (port, _origins) = origins(&[41]).await;
    let dns = dns(DnsAnswer::NxDomain).await;
    let proxy = proxy(&[dns.addr()], port, "");
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
async fn forbidden_addresses_have_an_error_of_their_own() {
    let dns = dns(DnsAnswer::Addresses {
        ips: vec![
            "169.254.169.254".parse().unwrap(),
            "100.100.100.200".parse().unwrap(),
        ],
        ttl: 1,
    })
    .await;
    let proxy = proxy(&[dns.addr()], 80, "");
    let answer = get(&proxy).await;
    assert_eq!(status(&answer), 502);
    assert!(
        answer.contains("<Code>UpstreamAddressForbidden</Code>"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_server_of_several_that_works_is_enough() {
    let listener = TcpListener::bind((ip(61), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _origin = RawOrigin::serve(listener, |_| ok("x"));
    let good = dns(answer(&[61])).await;
    for bad in [
        DnsAnswer::ServFail,
        DnsAnswer::NxDomain,
        DnsAnswer::Empty,
        DnsAnswer::Silent,
    ] {
        let (one, other) = (dns(bad.clone()).await, dns(bad).await);
        for servers in [
            [one.addr(), other.addr(), good.addr()],
            [good.addr(), one.addr(), other.addr()],
        ] {
            let answer = get(&proxy(&servers, port, "")).await;
            assert_eq!(status(&answer), 200, "{answer}");
        }
    }
}

/// Starts a name server that forwards queries to `dns` and ignores those for IPv6 addresses, like some
/// firewalls.
async fn without_ipv6(dns: SocketAddr) -> SocketAddr {
    const AAAA: [u8; 2] = [0, 28];
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut question = [0; 512];
        loop {
            let (length, asker) = socket.recv_from(&mut question).await.unwrap();
            // The name begins after the fixed head of 12 bytes and ends in a zero byte.
            let name = question[12..length].iter().position(|byte| *byte == 0);
            let kind = 12 + name.unwrap() + 1;
            if question[kind..kind + 2] == AAAA {
                continue;
            }
            let asking = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            asking.send_to(&question[..length], dns).await.unwrap();
            let mut answer = [0; 512];
            let length = asking.recv(&mut answer).await.unwrap();
            socket.send_to(&answer[..length], asker).await.unwrap();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_family_without_an_answer_does_not_delay_the_other() {
    let listener = TcpListener::bind((ip(62), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _origin = RawOrigin::serve(listener, |_| ok("x"));
    let dns = dns(answer(&[62])).await;
    let server = without_ipv6(dns.addr()).await;
    let answer = get(&proxy(&[server], port, "family = \"both\"")).await;
    assert_eq!(status(&answer), 200, "{answer}");
}

/// The old address still serves, so only DNS shows that it has left. Kept connections must not hold requests back.
#[tokio::test(flavor = "multi_thread")]
async fn requests_follow_dns_although_the_old_address_still_serves() {
    let (port, origins) = origins(&[51, 52]).await;
    let dns = dns(answer(&[51])).await;
    let proxy = proxy(&[dns.addr()], port, "");
    get_until(&proxy, "from 51").await;
    dns.set(answer(&[52]));
    let limit = Duration::from_secs(6);
    let followed = tokio::time::timeout(limit, get_until(&proxy, "from 52")).await;
    followed.expect("a connection to the new address within the TTL and five seconds");
    let before = origins[0].received().len();
    let queries = dns.queries();
    // Beyond the ten seconds after which the old address is withdrawn.
    while dns.queries() < queries + 12 {
        assert!(get(&proxy).await.ends_with("from 52"));
    }
    assert_eq!(origins[0].received().len(), before, "the old address");
}
