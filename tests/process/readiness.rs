//! The readiness of a node for traffic.
//!
//! Rows: an endpoint that refuses connections from the start; one that accepts connections and fails at TLS;
//! one that accepts connections and does not respond to the HEAD of `probe_path`; one that responds to it
//! with a 403; three addresses that stop responding together, and one of three. Left out: bucket names made
//! up by a client, and commands (`admin`).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ossgate::demo::dns::{Dns, DnsAnswer};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::black_hole::MortalOrigin;
use crate::support::certificates;
use crate::support::daemon::wait_for;
use crate::support::origin::{RawOrigin, Reply, ok};
use crate::support::proxy::{Proxy, bucket_at, one_route, status};
use crate::support::tls::tls_origin;

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 9, last)
}

async fn until_ready(proxy: &Proxy) {
    let health = &proxy.state().health;
    wait_for("ready", || health.is_ready().then_some(())).await;
}

/// Waits until the health state reports a text with `trouble`, and asserts that the node is not ready.
async fn stays_unready(proxy: &Proxy, trouble: &str) {
    let state = proxy.state();
    wait_for("the trouble", || {
        state
            .health
            .troubles()
            .iter()
            .any(|text| text.contains(trouble))
            .then_some(())
    })
    .await;
    assert!(!state.health.is_ready(), "{:?}", state.health.troubles());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_not_ready_before_it_has_reached_an_endpoint() {
    let listener = TcpListener::bind((ip(1), 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Proxy::start(&one_route(&bucket_at(address)));
    stays_unready(&proxy, "be connected to").await;
    // The node becomes ready without a request.
    let listener = TcpListener::bind(address).await.unwrap();
    let origin = RawOrigin::serve(listener, |_| ok("x"));
    until_ready(&proxy).await;
    assert!(origin.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_fails_at_tls_does_not_become_healthy_by_accepting_connections() {
    let leaf = certificates::leaf(&["somebody.else.test"]);
    let address = tls_origin(&leaf).await;
    let origin = format!(
        "origin = {{ bucket = \"examplebucket\", endpoint = \"{address}\", host = \"h\", ca = {:?}, server_name = \"oss.test\" }}",
        leaf.ca
    );
    let proxy = Proxy::start(&one_route(&origin));
    stays_unready(&proxy, "be connected to").await;
    for _ in 0..3 {
        let answer = proxy.get("x", "/k").await;
        assert!(answer.contains("UpstreamTlsFailure"), "{answer}");
        assert!(!proxy.state().health.is_ready());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_probe_path_oss_has_to_answer() {
    let text = |address: SocketAddr| {
        let route = one_route(&bucket_at(address));
        route.replacen(
            "[server]\n",
            "[server]\nprobe = \"1s\"\nprobe_path = \"/a%20b?c=1\"\n",
            1,
        )
    };
    let refusing = RawOrigin::start(|_| {
        Reply::Bytes(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_vec())
    })
    .await;
    let proxy = Proxy::start(&text(refusing.address));
    until_ready(&proxy).await;
    wait_for("the probe", || refusing.received().first().cloned()).await;
    let probe = &refusing.received()[0];
    assert_eq!(probe.line(), "HEAD /a%20b?c=1 HTTP/1.1");
    assert_eq!(probe.header("host"), [b"examplebucket.oss.test".to_vec()]);
    let silent = RawOrigin::start(|_| Reply::Close(Vec::new())).await;
    let proxy = Proxy::start(&text(silent.address));
    stays_unready(&proxy, "does not answer").await;
}

/// Starts origins on three addresses with the same port, and a proxy that is connected to them. The first
/// `vanishing` origins are [`MortalOrigin`]s.
async fn three(vanishing: usize) -> (Proxy, Vec<MortalOrigin>, Vec<RawOrigin>, Dns) {
    let first = MortalOrigin::start((ip(10), 0).into());
    let port = first.address().port();
    let mut mortals = vec![first];
    let mut others = Vec::new();
    for number in 1..3_u8 {
        let address = SocketAddr::from((ip(10 + number), port));
        if usize::from(number) < vanishing {
            mortals.push(MortalOrigin::start(address));
        } else {
            let listener = TcpListener::bind(address).await.unwrap();
            others.push(RawOrigin::serve(listener, |_| ok("")));
        }
    }
    let dns = Dns::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
    let dns = dns.await.unwrap();
    dns.set(DnsAnswer::Addresses {
        ips: [10, 11, 12].map(|last| IpAddr::V4(ip(last))).to_vec(),
        ttl: 60,
    });
    let proxy = Proxy::start(&format!(
        "[server]\nworkers = 1\n[dns]\nservers = [\"{}\"]\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\norigin = {{ bucket = \"examplebucket\", endpoint = \"oss.test:{port}\", tls = false }}\n",
        dns.addr()
    ));
    until_ready(&proxy).await;
    assert_eq!(status(&proxy.get("x", "/k").await), 200);
    (proxy, mortals, others, dns)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cut_off_from_all_addresses_is_unready_within_four_seconds() {
    let (proxy, mut mortals, _others, _dns) = three(3).await;
    let health = &proxy.state().health;
    for mortal in &mut mortals {
        mortal.die();
    }
    let began = Instant::now();
    let request = proxy.get("x", "/k");
    let unready = wait_for("not ready", || (!health.is_ready()).then_some(()));
    tokio::select! {
        _answer = request => panic!("no address responds"),
        () = unready => {}
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_silent_address_of_three_leaves_the_node_ready() {
    let (proxy, mut mortals, _others, _dns) = three(1).await;
    let health = &proxy.state().health;
    mortals[0].die();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        assert_eq!(status(&proxy.get("x", "/k").await), 200);
        assert!(health.is_ready(), "{:?}", health.troubles());
    }
}
