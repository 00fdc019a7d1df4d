//! Header fields that are changed in requests to OSS.
//!
//! Rows: set and remove over HTTP/1.1 and HTTP/2, with repeated fields; fields that a signature lists, by every kind
//! of signature; retries, resumed downloads and fallback endpoints; policies and log lines, which read what the
//! client sent. Left out: problems of the config (`config/header_fields`).

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;

use crate::support::object::{self, answer, joined, object};
use crate::support::origin::{RawOrigin, Received, Reply, ok};
use crate::support::proxy::{Proxy, bucket_at, header, one_route, status};
use crate::support::tiers::{PLAIN, closed, dns, named, proxy as tiers};

const CHANGES: &str = "headers = { set = { User-Agent = \"ossgate\", X-Via = \"a, b\" }, remove = [\"COOKIE\", \"Referer\", \"X-Forwarded-For\"] }";

/// Starts a proxy with one route to `origin`, with [`CHANGES`]. `rules` are the policies of the route.
fn changing(origin: &RawOrigin, rules: &str) -> Proxy {
    let table = bucket_at(origin.address);
    let table = table.strip_suffix(" }").unwrap();
    Proxy::start(&one_route(&format!("{table}, {CHANGES} }}\n{rules}")))
}

/// Returns the values of User-Agent, X-Via, Cookie, Referer and X-Forwarded-For in a request.
fn fields(request: &Received) -> [String; 5] {
    [
        "user-agent",
        "x-via",
        "cookie",
        "referer",
        "x-forwarded-for",
    ]
    .map(|name| {
        let values = request.header(name);
        let values: Vec<String> = values
            .into_iter()
            .map(|value| String::from_utf8(value).unwrap())
            .collect();
        values.join(" | ")
    })
}

const CHANGED: [&str; 5] = ["ossgate", "a, b", "", "", ""];

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_set_and_removed_in_every_request() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = changing(&origin, "");
    for (method, lines, body) in [
        ("GET", "", ""),
        (
            "HEAD",
            "User-Agent: curl\r\nCookie: a=b\r\nReferer: http://a.cn/\r\nX-Forwarded-For: 1.2.3.4\r\n",
            "",
        ),
        (
            "GET",
            "user-agent: a\r\nUSER-AGENT: b\r\ncookie: a\r\nCookie: b\r\nx-via: a\r\nx-VIA: b\r\n",
            "",
        ),
        (
            "PUT",
            "content-type: text/x\r\ncontent-length: 1\r\ncookie: a\r\n",
            "x",
        ),
        (
            "POST",
            "transfer-encoding: chunked\r\nreferer:\r\n",
            "1\r\nx\r\n0\r\n\r\n",
        ),
        (
            "DELETE",
            "authorization: OSS a:b\r\nuser-agent: sdk\r\nx-oss-meta-a: 1\r\n",
            "",
        ),
    ] {
        let answer = proxy
            .text(&format!(
                "{method} /k?a=b HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{lines}\r\n{body}"
            ))
            .await;
        assert_eq!(status(&answer), 200, "{lines}: {answer}");
        let seen = origin.received().pop().unwrap();
        assert_eq!(seen.line(), format!("{method} /k?a=b HTTP/1.1"));
        assert_eq!(fields(&seen), CHANGED, "{method} {lines}");
        assert_eq!(seen.header("host"), [b"examplebucket.oss.test"]);
        for name in ["content-type", "authorization", "x-oss-meta-a"] {
            assert_eq!(
                !seen.header(name).is_empty(),
                lines.contains(name),
                "{name} {lines}"
            );
        }
    }
    let request = http::Request::put("http://h/k")
        .header("user-agent", "h2")
        .header("cookie", "a=b")
        .header("cookie", "c=d")
        .header("referer", "http://a.cn/");
    assert_eq!(proxy.http2(request, "body").await.0, 200);
    let seen = origin.received().pop().unwrap();
    assert_eq!(
        (fields(&seen), &*seen.body),
        (CHANGED.map(str::to_owned), &b"body"[..])
    );
}

const V4: &str = "OSS4-HMAC-SHA256 Credential=id/20261125/cn-hangzhou/oss/aliyun_v4_request";

