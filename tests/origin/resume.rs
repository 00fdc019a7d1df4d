//! A broken download is resumed with a range request. If that fails, the client detects an incomplete body.
//!
//! Rows: reset, early end and stall, at several places; a range of the client; a signed request; another
//! address; HTTP/2; every response that is not the rest of the object; every response that must not be
//! resumed; the limits. An origin on loopback serves an object by ranges and breaks the transfer where the
//! test needs it. Left out: a client that disconnects during a resume.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ossgate::demo::dns::{Dns, DnsAnswer};
use tokio::net::{TcpListener, TcpStream};

use crate::support::object::{LENGTH, TAG, answer, joined, object, range, whole};
use crate::support::origin::{RawOrigin, Received, Reply};
use crate::support::proxy::{Proxy, bucket_at, one_route};

/// Starts an origin that breaks its first connection by `how` after `cut` bytes of the body.
async fn breaking(cut: usize, how: fn(Vec<u8>) -> Reply) -> RawOrigin {
    let object = object();
    RawOrigin::start(move |request| {
        if request.connection == 0 {
            how(joined(answer(request, &object, TAG, ""), cut))
        } else {
            whole(request, &object)
        }
    })
    .await
}

fn proxy(origin: &RawOrigin, more: &str) -> Proxy {
    let route = bucket_at(origin.address).replace("tls = false", &format!("tls = false{more}"));
    Proxy::start(&one_route(&route))
}

/// Splits a response into the lines of its head, without request id and date, and its body.
fn split(answer: &[u8]) -> (Vec<String>, &[u8]) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.expect("a head") + 4);
    let head = String::from_utf8(head.to_vec()).unwrap();
    let lines = head
        .lines()
        .filter(|line| !line.contains("request-id: og-") && !line.starts_with("date: "));
    (lines.map(str::to_owned).collect(), body)
}

/// Asserts that the client received no head or a head with 200, and at most `most` bytes of the body.
fn assert_broken(got: &[u8], most: usize, name: &str) {
    let head = String::from_utf8_lossy(&got[..got.len().min(1000)]);
    assert!(
        head.is_empty() || head.starts_with("HTTP/1.1 200"),
        "{name}: {head}"
    );
    let body = if got.is_empty() { got } else { split(got).1 };
    assert!(body.len() <= most, "{name}: {}", body.len());
}

const GET: &str = "GET /k HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

