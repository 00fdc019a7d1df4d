//! Website hosting: the worked examples of OSS's documentation, against an OSS-like origin.
//!
//! Left out are example 26, a private bucket, which needs requests signed by the proxy, and examples that
//! need OSS's routing rules.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ossgate::demo::net::{self, Served};
use ossgate::demo::origin::{Acl, BucketOptions, Keyring, Options, Origin};
use tokio::net::TcpListener;

use crate::support::origin::{RawOrigin, Reply, ok};
use crate::support::proxy::{Proxy, header, proxy, status};

/// The bucket of the examples, with public read access.
async fn bucket() -> (Origin, Served, std::net::SocketAddr) {
    let now = Arc::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000));
    let mut options = Options::new(Arc::new(Keyring::new(Vec::new(), None, now.clone())), now);
    options.endpoints = vec!["oss.test".into()];
    options.buckets = vec![BucketOptions {
        acl: Acl::PublicRead,
        ..BucketOptions::new("examplebucket")
    }];
    let origin = Origin::new(options);
    for (key, text) in [
        ("index.html", "root index"),
        ("error.html", "error page"),
        ("a.txt", "text"),
        ("docs/index.html", "docs index"),
        ("img/x.png", "image"),
        ("目录/index.html", "chinese index"),
    ] {
        assert!(origin.put(
            "examplebucket",
            key.as_bytes(),
            Some("text/html"),
            text.into()
        ));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (origin.clone(), net::serve(listener, None, origin), address)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

async fn ask(proxy: &Proxy, method: &str, target: &str, more: &str) -> String {
    proxy
        .text(&format!(
            "{method} {target} HTTP/1.1\r\nhost: img.example.com\r\nconnection: close\r\n{more}\r\n"
        ))
        .await
}

const NO_SUCH_KEY: &str = "<Code>NoSuchKey</Code>";

#[tokio::test(flavor = "multi_thread")]
async fn the_worked_examples_come_out_as_documented() {
    let (_origin, _served, address) = bucket().await;
    let error = "error = \"error.html\"";
    let app = "error = \"index.html\", error_status = 200";
    let missing = "error = \"missing.html\"";
    let mut checked = 0;
    // Number, subdirectories, error document, target, status, text in the body or the Location.
    for (number, directories, error, target, expected, holds) in [
        (1, "off", "", "/", 200, "root index"),
        (2, "off", "", "/docs/", 200, "root index"),
        (3, "off", "", "/docs", 404, NO_SUCH_KEY),
        (4, "off", error, "/docs", 404, "error page"),
        (5, "off", app, "/app/route/1", 200, "root index"),
        (6, "off", missing, "/none", 404, NO_SUCH_KEY),
        (7, "redirect", "", "/docs/", 200, "docs index"),
        (8, "redirect", "", "/docs", 302, "/docs/"),
        (9, "redirect", error, "/img", 404, "error page"),
        (10, "redirect", error, "/img/", 404, "error page"),
        (11, "not-found", "", "/docs", 404, NO_SUCH_KEY),
        (12, "not-found", error, "/docs", 404, "error page"),
        (13, "index", "", "/docs", 200, "docs index"),
        (14, "index", error, "/img", 404, "error page"),
        (
            15,
            "redirect",
            "",
            "/%E7%9B%AE%E5%BD%95",
            302,
            "/%E7%9B%AE%E5%BD%95/",
        ),
        (16, "index", "", "/a.txt", 200, "text"),
        (17, "redirect", "", "/a.txt/", 404, NO_SUCH_KEY),
        (19, "off", "", "/?x=1", 200, "root index"),
        (20, "off", "", "/?acl", 403, "<Code>AccessDenied</Code>"),
        (
            24,
            "off",
            "error = \"error.html\", error_status = 200",
            "/none.js",
            200,
            "error page",
        ),
        (25, "redirect", "", "/docs?v=2", 302, "/docs/?v=2"),
    ] {
        let comma = if error.is_empty() { "" } else { ", " };
        let rules = format!("website = {{ subdirectories = \"{directories}\"{comma}{error} }}");
        let answer = ask(&proxy(address, &rules), "GET", target, "").await;
        assert_eq!(status(&answer), expected, "example {number}: {answer}");
        if expected == 302 {
            assert_eq!(header(&answer, "location"), [holds], "example {number}");
        } else {
            assert!(body(&answer).contains(holds), "example {number}: {answer}");
        }
        checked += 1;
    }
    // 18: a signed request is for the bucket itself; this signature is not valid.
    let rules = "website = {}";
    let answer = ask(
        &proxy(address, rules),
        "GET",
        "/",
        "authorization: OSS a:b\r\n",
    )
    .await;
    assert!(
        !body(&answer).contains("root index"),
        "example 18: {answer}"
    );
    // 21 and 22: without the table no request is for a page.
    let answer = ask(&proxy(address, ""), "GET", "/", "").await;
    assert_eq!(status(&answer), 403, "example 22: {answer}");
    // 23.
    let rules = format!("website = {{ {app} }}");
    let answer = ask(&proxy(address, &rules), "HEAD", "/app/route/1", "").await;
    assert_eq!(status(&answer), 200, "example 23: {answer}");
    assert_eq!(header(&answer, "content-length"), ["10"], "example 23");
    assert_eq!(body(&answer), "");
    eprintln!("{} website examples through the proxy", checked + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_and_conditions_apply_to_an_index_but_not_to_a_404() {
    let (_origin, _served, address) = bucket().await;
    let site = proxy(address, "website = { error = \"error.html\" }");
    let index = ask(&site, "GET", "/", "").await;
    let etag = header(&index, "etag")[0];
    let same = ask(&site, "GET", "/", &format!("if-none-match: {etag}\r\n")).await;
    assert_eq!(status(&same), 304, "{same}");
    let part = ask(&site, "GET", "/", "range: bytes=0-3\r\n").await;
    assert_eq!((status(&part), body(&part)), (206, "root"));
    let missing = ask(&site, "GET", "/none", "range: bytes=0-3\r\n").await;
    assert_eq!((status(&missing), body(&missing)), (404, "error page"));
    let etag = header(&missing, "etag")[0];
    let missing = ask(&site, "GET", "/none", &format!("if-none-match: {etag}\r\n")).await;
    assert_eq!((status(&missing), body(&missing)), (404, "error page"));
    // The error document of a single-page app has the status 200 and is served like any other page.
    let app = proxy(
        address,
        "website = { error = \"index.html\", error_status = 200 }",
    );
    let etag = header(&index, "etag")[0];
    let same = ask(
        &app,
        "GET",
        "/deep/link",
        &format!("if-none-match: {etag}\r\n"),
    )
    .await;
    assert_eq!(status(&same), 304, "{same}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_of_a_missing_object_is_reused() {
    let (origin, _served, address) = bucket().await;
    let site = proxy(
        address,
        "website = { subdirectories = \"redirect\", error = \"error.html\" }",
    );
    for _ in 0..10 {
        assert_eq!(status(&ask(&site, "GET", "/none", "").await), 404);
    }
    // One request causes three lookups, two of them while the first response is kept.
    assert!(origin.connections() <= 3, "{}", origin.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_proxy_does_not_cause_the_error_document() {
    let gone = bucket().await.2;
    let site = proxy(gone, "website = { error = \"error.html\" }");
    assert_eq!(status(&ask(&site, "GET", "/none", "").await), 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_on_the_host_of_oss_is_rewritten_to_the_clients_host() {
    for (location, expected) in [
        (
            "http://examplebucket.oss.test/docs/?x",
            "http://img.example.com/docs/?x",
        ),
        (
            "https://EXAMPLEBUCKET.oss.test/docs/",
            "http://img.example.com/docs/",
        ),
        (
            "https://other.example.org/docs/",
            "https://other.example.org/docs/",
        ),
        (
            "http://examplebucket.oss.test.evil.org/",
            "http://examplebucket.oss.test.evil.org/",
        ),
        ("/docs/", "/docs/"),
    ] {
        let head =
            format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let origin = RawOrigin::start(move |_| Reply::Bytes(head.clone().into_bytes())).await;
        let answer = ask(&proxy(origin.address, ""), "GET", "/docs", "").await;
        assert_eq!(header(&answer, "location"), [expected]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_with_a_body_is_forwarded_with_its_body() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let site = proxy(origin.address, "website = { error = \"error.html\" }");
    let request =
        "GET /k HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
    assert_eq!(status(&site.text(request).await), 200);
    assert_eq!(origin.received()[0].body, b"hello");
}

/// The body of a GET has no meaning (RFC 9110 section 9.3.1), so it must not switch the website off.
#[tokio::test(flavor = "multi_thread")]
async fn a_get_with_a_body_is_for_the_same_page_as_one_without() {
    for body in [
        "content-length: 1\r\n\r\nx",
        "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let origin = RawOrigin::start(|request| match request.line().contains("/404.html") {
            true => ok("lost"),
            false => Reply::Bytes(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec()),
        })
        .await;
        let site = proxy(origin.address, "website = { error = \"404.html\" }");
        let request = format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{body}");
        let answer = site.text(&request).await;
        assert_eq!(status(&answer), 404, "{answer}");
        assert!(answer.ends_with("lost"), "{answer}");
        let lines: Vec<String> = origin.received().iter().map(|one| one.line()).collect();
        assert_eq!(
            lines,
            ["GET /index.html HTTP/1.1", "GET /404.html HTTP/1.1"]
        );
    }
}

/// A key may begin with `/`, but a Location must not begin with `//`: a browser would read a host.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_stays_on_the_host() {
    let (origin, _served, address) = bucket().await;
    for key in ["/evil.test/index.html", "\\evil.test/index.html"] {
        assert!(origin.put("examplebucket", key.as_bytes(), None, "x".into()));
    }
    let proxy = proxy(address, "website = { subdirectories = \"redirect\" }");
    for (target, expected) in [
        ("//evil.test", "http://img.example.com//evil.test/"),
        ("/\\evil.test", "http://img.example.com/\\evil.test/"),
    ] {
        let answer = ask(&proxy, "GET", target, "").await;
        assert_eq!(status(&answer), 302, "{answer}");
        assert!(
            answer.contains(&format!("location: {expected}\r\n")),
            "{answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_website_steps_aside_only_for_signed_requests() {
    let origin = RawOrigin::start(|request| {
        if request.line().contains("missing") {
            Reply::Bytes(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec())
        } else {
            ok("x")
        }
    })
    .await;
    let proxy = proxy(origin.address, "website = { error = \"error.html\" }");
    for (target, lines, is_page) in [
        ("/", "", true),
        ("/", "authorization: Basic eA==\r\n", true),
        ("/", "authorization:\r\n", true),
        ("/", "authorization: oss a:b\r\n", true),
        ("/?Signature=a", "", true),
        ("/?X-Amz-Date=a", "", true),
        ("/", "authorization: OSS a:b\r\n", false),
        ("/", "authorization: AWS a:b\r\n", false),
        ("/?x-oss-signature=a", "", false),
        (
            "/?x%2Doss-signature=a",
            "authorization: Basic eA==\r\n",
            false,
        ),
    ] {
        let before = origin.received().len();
        ask(&proxy, "GET", target, lines).await;
        let line = origin.received()[before].line();
        assert_eq!(
            line.contains("/index.html"),
            is_page,
            "{target} {lines}: {line}"
        );
        let before = origin.received().len();
        ask(&proxy, "GET", &target.replace('/', "/missing"), lines).await;
        let looked_up = origin.received().len() - before;
        assert_eq!(looked_up, if is_page { 2 } else { 1 }, "{target} {lines}");
    }
}
