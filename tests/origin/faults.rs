//! Many requests while one of three addresses is dead, then slow, then breaks connections.
//!
//! No GET fails, and a PUT fails only if some of its bytes were sent. `OSSGATE_TEST_FAULTS` sets the number
//! of requests. The default is 450, because a slow response takes five seconds; 10000 requests take minutes.
//! The pool keeps no idle connection, because otherwise the faulty address would seldom get a request. Left
//! out: addresses that accept no connection (`moving`).

#![allow(
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a load prints its figures and is sized by the environment"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use ossgate::demo::dns::{Dns, DnsAnswer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::object::{TAG, answer, joined, object};
use crate::support::origin::{RawOrigin, Received, Reply, ok};
use crate::support::proxy::{Proxy, status};

const CLIENTS: usize = 64;
const GET: &str =
    "GET /k HTTP/1.1\r\nhost: x\r\nrange: bytes=1000-100999\r\nconnection: close\r\n\r\n";
const PUT: &str =
    "PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";

const SLOW: usize = 1;
const BREAKING: usize = 2;

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 4, last)
}

fn reply(request: &Received, object: &[u8], fault: usize) -> Reply {
    if request.line().starts_with("PUT") {
        return match fault {
            BREAKING => Reply::Close(Vec::new()),
            _ => ok(""),
        };
    }
    let answer = answer(request, object, TAG, "");
    match fault {
        SLOW => Reply::Late(Duration::from_secs(5), joined(answer, usize::MAX)),
        BREAKING => Reply::Reset(joined(answer, 50_000)),
        _ => Reply::Bytes(joined(answer, usize::MAX)),
    }
}

fn serve(listener: TcpListener, fault: &Arc<AtomicUsize>) -> RawOrigin {
    let (fault, object) = (Arc::clone(fault), object());
    RawOrigin::serve(listener, move |request| {
        reply(request, &object, fault.load(Relaxed))
    })
}

/// The outcomes of a load.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    gets: usize,
    puts: usize,
    /// The number of PUTs that got an `UpstreamReset` response.
    reset: usize,
    /// The starts of all unexpected responses.
    failed: Vec<String>,
}

/// Sends `count` requests, of which one in ten is a PUT.
async fn load(proxy: &Arc<Proxy>, count: usize) -> Tally {
    let next: Arc<AtomicUsize> = Arc::default();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (proxy, next, object) = (Arc::clone(proxy), Arc::clone(&next), object());
        clients.spawn(async move {
            let mut tally = Tally::default();
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= count {
                    return tally;
                }
                let is_put = number % 10 == 9;
                let got = proxy.raw(if is_put { PUT } else { GET }.as_bytes()).await;
                let text = String::from_utf8_lossy(&got[..got.len().min(1000)]).into_owned();
                match (is_put, status(&text)) {
                    (true, 200) => tally.puts += 1,
                    (true, 502) if text.contains("<Code>UpstreamReset<") => tally.reset += 1,
                    (false, 206) if got.ends_with(&object[1000..=100_999]) => tally.gets += 1,
                    _ => tally.failed.push(text),
                }
            }
        });
    }
    let mut all = Tally::default();
    while let Some(tally) = clients.join_next().await {
        let tally = tally.unwrap();
        all.gets += tally.gets;
        all.puts += tally.puts;
        all.reset += tally.reset;
        all.failed.extend(tally.failed);
    }
    eprintln!(
        "{} gets, {} puts, {} puts reset",
        all.gets, all.puts, all.reset
    );
    assert!(all.failed.is_empty(), "{:?}", all.failed);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_addresses_may_be_dead_slow_or_breaking() {
    let count: usize =
        std::env::var("OSSGATE_TEST_FAULTS").map_or(450, |count| count.parse().unwrap());
    let (fault, good): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
    let listener = TcpListener::bind((ip(1), 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let bad = serve(listener, &fault);
    let mut others = Vec::new();
    for last in [2, 3] {
        let listener = TcpListener::bind((ip(last), address.port())).await.unwrap();
        others.push(serve(listener, &good));
    }
    let dns = Dns::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    dns.set(DnsAnswer::Addresses {
        ips: [1, 2, 3].map(|last| IpAddr::V4(ip(last))).to_vec(),
        ttl: 60,
    });
    let proxy = Arc::new(Proxy::start(&format!(
        "[server]\nworkers = 1\n[dns]\nservers = [\"{}\"]\n[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\n\
         origin = {{ bucket = \"examplebucket\", endpoint = \"oss.test:{}\", tls = false, pool = {{ idle_per_address = 0 }} }}\n",
        dns.addr(),
        address.port()
    )));
    drop(bad);
    let dead = load(&proxy, count / 3).await;
    assert_eq!((dead.puts, dead.reset), (count / 30, 0));

    let bad = serve(TcpListener::bind(address).await.unwrap(), &fault);
    let healing = async {
        while bad.received().is_empty() {
            assert_eq!(load(&proxy, CLIENTS).await.reset, 0);
        }
    };
    tokio::time::timeout(Duration::from_secs(30), healing)
        .await
        .expect("the address serves again");
    fault.store(SLOW, Relaxed);
    let slow = load(&proxy, count / 3).await;
    assert_eq!((slow.puts, slow.reset), (count / 30, 0));

    fault.store(BREAKING, Relaxed);
    let before = bad.received().len();
    let breaking = load(&proxy, count / 3).await;
    assert_eq!(breaking.puts + breaking.reset, count / 30);
    assert!(bad.received().len() > before, "the address got requests");
    let puts = |request: &&Received| request.line().starts_with("PUT");
    let broken = bad.received()[before..].iter().filter(puts).count();
    assert_eq!(
        breaking.reset, broken,
        "a PUT fails only where its bytes went"
    );
    let lines = Arc::into_inner(proxy).unwrap().stop();
    let resumed = lines.iter().filter(|line| line.get("resumes").is_some());
    assert!(resumed.count() > 0);
}