async fn assert_continues(cut: usize, how: fn(Vec<u8>) -> Reply, more: &str, is_exact: bool) {
    let object = object();
    let origin = breaking(cut, how).await;
    let proxy = proxy(&origin, more);
    let got = proxy.raw(GET.as_bytes()).await;
    let (head, body) = split(&got);
    assert!(*body == **object, "{} bytes after {cut}", body.len());
    let received = origin.received();
    assert_eq!(received.len(), 2, "after {cut}");
    let (first, last) = range(&received[1]).unwrap();
    assert_eq!(last, LENGTH - 1);
    assert!(
        if is_exact { first == cut } else { first <= cut },
        "{first}"
    );
    assert_eq!(received[1].header("if-match"), [TAG.as_bytes()]);
    // The head must be the same as without a break.
    let (unbroken, _) = {
        let got = proxy.raw(GET.as_bytes()).await;
        let (head, body) = split(&got);
        assert!(*body == **object);
        (head, ())
    };
    assert_eq!(head, unbroken);
    let lines = proxy.stop();
    assert_eq!(lines[0]["resumes"], 1, "{lines:?}");
    assert_eq!(lines[0]["aborted"], false);
    assert_eq!(lines[0]["bytes_out"], LENGTH);
    assert!(lines[1].get("resumes").is_none(), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_ends_early_continues_where_it_ended() {
    for cut in [0, 1, 300_000, LENGTH - 1] {
        assert_continues(cut, Reply::Close, "", true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_reset_continues() {
    for cut in [1, 700_000] {
        assert_continues(cut, Reply::Reset, "", false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_stalls_continues() {
    let idle = ", timeouts = { idle = \"300ms\" }";
    assert_continues(300_000, Reply::Stall, idle, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_of_a_few_bytes_continues() {
    for (length, cut) in [(2000, 0), (2000, 1), (2000, 1999), (2, 1)] {
        let short = object()[..length].to_vec();
        let origin = {
            let short = short.clone();
            RawOrigin::start(move |request| {
                let cut = if request.connection == 0 { cut } else { length };
                Reply::Close(joined(answer(request, &short, TAG, ""), cut))
            })
            .await
        };
        let proxy = proxy(&origin, "");
        let got = proxy.raw(GET.as_bytes()).await;
        assert!(split(&got).1 == short, "{cut} of {length}");
        let received = origin.received();
        assert_eq!(
            range(&received[1]),
            Some((cut, LENGTH - 1)),
            "up to the end"
        );
        assert_eq!(proxy.stop()[0]["resumes"], 1, "{cut} of {length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_a_clients_own_range_stays_inside_it() {
    let origin = breaking(200_000, Reply::Close).await;
    let proxy = proxy(&origin, "");
    let request = "GET /k?versionId=v HTTP/1.1\r\nhost: x\r\nrange: bytes=1000-900000\r\n\
        if-range: \"5B3C1A2E053D763E1B002CC607C5A0FE\"\r\nif-none-match: \"other\"\r\n\
        authorization: OSS id:c2lnbmF0dXJl\r\nx-oss-meta-a: b\r\nconnection: close\r\n\r\n";
    let got = proxy.raw(request.as_bytes()).await;
    let (head, body) = split(&got);
    assert!(head[0].starts_with("HTTP/1.1 206"), "{head:?}");
    assert!(head.contains(&"content-range: bytes 1000-900000/1000000".to_owned()));
    assert!(body == &object()[1000..=900_000], "{}", body.len());
    let received = origin.received();
    assert_eq!(range(&received[1]), Some((201_000, 900_000)));
    assert_eq!(received[1].line(), received[0].line());
    assert!(
        received[1].header("if-range").is_empty(),
        "it asks for a range in any case"
    );
    for name in ["host", "authorization", "x-oss-meta-a", "if-none-match"] {
        assert_eq!(received[1].header(name), received[0].header(name), "{name}");
        assert_eq!(received[1].header(name).len(), 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_comes_from_another_address_if_there_is_one() {
    let [left, right] = [61, 62].map(|last| Ipv4Addr::new(127, 0, 3, last));
    let first = TcpListener::bind((left, 0)).await.unwrap();
    let port = first.local_addr().unwrap().port();
    let second = TcpListener::bind((right, port)).await.unwrap();
    // The address that gets the first request breaks all its downloads.
    let broken: Arc<AtomicUsize> = Arc::default();
    let origins: Vec<RawOrigin> = [(first, 1), (second, 2)]
        .into_iter()
        .map(|(listener, number)| {
            let (broken, object) = (Arc::clone(&broken), object());
            RawOrigin::serve(listener, move |request| {
                let _first = broken.compare_exchange(0, number, Relaxed, Relaxed);
                if broken.load(Relaxed) == number {
                    Reply::Close(joined(answer(request, &object, TAG, ""), 50_000))
                } else {
                    whole(request, &object)
                }
            })
        })
        .collect();
    let dns = Dns::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    dns.set(DnsAnswer::Addresses {
        ips: vec![IpAddr::V4(left), IpAddr::V4(right)],
        ttl: 60,
    });
    let proxy = Proxy::start(&format!(
        "[server]\nworkers = 1\n[dns]\nservers = [\"{}\"]\n[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\n\
         origin = {{ bucket = \"examplebucket\", endpoint = \"oss.test:{port}\", tls = false, \
         pool = {{ idle_per_address = 0 }} }}\n",
        dns.addr()
    ));
    let get = GET.replace("host", "range: bytes=0-99999\r\nhost");
    let begin = tokio::time::Instant::now();
    for _ in 0..40 {
        let got = proxy.raw(get.as_bytes()).await;
        assert!(*split(&got).1 == object()[..100_000]);
    }
    // If the addresses took turns, each would get at least twenty requests. The pool tries the broken address
    // again after a second.
    let most = 3 + 2 * usize::try_from(begin.elapsed().as_secs()).unwrap();
    let received: Vec<usize> = origins
        .iter()
        .map(|origin| origin.received().len())
        .collect();
    let broken = received[broken.load(Relaxed) - 1];
    assert!((1..=most).contains(&broken), "{received:?}");
    assert_eq!(received.iter().sum::<usize>(), 40 + broken);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_over_http2_continues() {
    let origin = breaking(300_000, Reply::Reset).await;
    let proxy = proxy(&origin, "");
    let socket = TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .unwrap();
    let driver = tokio::spawn(connection);
    let request = http::Request::get(format!("http://{}/k", proxy.address));
    let request = request.body(http_body_util::Empty::<bytes::Bytes>::new());
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(*body == **object(), "{}", body.len());
    assert_eq!(origin.received().len(), 2);
    driver.abort();
}

/// The response of the origin to the range request.
type Rest = fn(&Received, &[u8]) -> Vec<u8>;

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_the_rest_of_the_object_is_not_joined() {
    let cases: [(&str, Rest); 9] = [
        ("another tag", |request, object| {
            joined(answer(request, object, "\"OTHER\"", ""), LENGTH)
        }),
        ("a weak tag", |request, object| {
            joined(answer(request, object, &format!("W/{TAG}"), ""), LENGTH)
        }),
        ("another start", |request, object| {
            let (head, body) = answer(request, object, TAG, "");
            joined(
                (head.replace("bytes 300000-", "bytes 300001-"), body),
                LENGTH,
            )
        }),
        ("another end", |request, object| {
            let (head, body) = answer(request, object, TAG, "");
            joined((head.replace("-999999/", "-999998/"), body), LENGTH)
        }),
        ("another total", |request, object| {
            let (head, body) = answer(request, object, TAG, "");
            joined((head.replace("/1000000", "/1000001"), body), LENGTH)
        }),
        ("a content coding", |request, object| {
            joined(
                answer(request, object, TAG, "content-encoding: gzip\r\n"),
                LENGTH,
            )
        }),
        ("the whole object", |_, object| {
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\netag: {TAG}\r\n\r\n");
            joined((head, object.to_vec()), LENGTH)
        }),
        ("chunks", |request, object| {
            let (head, body) = answer(request, object, TAG, "");
            let head = head.replace("content-length: 700000", "transfer-encoding: chunked");
            [head.as_bytes(), b"aae60\r\n", &body, b"\r\n0\r\n\r\n"].concat()
        }),
        ("a refusal", |_, _| {
            b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno".to_vec()
        }),
    ];
    for (name, rest) in cases {
        let object = object();
        let origin = RawOrigin::start(move |request| {
            if request.connection == 0 {
                Reply::Close(joined(answer(request, &object, TAG, ""), 300_000))
            } else {
                Reply::Bytes(rest(request, &object))
            }
        })
        .await;
        let proxy = proxy(&origin, "");
        assert_broken(&proxy.raw(GET.as_bytes()).await, 300_000, name);
        assert_eq!(origin.received().len(), 2, "{name}");
        let lines = proxy.stop();
        assert_eq!(lines[0]["aborted"], true, "{name}");
        assert!(lines[0].get("resumes").is_none(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_bytes_may_differ_next_time_is_not_continued() {
    for (name, method, target, tag, more) in [
        ("weak tag", "GET", "/k", "W/\"A\"", ""),
        ("no strong tag", "GET", "/k", "A", ""),
        ("gzip", "GET", "/k", TAG, "content-encoding: gzip\r\n"),
        ("processed", "GET", "/k?x-oss-process=style/a", TAG, ""),
        ("not a GET", "PUT", "/k", TAG, ""),
    ] {
        let origin = RawOrigin::start(move |_| {
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\netag: {tag}\r\n{more}\r\n");
            Reply::Close([head.as_bytes(), &vec![b'x'; 50_000]].concat())
        })
        .await;
        let proxy = proxy(&origin, "");
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let got = proxy.raw(request.as_bytes()).await;
        assert_broken(&got, 50_000, name);
        assert_eq!(origin.received().len(), 1, "{name}");
        assert_eq!(proxy.stop()[0]["aborted"], true, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_given_up_after_three_attempts_or_one_without_progress() {
    for (progress, requests) in [(200_000, 4), (0, 2)] {
        let object = object();
        let origin = RawOrigin::start(move |request| {
            let cut = if request.connection == 0 {
                200_000
            } else {
                progress
            };
            Reply::Close(joined(answer(request, &object, TAG, ""), cut))
        })
        .await;
        let proxy = proxy(&origin, "");
        let most = 200_000 + (requests - 1) * progress;
        assert_broken(&proxy.raw(GET.as_bytes()).await, most, "given up");
        assert_eq!(origin.received().len(), requests);
        assert_eq!(proxy.stop()[0]["aborted"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_request_without_an_answer_is_followed_by_another() {
    let object = object();
    let origin = RawOrigin::start(move |request| match request.connection {
        0 => Reply::Close(joined(answer(request, &object, TAG, ""), 200_000)),
        1 => Reply::Close(Vec::new()),
        _ => whole(request, &object),
    })
    .await;
    let proxy = proxy(&origin, "");
    let got = proxy.raw(GET.as_bytes()).await;
    assert_eq!(split(&got).1.len(), LENGTH);
    assert_eq!(origin.received().len(), 3);
}

/// The budget is a fifth of the requests, plus ten. Without it, an origin that breaks every download would
/// get two more requests for each.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_range_request_is_free_and_further_ones_need_budget() {
    let object = object();
    let origin = RawOrigin::start(move |request| match range(request) {
        None => Reply::Close(joined(answer(request, &object, TAG, ""), 10)),
        Some(_) => Reply::Close(Vec::new()),
    })
    .await;
    let proxy = proxy(&origin, "");
    for _ in 0..150 {
        proxy.raw(GET.as_bytes()).await;
    }
    let received = origin.received();
    let again = received.iter().filter(|request| range(request).is_some());
    let again = again.count();
    assert!((200..300).contains(&again), "{again} of 450");
}
