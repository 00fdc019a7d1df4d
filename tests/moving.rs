//! Addresses that die, move and lie, and name servers that do: what a request does about it.
//!
//! Rows: another certificate where an address was; an old address that swallows connects; places
//! limited; more dead addresses than alive; a kept connection into nowhere; refusals that are written
//! before the upload is read; answers that break off in their head; name servers that fail beside one
//! that works; one family of addresses without an answer.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ossgate::demo::dns::{Dns, DnsAnswer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::time::Instant;

use crate::load::{black_hole, fill};
use crate::support::certificates;
use crate::support::daemon::wait_for;
use crate::support::origin::{RawOrigin, Reply, ok};
use crate::support::proxy::{Proxy, bucket_at, one_route, status};
use crate::tls::tls_origin_at;

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
async fn a_refusal_arrives_though_the_origin_closes_without_reading() {
    let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\nx-oss-request-id: 1\r\n\r\nnope";
    let origin = RawOrigin::start(|_| Reply::Abrupt(refusal.to_vec())).await;
    let proxy = Proxy::start(&one_route(&bucket_at(origin.address)));
    for _ in 0..40 {
        let socket = TcpStream::connect(proxy.address).await.unwrap();
        let (mut reading, mut writing) = socket.into_split();
        let uploading = tokio::spawn(async move {
            let head = b"PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: 1048576\r\nconnection: close\r\n\r\n";
            // Ends early where the proxy closes.
            let _sent = writing.write_all(head).await;
            let _sent = writing.write_all(&vec![b'y'; 1 << 20]).await;
            // Not dropped here, which would say that the client has left.
            writing
        });
        let mut answer = Vec::new();
        let _end = reading.read_to_end(&mut answer).await;
        drop(uploading.await.unwrap());
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(answer.ends_with("nope"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_begun_to_answer_is_not_asked_again() {
    for beginning in [
        &b"HTTP/1.1 204 No Content\r\nx-oss"[..],
        b"HTTP/1.1 102 P\r\n\r\n",
    ] {
        for (method, length, times) in [
            ("DELETE", "", 1),
            ("PUT", "content-length: 0\r\n", 1),
            ("GET", "", 3),
        ] {
            let origin = RawOrigin::start(move |request| match request.line().contains("/twice") {
                true => Reply::Close(beginning.to_vec()),
                false => ok("x"),
            })
            .await;
            let proxy = Proxy::start(&one_route(&bucket_at(origin.address)));
            get(&proxy).await;
            let request =
                format!("{method} /twice HTTP/1.1\r\nhost: x\r\n{length}connection: close\r\n\r\n");
            let answer = proxy.text(&request).await;
            assert_eq!(status(&answer), 502, "{answer}");
            let asked = origin.received();
            let asked = asked.iter().filter(|asked| asked.line().contains("/twice"));
            assert_eq!(asked.count(), times, "{method}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_server_of_several_that_works_is_enough() {
    let listener = TcpListener::bind((ip(31), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _origin = RawOrigin::serve(listener, |_| ok("x"));
    let good = dns(answer(&[31])).await;
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
            get(&proxy(&servers, "", port, "tls = false")).await;
        }
    }
}

/// Passes questions on to `dns`, but for those for IPv6 addresses, which some firewalls drop.
async fn without_ipv6(dns: SocketAddr) -> SocketAddr {
    const AAAA: [u8; 2] = [0, 28];
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut question = [0; 512];
        loop {
            let (length, asker) = socket.recv_from(&mut question).await.unwrap();
            // Behind the fixed head, the name, which ends in a zero.
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
async fn one_family_without_an_answer_does_not_hold_up_the_other() {
    let listener = TcpListener::bind((ip(32), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _origin = RawOrigin::serve(listener, |_| ok("x"));
    let dns = dns(answer(&[32])).await;
    let server = without_ipv6(dns.addr()).await;
    get(&proxy(&[server], "family = \"both\"", port, "tls = false")).await;
}
