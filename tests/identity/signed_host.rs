//! Signatures that cover the Host, with a Host that the proxy rewrites.
//!
//! Rows: OSS V4 and S3 V4 in the header and in the query; signatures that do not cover the Host; a Host that OSS
//! is sent unchanged; several endpoints. Left out: whether the signature is valid, which only OSS decides.

use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, header, one_route, proxy, status};
use crate::support::tiers::{PLAIN, closed, dns, named, proxy as tiers};

const V4: &str = "OSS4-HMAC-SHA256 Credential=id/20261125/cn-hangzhou/oss/aliyun_v4_request";

fn get(host: &str, target: &str, authorization: &str) -> String {
    let line = match authorization {
        "" => String::new(),
        value => format!("authorization: {value}\r\n"),
    };
    format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n{line}connection: close\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_for_another_host_is_refused_with_the_ways_out() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(origin.address, "");
    let v4 = |additional: &str| format!("{V4},{additional}Signature=00");
    let query = "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-signature=0";
    for (target, authorization, is_bound) in [
        ("/k", v4("AdditionalHeaders=host,"), true),
        ("/k", v4(" AdditionalHeaders=content-length;Host, "), true),
        (
            "/k",
            format!("{V4}, Signature=00, AdditionalHeaders=HOST"),
            true,
        ),
        (
            "/k",
            "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host;x-amz-date".to_owned(),
            true,
        ),
        (
            &format!("/k?{query}&x-oss-additional-headers=host"),
            String::new(),
            true,
        ),
        (
            &format!("/k?x-oss-additional-headers=range%3Bhost&{query}"),
            String::new(),
            true,
        ),
        (
            &format!("/k?x%2Doss-additional-headers=H%6fst&{query}"),
            String::new(),
            true,
        ),
        (
            "/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-SignedHeaders=host&X-Amz-Signature=0",
            String::new(),
            true,
        ),
        ("/k?%58-Amz-Signature=0", String::new(), true),
        ("/k", v4(""), false),
        ("/k", v4("AdditionalHeaders=range;hosts,"), false),
        ("/k", "OSS id:c2ln".to_owned(), false),
        ("/k", "AWS id:c2ln".to_owned(), false),
        ("/k", "Basic AdditionalHeaders=host".to_owned(), false),
        (&format!("/k?{query}"), String::new(), false),
        (
            "/k?OSSAccessKeyId=a&Expires=1&Signature=b",
            String::new(),
            false,
        ),
        ("/k?x-oss-additional-headers=host", String::new(), false),
        ("/k?X-Amz-SignedHeaders=host", String::new(), false),
        ("/k", String::new(), false),
    ] {
        let before = origin.received().len();
        let answer = proxy
            .text(&get("Img.example.com:8080", target, &authorization))
            .await;
        let reached = origin.received().len() - before;
        assert_eq!(
            reached,
            usize::from(!is_bound),
            "{target} {authorization}: {answer}"
        );
        if !is_bound {
            assert_eq!(status(&answer), 200, "{target} {authorization}: {answer}");
            continue;
        }
        assert_eq!(status(&answer), 403, "{target} {authorization}: {answer}");
        assert_eq!(
            header(&answer, "x-ossgate-error"),
            ["signature_bound_to_host"]
        );
        for part in [
            "`Img.example.com:8080`",
            "`examplebucket.oss.test`",
            "bind the domain",
            "resolve to the proxy",
        ] {
            assert!(answer.contains(part), "{part}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_for_the_host_that_oss_is_sent_passes() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(origin.address, "");
    let by_host = format!("{V4},AdditionalHeaders=host,Signature=00");
    for (host, expected) in [
        ("examplebucket.oss.test", 200),
        ("ExampleBucket.OSS.test", 200),
        ("examplebucket.oss.test:80", 200),
        ("examplebucket.oss.test:443", 403),
        ("examplebucket.oss.test:8080", 403),
        ("oss.test", 403),
        ("x.examplebucket.oss.test", 403),
    ] {
        for authorization in [&*by_host, "AWS4-HMAC-SHA256 Credential=a"] {
            let answer = proxy.text(&get(host, "/k", authorization)).await;
            assert_eq!(
                status(&answer),
                expected,
                "{host} {authorization}: {answer}"
            );
        }
    }
    let answer = proxy
        .text(&format!(
            "GET http://examplebucket.oss.test/k HTTP/1.1\r\nhost: examplebucket.oss.test\r\n\
             authorization: {by_host}\r\nconnection: close\r\n\r\n"
        ))
        .await;
    assert_eq!(status(&answer), 200, "{answer}");
    for (host, expected) in [
        ("ExampleBucket.oss.test", (200, "")),
        ("img.example.com", (403, "signature_bound_to_host")),
    ] {
        let request = http::Request::get(format!("http://{host}/k"));
        let request = request.header("authorization", &by_host);
        let (status, kind) = proxy.http2(request, "").await;
        assert_eq!((status, &*kind), expected, "HTTP/2 to {host}");
    }
    let answer = proxy
        .text(&format!(
            "GET /k HTTP/1.0\r\nauthorization: {by_host}\r\n\r\n"
        ))
        .await;
    assert_eq!(status(&answer), 403, "no host: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_refuses_a_signature_for_its_own_name() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = Proxy::start(&one_route(&format!(
        "hosts = [\"*.gate.example\"]\norigin = {{ buckets = [\"team-*\"], endpoint = \"{}\", tls = false }}",
        origin.address
    )));
    let aws = "AWS4-HMAC-SHA256 Credential=a";
    let answer = proxy.text(&get("team-a.gate.example", "/k", aws)).await;
    assert_eq!(status(&answer), 403, "{answer}");
    let answer = proxy
        .text(&get("team-a.gate.example", "/k", "OSS a:b"))
        .await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_host_leads_to_the_endpoint_with_that_host() {
    let first = RawOrigin::start(|_| ok("first")).await;
    let second = RawOrigin::start(|_| ok("second")).await;
    let dns = dns().await;
    let endpoints = named([first.address.port(), second.address.port()]);
    let proxy = tiers(&dns, &endpoints, PLAIN);
    let by_host = format!("{V4},AdditionalHeaders=host,Signature=00");
    for (host, expected) in [
        (format!("examplebucket.{}", endpoints[0]), Some("first")),
        (format!("examplebucket.{}", endpoints[1]), Some("second")),
        ("img.example.com".to_owned(), None),
    ] {
        let answer = proxy.text(&get(&host, "/k", &by_host)).await;
        match expected {
            Some(expected) => assert!(answer.ends_with(expected), "{host}: {answer}"),
            None => assert_eq!(status(&answer), 403, "{host}: {answer}"),
        }
    }
    // The endpoint that the signature names is down: another one would refuse the request.
    let endpoints = named([first.address.port(), closed().await]);
    let proxy = tiers(&dns, &endpoints, PLAIN);
    let host = format!("examplebucket.{}", endpoints[1]);
    let answer = proxy.text(&get(&host, "/k", &by_host)).await;
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(
        answer.contains("<Code>UpstreamSignatureBound</Code>"),
        "{answer}"
    );
}
