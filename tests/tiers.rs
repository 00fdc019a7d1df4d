//! While an endpoint cannot be connected to, requests go to the next one; and they come back.
//!
//! Rows: connection refused, blackhole, a name that does not exist, TLS; uploads before and after
//! their first byte; downloads that break with their endpoint; a return, and an endpoint that comes
//! and goes; signatures that forbid another endpoint; all endpoints down. Two endpoints by name, both
//! on loopback, told apart by their port. Left out: a slow endpoint, which can be connected to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ossgate::demo::dns::{Dns, DnsAnswer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::load::{black_hole, fill};
use crate::support::certificates;
use crate::support::object::{LENGTH, TAG, answer, joined, object, whole};
use crate::support::origin::{RawOrigin, Reply, ok};
use crate::support::proxy::{Proxy, status};

async fn dns() -> Dns {
    let dns = Dns::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    dns.set(DnsAnswer::Addresses {
        ips: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        ttl: 60,
    });
    dns
}

/// A proxy whose origin has `endpoints`, with `more` keys.
fn proxy(dns: &Dns, endpoints: &[String], more: &str) -> Proxy {
    let fallback: Vec<String> = endpoints[1..]
        .iter()
        .map(|endpoint| format!("{{ endpoint = {endpoint:?} }}"))
        .collect();
    Proxy::start(&format!(
        "[server]\nworkers = 1\n[dns]\nservers = [\"{}\"]\nallow = [\"127.0.0.0/8\"]\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\n[route.origin]\nbucket = \"examplebucket\"\n\
         endpoint = {:?}\nfallback = [{}]\n{more}\n",
        dns.addr(),
        endpoints[0],
        fallback.join(", ")
    ))
}

const PLAIN: &str = "tls = false\ntimeouts = { connect = \"500ms\" }";

fn named(ports: [u16; 2]) -> [String; 2] {
    [
        format!("first.test:{}", ports[0]),
        format!("second.test:{}", ports[1]),
    ]
}

/// A port nobody listens on.
async fn closed() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

