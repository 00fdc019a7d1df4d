//! The attempts of a request that the proxy signs.
//!
//! Rows: further attempts, the rest of a download and a fallback endpoint; a clock that is wrong; refusals of OSS;
//! two routes with different keys. Left out: what is signed (`private`).

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crate::support::object::{LENGTH, TAG, answer, joined, object, whole};
use crate::support::origin::{RawOrigin, Reply, ok};
use crate::support::private::{Private, STATIC, assert_signed, one_key, route};
use crate::support::proxy::{Proxy, header, one_route, status};
use crate::support::tiers;

fn request(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nhost: x\r\n{headers}connection: close\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_is_signed_anew() {
    let origin = RawOrigin::start(|request| match request.connection {
        0 | 1 => Reply::Reset(Vec::new()),
        _ => ok("x"),
    })
    .await;
    let proxy = Proxy::start(&one_route(&route(origin.address, STATIC)));
    let answer = proxy
        .text(&request("GET", "/k?v=1", "x-oss-meta-a: 1\r\n"))
        .await;
    assert_eq!(status(&answer), 200, "{answer}");
    let received = origin.received();
    assert_eq!(received.len(), 3);
    for request in &received {
        assert_eq!(assert_signed(&one_key(), request), "id");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_a_download_is_signed() {
    let whole_object = object();
    let origin = RawOrigin::start(move |request| {
        if request.connection == 0 {
            Reply::Reset(joined(answer(request, &whole_object, TAG, ""), LENGTH / 2))
        } else {
            whole(request, &whole_object)
        }
    })
    .await;
    let proxy = Proxy::start(&one_route(&route(origin.address, STATIC)));
    let got = proxy
        .raw(request("GET", "/k", "x-oss-meta-a: 1\r\n").as_bytes())
        .await;
    assert!(
        got.ends_with(&object()[LENGTH - 1000..]),
        "{} bytes",
        got.len()
    );
    let received = origin.received();
    assert_eq!(received.len(), 2);
    assert!(!received[1].header("range").is_empty());
    for request in &received {
        assert_eq!(assert_signed(&one_key(), request), "id");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_endpoint_gets_a_signature_for_the_same_region() {
    let second = RawOrigin::start(|_| ok("second")).await;
    let dns = tiers::dns().await;
    let endpoints = tiers::named([tiers::closed().await, second.address.port()]);
    let more = format!(
        "{}\ncredentials = {{ {STATIC} }}\n[route.sign]\nregion = \"cn-hangzhou\"",
        tiers::PLAIN
    );
    let proxy = tiers::proxy(&dns, &endpoints, &more);
    assert_eq!(tiers::get(&proxy).await, "second");
    assert_eq!(assert_signed(&one_key(), &second.received()[0]), "id");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_corrected_after_one_refusal() {
    for (ahead, method) in [(3600, "GET"), (-7200, "GET"), (3600, "HEAD")] {
        let bucket = Private::start().await;
        bucket.put("k");
        let proxy = Proxy::start(&one_route(&route(bucket.address, STATIC)));
        bucket.ahead.store(ahead, Relaxed);
        for expected in [2, 3, 4] {
            let answer = proxy.text(&request(method, "/k", "")).await;
            assert_eq!(status(&answer), 200, "{ahead} {method}: {answer}");
            assert_eq!(bucket.origin.requests(), expected, "{ahead} {method}");
        }
        // The clock is right again.
        bucket.ahead.store(0, Relaxed);
        let answer = proxy.text(&request(method, "/k", "")).await;
        assert_eq!(status(&answer), 200, "{ahead} {method}: {answer}");
        assert_eq!(bucket.origin.requests(), 6);
    }
}

const DENIED: &str = "<Error><Code>AccessDenied</Code></Error>";
const SKEWED: &str = "<Error><Code>RequestTimeTooSkewed</Code></Error>";

fn forbidden(date: &str, framing: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 403 Forbidden\r\ndate: {date}\r\nx-oss-request-id: r\r\n{framing}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_passes_whole_unless_oss_refused_the_signature_itself() {
    let long = DENIED.repeat(2000);
    let half = &long[..long.len() / 2];
    let length = |body: &str| format!("content-length: {}", body.len());
    let chunked = format!("{:x}\r\n{SKEWED}\r\n0\r\n\r\n", SKEWED.len());
    let date = "Thu, 01 Jan 2015 00:00:00 GMT";
    for (name, text, end, requests) in [
        (
            "another code",
            forbidden(date, &length(DENIED), DENIED),
            DENIED,
            1,
        ),
        (
            "no date",
            forbidden("never", &length(SKEWED), SKEWED),
            SKEWED,
            1,
        ),
        ("no body", forbidden(date, &length(""), ""), "", 1),
        (
            "of the signature by its number",
            forbidden(
                date,
                &format!("x-oss-ec: 0002-00000201\r\n{}", length(&long)),
                &long,
            ),
            "",
            1,
        ),
        (
            "longer than what is read",
            forbidden(date, &length(&long), &long),
            &long,
            1,
        ),
        (
            "of unknown length",
            forbidden(date, "transfer-encoding: chunked", &chunked),
            "0\r\n\r\n",
            1,
        ),
        (
            "skewed",
            forbidden(date, &length(SKEWED), SKEWED),
            SKEWED,
            2,
        ),
    ] {
        let origin = RawOrigin::start(move |_| Reply::Bytes(text.clone())).await;
        let proxy = Proxy::start(&one_route(&route(origin.address, STATIC)));
        let answer = proxy.text(&request("GET", "/k", "")).await;
        if matches!(
            name,
            "no date" | "skewed" | "of the signature by its number"
        ) {
            // The document of OSS may contain the security token of the proxy.
            assert_eq!(status(&answer), 502, "{name}: {answer}");
            assert!(
                answer.contains("<Code>ProxySignatureRefused</Code>"),
                "{name}: {answer}"
            );
            assert!(!answer.contains("AccessDenied"), "{name}: {answer}");
            assert_eq!(origin.received().len(), requests, "{name}");
            continue;
        }
        assert_eq!(status(&answer), 403, "{name}: {answer}");
        assert_eq!(header(&answer, "x-oss-request-id"), ["r"], "{name}");
        assert!(answer.ends_with(end), "{name}: {answer}");
        assert_eq!(origin.received().len(), requests, "{name}");
        if requests == 1 && end.len() < 100 && name != "of unknown length" {
            // The body was read whole, so the connection carries the next request.
            proxy.text(&request("GET", "/k", "")).await;
            assert_eq!(origin.connections(), 1, "{name}");
        }
    }
    // A document that breaks off is no response.
    let text = forbidden(date, &length(&long[..60_000]), half);
    let origin = RawOrigin::start(move |_| Reply::Close(text[..30_000].to_vec())).await;
    let proxy = Proxy::start(&one_route(&route(origin.address, STATIC)));
    let answer = proxy.text(&request("GET", "/k", "")).await;
    assert_eq!(status(&answer), 502, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_signed_again_only_once() {
    // Each response asks for another time.
    const DATES: [&str; 3] = [
        "Thu, 01 Jan 2015 00:00:00 GMT",
        "Fri, 01 Jan 2016 00:00:00 GMT",
        "Sun, 01 Jan 2017 00:00:00 GMT",
    ];
    let count = AtomicUsize::new(0);
    let origin = RawOrigin::start(move |_| {
        let framing = format!("content-length: {}", SKEWED.len());
        Reply::Bytes(forbidden(
            DATES[count.fetch_add(1, Relaxed) % 3],
            &framing,
            SKEWED,
        ))
    })
    .await;
    let proxy = Proxy::start(&one_route(&route(origin.address, STATIC)));
    let answer = proxy.text(&request("GET", "/k", "")).await;
    assert_eq!(status(&answer), 502, "{answer}");
    assert_eq!(origin.received().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_with_different_keys_share_no_signature() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let keys = one_key();
    let other = ("secret-2".to_owned(), Some("token-2".to_owned()));
    keys.lock().unwrap().insert("other".to_owned(), other);
    let second = "source = \"static\", access_key_id = \"other\", access_key_secret = \"secret-2\", security_token = \"token-2\"";
    let plain = route(origin.address, STATIC);
    let plain = plain.replace(&format!(", credentials = {{ {STATIC} }}"), "");
    let proxy = Proxy::start(&one_route(&format!(
        "hosts = [\"one.test\"]\n{}[[route]]\nhosts = [\"two.test\"]\n{}[[route]]\nhosts = [\"plain.test\"]\n{}",
        route(origin.address, STATIC),
        route(origin.address, second),
        plain.lines().next().unwrap()
    )));
    for _ in 0..3 {
        for (host, id) in [
            ("one.test", "id"),
            ("two.test", "other"),
            ("plain.test", ""),
        ] {
            let answer = proxy.get(host, "/k").await;
            assert_eq!(status(&answer), 200, "{answer}");
            let received = origin.received().pop().unwrap();
            if id.is_empty() {
                assert!(received.header("authorization").is_empty());
            } else {
                assert_eq!(assert_signed(&keys, &received), id);
            }
            let token = received.header("x-oss-security-token");
            assert_eq!(token.len(), usize::from(id == "other"), "{host}");
        }
    }
    // The routes share the connections of the bucket, which carry no rights.
    assert_eq!(origin.connections(), 1);
}
