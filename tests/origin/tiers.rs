//! All requests use the next endpoint while one cannot be connected to, and return to it later.
//!
//! Rows: connection refused, blackhole, a name that does not exist, TLS; a return to the first endpoint, and
//! an endpoint that comes and goes; all endpoints down. The names of the two endpoints resolve to loopback;
//! the endpoints differ in their port. Left out: which requests may move (`tier_change`), a slow endpoint,
//! which can be connected to.

use std::time::Duration;

use ossgate::demo::dns::DnsAnswer;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::black_hole::black_hole;
use crate::support::certificates;
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::status;
use crate::support::tiers::{PLAIN, closed, dns, get, named, proxy};
use crate::support::tls::tls_origin;

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_goes_away_costs_no_request() {
    let first = RawOrigin::start(|_| ok("first")).await;
    let second = RawOrigin::start(|_| ok("second")).await;
    let dns = dns().await;
    let endpoints = named([first.address.port(), second.address.port()]);
    let proxy = proxy(&dns, &endpoints, PLAIN);
    assert_eq!(get(&proxy).await, "first");
    assert_eq!(second.received().len(), 0);
    drop(first);
    // The listener closes when its task has been dropped.
    let leaving = async { while get(&proxy).await == "first" {} };
    tokio::time::timeout(Duration::from_secs(20), leaving)
        .await
        .expect("the first endpoint is gone");
    for _ in 0..100 {
        assert_eq!(get(&proxy).await, "second");
    }
    let host = format!("examplebucket.{}", endpoints[1]);
    for request in second.received() {
        assert_eq!(request.header("host"), [host.as_bytes()]);
    }
    let lines = proxy.stop();
    assert!(lines[0].get("tier").is_none(), "{}", lines[0]);
    let last = lines.last().unwrap();
    assert_eq!(last["tier"], 1, "{last}");
    assert_eq!(last["endpoint"], "examplebucket.second.test");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_leaves_an_endpoint_that_swallows_connects_within_five_seconds() {
    let (hole, _fillers) = black_hole(([127, 0, 5, 1], 0).into());
    let second = RawOrigin::start(|_| ok("second")).await;
    let dns = dns().await;
    dns.set_for(
        "examplebucket.first.test",
        DnsAnswer::Addresses {
            ips: vec!["127.0.5.1".parse().unwrap()],
            ttl: 60,
        },
    );
    let port = hole.local_addr().unwrap().port();
    let proxy = proxy(&dns, &named([port, second.address.port()]), "tls = false");
    let begin = Instant::now();
    assert_eq!(get(&proxy).await, "second");
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    for _ in 0..20 {
        let begin = Instant::now();
        assert_eq!(get(&proxy).await, "second");
        // A connect to the first endpoint would take three seconds.
        assert!(
            begin.elapsed() < Duration::from_millis(2500),
            "{:?}",
            begin.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_whose_name_does_not_exist_is_passed_over() {
    let second = RawOrigin::start(|_| ok("second")).await;
    let dns = dns().await;
    dns.set_for("examplebucket.first.test", DnsAnswer::NxDomain);
    let endpoints = named([80, second.address.port()]);
    let proxy = proxy(&dns, &endpoints, PLAIN);
    for _ in 0..3 {
        assert_eq!(get(&proxy).await, "second");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_is_checked_against_the_other_endpoints_name() {
    for (name, code) in [
        ("examplebucket.second.test", 200),
        ("examplebucket.first.test", 502),
    ] {
        let leaf = certificates::leaf(&[name]);
        let address = tls_origin(&leaf).await;
        let dns = dns().await;
        let endpoints = named([closed().await, address.port()]);
        let proxy = proxy(&dns, &endpoints, &format!("ca = {:?}", leaf.ca));
        let answer = proxy.get("x", "/k").await;
        assert_eq!(status(&answer), code, "{name}: {answer}");
    }
}

/// Traffic does not alternate between endpoints: one that accepts connections only briefly gets no request,
/// and one that keeps accepting them gets all requests.
#[tokio::test(flavor = "multi_thread")]
async fn traffic_returns_only_to_an_endpoint_that_keeps_accepting() {
    let second = RawOrigin::start(|_| ok("second")).await;
    let port = closed().await;
    let dns = dns().await;
    let proxy = proxy(&dns, &named([port, second.address.port()]), PLAIN);
    let second_for = async |time: Duration| {
        let begin = Instant::now();
        while begin.elapsed() < time {
            assert_eq!(get(&proxy).await, "second");
        }
    };
    // At this point, requests no longer try the first endpoint.
    second_for(Duration::from_millis(600)).await;
    let listen = || async { TcpListener::bind(("127.0.0.1", port)).await.unwrap() };
    let brief = RawOrigin::serve(listen().await, |_| ok("first"));
    let probed = async {
        while brief.accepted() < 2 {
            assert_eq!(get(&proxy).await, "second");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), probed)
        .await
        .expect("the endpoint is tried");
    drop(brief);
    // The two seconds are longer than the time between two connects of a trial.
    second_for(Duration::from_secs(2)).await;
    let first = RawOrigin::serve(listen().await, |_| ok("first"));
    let returning = async { while get(&proxy).await != "first" {} };
    tokio::time::timeout(Duration::from_secs(60), returning)
        .await
        .expect("traffic returns");
    assert!(first.accepted() > 3, "a trial takes several connects");
    for _ in 0..20 {
        assert_eq!(get(&proxy).await, "first");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_endpoint_down_the_answer_is_a_502_until_one_is_back() {
    let port = closed().await;
    let dns = dns().await;
    let proxy = proxy(&dns, &named([closed().await, port]), PLAIN);
    for _ in 0..3 {
        let answer = proxy.get("x", "/k").await;
        assert_eq!(status(&answer), 502, "{answer}");
        assert!(
            answer.contains("<Code>UpstreamConnectRefused</Code>"),
            "{answer}"
        );
    }
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let _second = RawOrigin::serve(listener, |_| ok("second"));
    assert_eq!(get(&proxy).await, "second");
}