async fn get(proxy: &Proxy) -> String {
    let answer = proxy.get("x", "/k").await;
    assert_eq!(status(&answer), 200, "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

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
    // It is gone when its task has been dropped.
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
async fn an_endpoint_that_swallows_connects_is_left_within_five_seconds() {
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
        // A connect to the hole would take three seconds.
        assert!(
            begin.elapsed() < Duration::from_millis(2500),
            "{:?}",
            begin.elapsed()
        );
    }
}

/// A network that swallows everything leaves kept connections open. The first endpoint answers one
/// request, then nothing, and takes no connection any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_on_a_kept_connection_of_a_lost_endpoint_moves() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let second = RawOrigin::start(|_| ok("second")).await;
    let dns = dns().await;
    // Literal addresses: a connection made before the first DNS answer is not kept.
    let endpoints = [address, second.address].map(|address| address.to_string());
    let more = "tls = false\ntimeouts = { connect = \"2s\" }\nhost = \"img.example.com\"";
    let proxy = proxy(&dns, &endpoints, more);
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
    assert_eq!(get(&proxy).await, "first");
    let (_listener, mut kept) = answering.await.unwrap();
    let _fillers = fill(address);
    let begin = Instant::now();
    // A second to wonder, two to find out; asking the first endpoint again would be two more.
    assert_eq!(get(&proxy).await, "second");
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    let mut request = [0; 3];
    kept.read_exact(&mut request).await.unwrap();
    assert_eq!(&request, b"GET", "it was sent there first");
    let begin = Instant::now();
    assert_eq!(get(&proxy).await, "second");
    // Asking the first endpoint again would be two seconds.
    assert!(begin.elapsed() < Duration::from_millis(1500), "moved");
    assert_eq!(proxy.stop()[1]["retries"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_on_a_kept_connection_is_waited_for() {
    let first = RawOrigin::start(|request| match request.line().contains("slow") {
        true => {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow";
            Reply::Late(Duration::from_millis(1500), answer.to_vec())
        }
        false => ok("first"),
    })
    .await;
    let second = RawOrigin::start(|_| ok("second")).await;
    let dns = dns().await;
    let endpoints = [first.address, second.address].map(|address| address.to_string());
    let more = format!("{PLAIN}\nhost = \"img.example.com\"");
    let proxy = proxy(&dns, &endpoints, &more);
    assert_eq!(get(&proxy).await, "first");
    let answer = proxy.get("x", "/slow").await;
    assert!(answer.ends_with("slow"), "{answer}");
    assert_eq!(first.connections(), 2, "whether it is there was asked");
    assert_eq!(first.received().len(), 2);
    assert!(second.received().is_empty());
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
        let address = crate::tls::tls_origin(&leaf).await;
        let dns = dns().await;
        let endpoints = named([closed().await, address.port()]);
        let proxy = proxy(&dns, &endpoints, &format!("ca = {:?}", leaf.ca));
        let answer = proxy.get("x", "/k").await;
        assert_eq!(status(&answer), code, "{name}: {answer}");
    }
}

/// One answer after the other, never back and forth: an endpoint that shows up for a moment gets no
/// request, one that stays gets all.
#[tokio::test(flavor = "multi_thread")]
async fn traffic_returns_to_an_endpoint_that_holds_and_only_to_such_a_one() {
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
    // Until requests no longer try the first one.
    second_for(Duration::from_millis(600)).await;
    let listen = || async { TcpListener::bind(("127.0.0.1", port)).await.unwrap() };
    let brief = RawOrigin::serve(listen().await, |_| ok("first"));
    let probed = async {
        while brief.connections() < 2 {
            assert_eq!(get(&proxy).await, "second");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), probed)
        .await
        .expect("the endpoint is tried");
    drop(brief);
    // Longer than between two connects of a trial.
    second_for(Duration::from_secs(2)).await;
    let first = RawOrigin::serve(listen().await, |_| ok("first"));
    let returning = async { while get(&proxy).await != "first" {} };
    tokio::time::timeout(Duration::from_secs(60), returning)
        .await
        .expect("traffic returns");
    assert!(first.connections() > 3, "it had to hold");
    for _ in 0..20 {
        assert_eq!(get(&proxy).await, "first");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_moves_while_none_of_it_was_sent_and_never_after() {
    let put = "PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
    let post = "POST /k?append&position=0 HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
    let dns = dns().await;
    for upload in [put, post] {
        let second = RawOrigin::start(|_| ok("")).await;
        let endpoints = named([closed().await, second.address.port()]);
        let tiers = proxy(&dns, &endpoints, PLAIN);
        assert_eq!(status(&tiers.text(upload).await), 200);
        assert_eq!(second.received()[0].body, b"hello");

        let first = RawOrigin::start(|_| Reply::Close(Vec::new())).await;
        let endpoints = named([first.address.port(), second.address.port()]);
        let tiers = proxy(&dns, &endpoints, PLAIN);
        let answer = tiers.text(upload).await;
        assert_eq!(status(&answer), 502, "{answer}");
        assert!(answer.contains("<Code>UpstreamReset</Code>"), "{answer}");
        assert_eq!(second.received().len(), 1, "its bytes may have arrived");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_at_another_endpoint() {
    let first = {
        let object = object();
        RawOrigin::start(move |request| {
            Reply::Stall(joined(answer(request, &object, TAG, ""), 300_000))
        })
        .await
    };
    let object = object();
    let copy = object.clone();
    let second = RawOrigin::start(move |request| whole(request, &copy)).await;
    let dns = dns().await;
    let endpoints = named([first.address.port(), second.address.port()]);
    let proxy = proxy(&dns, &endpoints, PLAIN);
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    socket
        .write_all(b"GET /k HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut got = vec![0; 1000];
    socket.read_exact(&mut got).await.unwrap();
    drop(first);
    socket.read_to_end(&mut got).await.unwrap();
    assert!(got.ends_with(&object), "{} bytes", got.len());
    assert!(got.len() < LENGTH + 1000);
    let asked = &second.received()[0];
    assert!(!asked.header("range").is_empty());
    let host = format!("examplebucket.{}", endpoints[1]);
    assert_eq!(asked.header("host"), [host.as_bytes()]);
}

const V4: &str = "OSS4-HMAC-SHA256 Credential=id/20261125/cn-hangzhou/oss/aliyun_v4_request";

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_names_the_endpoint_keeps_the_request_there() {
    let second = RawOrigin::start(|_| ok("second")).await;
    let dns = dns().await;
    let port = second.address.port();
    let hangzhou = format!("oss-cn-hangzhou.aliyuncs.com:{port}");
    let shanghai = format!("oss-cn-shanghai.aliyuncs.com:{port}");
    let first = format!("oss-cn-hangzhou.aliyuncs.com:{}", closed().await);
    let bound_host = format!("{PLAIN}\nhost = \"img.example.com\"");
    let by_host = format!("{V4},AdditionalHeaders=host,Signature=00");
    let header = |value: &str| format!("GET /k HTTP/1.1\r\nhost: x\r\nauthorization: {value}\r\n");
    let query = |query: &str| format!("GET /k?{query} HTTP/1.1\r\nhost: x\r\n");
    for (request, other, more, code) in [
        (header("OSS id:c2ln"), &hangzhou, PLAIN, 200),
        (header(&format!("{V4},Signature=00")), &hangzhou, PLAIN, 200),
        (header(&by_host), &hangzhou, PLAIN, 503),
        (header(&by_host), &hangzhou, &*bound_host, 200),
        (header(&format!("{V4},Signature=00")), &shanghai, PLAIN, 503),
        (header("OSS id:c2ln"), &shanghai, PLAIN, 200),
        (
            query("OSSAccessKeyId=id&Expires=1&Signature=c2ln"),
            &hangzhou,
            PLAIN,
            200,
        ),
        (
            query("x-oss-additional-headers=host&x-oss-signature=00"),
            &hangzhou,
            PLAIN,
            503,
        ),
    ] {
        let proxy = proxy(&dns, &[first.clone(), other.clone()], more);
        let before = second.received().len();
        // The second round finds the traffic at the other endpoint already.
        for _ in 0..2 {
            let answer = proxy
                .text(&format!("{request}connection: close\r\n\r\n"))
                .await;
            assert_eq!(status(&answer), code, "{request} to {other}: {answer}");
            if code == 503 {
                assert!(
                    answer.contains("<Code>UpstreamSignatureBound</Code>")
                        && answer.contains("OSS was not reached")
                        && answer.contains("retry-after: 1\r\n"),
                    "{answer}"
                );
                assert!(
                    !answer.to_lowercase().contains("x-oss-request-id"),
                    "{answer}"
                );
            }
            let moving = "GET /other HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            assert_eq!(status(&proxy.text(moving).await), 200);
        }
        let seen = second.received().len() - before;
        assert_eq!(seen, if code == 200 { 4 } else { 2 }, "{request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_endpoint_down_the_answer_says_so_and_heals() {
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