/// OSS refuses a request when a field that its signature covers is changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_the_signature_covers_is_sent_as_it_came() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = changing(&origin, "");
    let v4 = |list: &str| format!("authorization: {V4}, AdditionalHeaders={list}, Signature=0\r\n");
    let sent = "User-Agent: sdk\r\nCookie: a\r\nReferer: http://a.cn/\r\n";
    let [agent, cookie, referer] = ["sdk", "a", "http://a.cn/"];
    for (target, lines, expected) in [
        ("/k", String::new(), ["ossgate", "", ""]),
        ("/k", v4("user-agent"), [agent, "", ""]),
        ("/k", v4("User-Agent;COOKIE ; range"), [agent, cookie, ""]),
        (
            "/k",
            v4("user-agent;cookie;referer"),
            [agent, cookie, referer],
        ),
        ("/k", v4("user-agents;x-cookie"), ["ossgate", "", ""]),
        (
            "/k",
            format!("authorization: {V4},Signature=0\r\n"),
            ["ossgate", "", ""],
        ),
        (
            "/k",
            "authorization: OSS2 AccessKeyId:a,AdditionalHeaders:referer,Signature:0\r\n"
                .to_owned(),
            ["ossgate", "", referer],
        ),
        (
            "/k",
            "authorization: OSS a:b\r\n".to_owned(),
            ["ossgate", "", ""],
        ),
        (
            "/k",
            "authorization: Basic AdditionalHeaders=referer\r\n".to_owned(),
            ["ossgate", "", ""],
        ),
        (
            "/k?x-oss-signature=0&x-oss-additional-headers=referer%3BCookie",
            String::new(),
            ["ossgate", cookie, referer],
        ),
        (
            "/k?x%2Doss-additional-headers=%75ser-agent&x-oss-signature=0",
            String::new(),
            [agent, "", ""],
        ),
        (
            "/k?x-oss-additional-headers=referer",
            String::new(),
            ["ossgate", "", ""],
        ),
        (
            "/k?OSSAccessKeyId=a&Expires=1&Signature=b",
            String::new(),
            ["ossgate", "", ""],
        ),
    ] {
        let answer = proxy
            .text(&format!(
                "GET {target} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{sent}{lines}\r\n"
            ))
            .await;
        assert_eq!(status(&answer), 200, "{target} {lines}: {answer}");
        let [agent, _, cookie, referer, _] = fields(&origin.received().pop().unwrap());
        assert_eq!([agent, cookie, referer], expected, "{target} {lines}");
    }
    // S3 signatures cover the Host, so it must be the Host that OSS is sent.
    let s3 = "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=cookie;host;user-agent, Signature=0";
    let request = http::Request::get("http://examplebucket.oss.test/k")
        .header("authorization", s3)
        .header("user-agent", agent)
        .header("cookie", cookie)
        .header("referer", referer);
    assert_eq!(proxy.http2(request, "").await, (200, String::new()));
    let [agent, _, cookie, referer, _] = fields(&origin.received().pop().unwrap());
    assert_eq!([&*agent, &cookie, &referer], ["sdk", "a", ""], "HTTP/2");
    let target =
        "/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-SignedHeaders=host%3Breferer&X-Amz-Signature=0";
    let request = format!(
        "GET {target} HTTP/1.1\r\nhost: examplebucket.oss.test\r\nconnection: close\r\n{sent}\r\n"
    );
    assert_eq!(status(&proxy.text(&request).await), 200);
    let [agent, _, cookie, referer, _] = fields(&origin.received().pop().unwrap());
    assert_eq!(
        [&*agent, &cookie, &referer],
        ["ossgate", "", "http://a.cn/"]
    );
}

const GET: &str = "GET /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\nuser-agent: a\r\ncookie: a\r\nreferer: a\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_has_the_changed_fields() {
    let count = AtomicUsize::new(0);
    let origin = RawOrigin::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Close(Vec::new()),
        _ => ok("x"),
    })
    .await;
    let proxy = changing(&origin, "");
    let answer = proxy.text(GET).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let seen: Vec<_> = origin.received().iter().map(fields).collect();
    assert_eq!(seen, [CHANGED, CHANGED]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_for_the_rest_of_a_download_has_the_changed_fields() {
    let (object, count) = (object(), AtomicUsize::new(0));
    let origin = RawOrigin::start(move |request| {
        let whole = answer(request, &object, object::TAG, "");
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::Close(joined(whole, 100_000)),
            _ => Reply::Bytes(joined(whole, object::LENGTH)),
        }
    })
    .await;
    let proxy = changing(&origin, "");
    let answer = proxy.raw(GET.as_bytes()).await;
    assert!(answer.ends_with(&object::object()[100_000..]));
    let received = origin.received();
    let seen: Vec<_> = received.iter().map(fields).collect();
    assert_eq!(seen, [CHANGED, CHANGED]);
    assert_eq!(
        received[1].header("range").len(),
        1,
        "the second request is for the rest"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_endpoint_gets_the_changed_fields() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let second = listener.local_addr().unwrap().port();
    let origin = RawOrigin::serve(listener, |_| ok("x"));
    let dns = dns().await;
    let proxy = tiers(
        &dns,
        &named([closed().await, second]),
        &format!("{PLAIN}\n{CHANGES}"),
    );
    let answer = proxy.text(GET).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let seen: Vec<_> = origin.received().iter().map(fields).collect();
    assert_eq!(seen, [CHANGED]);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_and_log_lines_read_what_the_client_sent() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = changing(
        &origin,
        "referer = { allow = [\"http://good.cn\"], allow_empty = false }",
    );
    let get = |referer: &str| {
        format!(
            "GET /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\nuser-agent: curl\r\nreferer: {referer}\r\n\r\n"
        )
    };
    let answer = proxy.text(&get("http://good.cn/")).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let answer = proxy.text(&get("http://evil.cn/")).await;
    assert_eq!(header(&answer, "x-ossgate-error"), ["referer_refused"]);
    assert_eq!(fields(&origin.received()[0]), CHANGED);
    let lines = proxy.stop();
    assert_eq!(lines[0]["user_agent"], "curl");
    assert_eq!(lines[0]["referer"], "http://good.cn/");
}
