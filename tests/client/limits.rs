//! Requests that must not reach the origin, and the one form in which lenient readings may.
//!
//! Rows: every ambiguous framing, every odd Host and target, floods of header fields; unknown hosts and buckets.
//! Each is refused with an answer made by the proxy and a closed connection, and the origin sees nothing. Left
//! out: HTTP/2 frames (`http2`, `frame_budget`).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::origin::{RawOrigin, Received, ok};
use crate::support::proxy::{Proxy, bucket_at, one_route, pair, status};

/// Bytes that follow each refused request. They must not be answered: after ambiguous framing they may be
/// part of a body.
const NEXT: &str = "GET /next HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_requests_are_refused_and_the_connection_closes() {
    let (origin, proxy) = pair(|_| ok("x")).await;
    let mut refused = 0;
    let get = |fields: &str| format!("GET /k HTTP/1.1\r\n{fields}\r\n\r\n");
    let post =
        |fields: &str, body: &str| format!("POST /k HTTP/1.1\r\nhost: x\r\n{fields}\r\n\r\n{body}");
    for request in [
        get("content-length: 0"),
        get("host:"),
        get("host: a\r\nhost: a"),
        get("host: a\r\nhost: b"),
        get("host: a, b"),
        get("host: a b"),
        get("host: user@a"),
        get("host: a:b"),
        get("host: a\r\nreferer: http://a/\r\nreferer: http://b/"),
        get("host: a\r\nReferer:\r\nREFERER: http://b/"),
        get("host: a\r\norigin: http://a\r\norigin: http://a"),
        get("host: a\r\nauthorization: OSS a:b\r\nauthorization:"),
        get("host: a:0"),
        get("host: a:65536"),
        get("host: a:80:80"),
        get("host: [::1"),
        get("host: a/b"),
        get("host: a%00"),
        get("host: a#b"),
        get("host: 127.1"),
        get("host : a"),
        get("host: a\r\nx y: 1"),
        get("host: a\r\n : 1"),
        get("host: a\r\nx: a\0b"),
        get("host: a\r\nx: a\x01b"),
        get("host: a\r\nx: a\rb"),
        get("host: a\r\nconnection: host"),
        get("host: a\r\nconnection: close, content-length\r\ncontent-length: 0"),
        get("host: a\r\nconnection: authorization\r\nauthorization: OSS a:b"),
        get("host: a\r\nexpect: 200-ok"),
        post("content-length: 1\r\ncontent-length: 2", "ab"),
        post("content-length: 1, 2", "ab"),
        post("content-length: +1", "a"),
        post("content-length: -1", "a"),
        post("content-length: 0x1", "a"),
        post("content-length: 99999999999999999999", "a"),
        post("transfer-encoding: gzip", "0\r\n\r\n"),
        post("transfer-encoding: chunked, chunked", "0\r\n\r\n"),
        post("transfer-encoding: gzip, chunked", "0\r\n\r\n"),
        post(
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "0\r\n\r\n",
        ),
        post("transfer-encoding: chunked, identity", "0\r\n\r\n"),
        post("transfer-encoding: xchunked", "0\r\n\r\n"),
        "GET http://b/k HTTP/1.1\r\nhost: a\r\n\r\n".into(),
        "GET http://a:443/k HTTP/1.1\r\nhost: a\r\n\r\n".into(),
        "GET https://a:80/k HTTP/1.1\r\nhost: a\r\n\r\n".into(),
        "GET http://u@a/k HTTP/1.1\r\nhost: a\r\n\r\n".into(),
        "GET ftp://a/k HTTP/1.1\r\nhost: a\r\n\r\n".into(),
        "GET k HTTP/1.1\r\nhost: a\r\n\r\n".into(),
        "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n".into(),
        "DELETE /dir/#1.jpg HTTP/1.1\r\nhost: a\r\n\r\n".into(),
        "GET http://a#b HTTP/1.1\r\nhost: a\r\n\r\n".into(),
        "TRACE /k HTTP/1.1\r\nhost: a\r\n\r\n".into(),
        "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n".into(),
        "GET /k HTTP/1.1 \r\nhost: a\r\n\r\n".into(),
        "GET  /k HTTP/1.1\r\nhost: a\r\n\r\n".into(),
        "GET /k HTTP/3.0\r\nhost: a\r\n\r\n".into(),
        "GET /k\r\n\r\n".into(),
        "G\0T /k HTTP/1.1\r\nhost: a\r\n\r\n".into(),
        "POST /k HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".into(),
    ] {
        let answer = proxy.text(&format!("{request}{NEXT}")).await;
        let code = status(&answer);
        assert!((400..500).contains(&code), "{request:?}: {answer}");
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "{request:?}: {answer}"
        );
        // These parts also come where hyper could not parse the request.
        for part in [
            "\r\nx-ossgate-error: bad_request\r\n",
            "\r\nx-ossgate-request-id: og-",
            "\r\nconnection: close\r\n",
            "\r\ndate: ",
        ] {
            assert!(answer.contains(part), "{request:?}: {answer}");
        }
        if !request.starts_with("HEAD") {
            assert!(
                answer.contains(" OSS was not asked.</Message>"),
                "{request:?}: {answer}"
            );
        }
        assert!(
            origin.received().is_empty(),
            "{request:?} reached the origin"
        );
        refused += 1;
    }
    let lines = proxy.stop();
    assert_eq!(lines.len(), refused, "one access line for each request");
    let text = format!("{lines:?}");
    assert!(!text.contains("user@") && !text.contains("u@"), "{text}");
    assert!(lines.iter().all(|line| line["error"] == "bad_request"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_request_is_answered_after_the_requests_before_it() {
    let (origin, proxy) = pair(|_| ok("x")).await;
    let first = "GET /k HTTP/1.1\r\nhost: x\r\n\r\n";
    let answer = proxy
        .text(&format!("{first}{first}not a request\r\n\r\n"))
        .await;
    let answers: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).collect();
    assert_eq!(answers.len(), 3, "{answer}");
    assert!(answers[0].starts_with("200") && answers[1].starts_with("200"));
    assert!(answers[2].starts_with("400 Bad Request\r\n"), "{answer}");
    assert!(answers[2].contains("not valid HTTP/1.1. OSS was not asked."));
    assert_eq!(origin.received().len(), 2);
    let lines = proxy.stop();
    assert_eq!(lines[2]["status"], 400);
    assert_eq!(lines[2]["method"], "-", "the method could not be read");
}

/// The HTTP library answers in the version of the request before.
#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_request_after_one_of_http_1_0_is_answered_by_the_proxy() {
    let (_origin, proxy) = pair(|_| ok("x")).await;
    for bad in ["BAD\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        let first = "GET /x HTTP/1.0\r\nhost: x\r\nconnection: keep-alive\r\n\r\n";
        let answer = proxy.text(&format!("{first}{bad}")).await;
        let second = answer.split("\r\n\r\nx").nth(1).unwrap_or_default();
        assert!(
            second.contains("x-ossgate-error: bad_request\r\n"),
            "{answer}"
        );
        assert!(second.contains("x-ossgate-request-id: og-"), "{answer}");
    }
    assert_eq!(proxy.stop().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_late_is_answered_408() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let settings = "address = \"127.0.0.1:0\"\ntimeouts = { header = \"1s\" }";
    let text = one_route(&bucket_at(origin.address));
    let proxy = Proxy::start(&text.replace("address = \"127.0.0.1:0\"", settings));
    let answer = proxy.text("GET /k HTTP/1.1\r\nhost: x\r\n").await;
    assert_eq!(status(&answer), 408, "{answer}");
    assert!(answer.contains("did not come in time. OSS was not asked."));
    // A connection that sent no byte is closed without an answer.
    assert_eq!(proxy.text("").await, "");
    let lines = proxy.stop();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["error"], "bad_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_chunk_ends_the_connection_without_a_second_request() {
    let (origin, proxy) = pair(|_| ok("x")).await;
    for body in [
        "xyz\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "-1\r\n",
        "5 hello",
        "ffffffffffffffffff\r\n",
        "5\r\nhelloX0\r\n\r\n",
    ] {
        let request =
            format!("PUT /k HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{body}{NEXT}");
        let answer = proxy.text(&request).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{body:?}: {answer}");
        let lines: Vec<String> = origin.received().iter().map(Received::line).collect();
        assert!(
            !lines.iter().any(|line| line.contains("/next")),
            "{body:?}: {lines:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_authorities_written_differently_are_served() {
    let (_origin, proxy) = pair(|_| ok("x")).await;
    for (target, host) in [
        ("http://a:80/k", "a"),
        ("http://a/k", "a:80"),
        ("http://a:/k", "a"),
        ("https://a:443/k", "A."),
        ("/k", "a:"),
        ("/k", "[::1]:"),
        ("http://[::1]:80/k", "[0:0::1]"),
    ] {
        let answer = proxy.get(host, target).await;
        assert_eq!(status(&answer), 200, "{target} {host}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_requests_keep_their_connection_unless_they_have_a_length_too() {
    let (origin, proxy) = pair(|_| ok("x")).await;
    let put = |fields: &str| {
        format!("PUT /k HTTP/1.1\r\nhost: x\r\n{fields}\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    };
    let plain = put("Transfer-Encoding: chunked");
    // One after the other, whole and by the byte.
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    for size in [1000, 1, 20] {
        for piece in plain.as_bytes().chunks(size) {
            socket.write_all(piece).await.unwrap();
        }
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nx") {
            assert_ne!(socket.read_buf(&mut answer).await.unwrap(), 0, "closed");
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    // Pipelined: the request with both is the last that is served.
    for both in [
        "content-length: 3\r\ntransfer-encoding: chunked",
        "Transfer-Encoding:chunked\r\nCONTENT-LENGTH:15",
    ] {
        let answer = proxy
            .text(&format!("{plain}{plain}{}{NEXT}", put(both)))
            .await;
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 3, "{answer}");
        assert_eq!(answer.matches("connection: close").count(), 1, "{answer}");
    }
    let received = origin.received();
    assert_eq!(received.len(), 9);
    for request in received {
        assert_eq!(request.header("content-length").len(), 0);
        assert_eq!(request.body, b"5\r\nhello\r\n0\r\n\r\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lenient_readings_reach_the_origin_in_one_form() {
    let (origin, proxy) = pair(|_| ok("x")).await;
    let both = "PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let answer = proxy.text(&format!("{both}{NEXT}")).await;
    assert_eq!(
        answer.matches("HTTP/1.1 ").count(),
        1,
        "the connection closes: {answer}"
    );
    let received = origin.received();
    assert_eq!(received.len(), 1);
    assert!(received[0].header("content-length").is_empty());
    assert_eq!(received[0].header("transfer-encoding").len(), 1);
    // A `#` in a body is not taken for one in a target.
    let body = "GET /k#x HTTP/1.1\r\n";
    let put = format!(
        "PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let get = "GET /k HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = proxy.text(&format!("{put}{get}")).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    let answer = proxy
        .text("GET /k HTTP/1.1\nhost: x\nconnection: close\n\n")
        .await;
    assert_eq!(status(&answer), 200);
    assert!(
        !origin.received()[3]
            .head
            .windows(2)
            .any(|pair| pair[1] == b'\n' && pair[0] != b'\r')
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_headers_are_refused_and_large_real_ones_pass() {
    let (origin, proxy) = pair(|_| ok("x")).await;
    let many: String = (0..300)
        .map(|number| format!("x-{number}: 1\r\n"))
        .collect();
    let answer = proxy
        .text(&format!("GET /k HTTP/1.1\r\nhost: x\r\n{many}\r\n"))
        .await;
    assert_eq!(status(&answer), 431, "{answer}");
    let large = "a".repeat(300 * 1024);
    let answer = proxy
        .text(&format!("GET /k HTTP/1.1\r\nhost: x\r\nx: {large}\r\n\r\n"))
        .await;
    assert_eq!(status(&answer), 431, "{answer}");
    assert!(origin.received().is_empty());
    let metadata: String = (0..60)
        .map(|number| format!("x-oss-meta-{number}: {}\r\n", "v".repeat(130)))
        .collect();
    let target = format!("/k?x={}", "q".repeat(4000));
    let request =
        format!("GET {target} HTTP/1.1\r\nhost: x\r\n{metadata}connection: close\r\n\r\n");
    assert_eq!(status(&proxy.text(&request).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_hosts_and_buckets_are_answered_and_never_forwarded() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\nhosts = [\"img.example.com\"]\n{bucket}\n\
         [[route]]\nhosts = [\"*.oss.example.com\"]\norigin = {{ buckets = [\"team-*\"], endpoint = \"{address}\", tls = false }}\n",
        bucket = bucket_at(origin.address),
        address = origin.address
    );
    let proxy = Proxy::start(&text);
    for (host, target, code, expected) in [
        ("other.example.com", "/k", 404, "UnknownHost"),
        ("127.0.0.1", "/k", 404, "UnknownHost"),
        ("img.example.com.evil.org", "/k", 404, "UnknownHost"),
        ("evil.oss.example.com", "/k", 404, "NoSuchBucket"),
        ("a.team-a.oss.example.com", "/k", 404, "UnknownHost"),
    ] {
        let answer = proxy.get(host, target).await;
        assert_eq!(status(&answer), code, "{host}: {answer}");
        assert!(
            answer.contains(&format!("<Code>{expected}</Code>")),
            "{host}: {answer}"
        );
        assert!(answer.contains("x-ossgate-error"), "{answer}");
        assert!(origin.received().is_empty(), "{host}");
    }
    assert_eq!(status(&proxy.get("IMG.example.com:80", "/k").await), 200);
    assert_eq!(
        status(&proxy.get("team-a.oss.example.com", "/k").await),
        200
    );
    assert_eq!(
        origin.received()[1].line(),
        "GET /team-a/k HTTP/1.1",
        "path style to a bare address"
    );
}

/// The bytes of a body are not requests, and a request behind a body is one, however they arrive.
#[tokio::test(flavor = "multi_thread")]
async fn a_fragment_is_refused_behind_a_body_and_allowed_inside_one() {
    let (origin, proxy) = pair(|_| ok("x")).await;
    for first in [
        "PUT /p HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx",
        "PUT /p HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    ] {
        let request = format!("{first}DELETE /dir/#1.jpg HTTP/1.1\r\nhost: a\r\n\r\n");
        let answer = proxy.text(&request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("HTTP/1.1 400 "), "{answer}");
    }
    let script = "echo x # comment\n".repeat(65);
    for body in [script.as_str(), "\nGET /a#b\n"] {
        let request = format!(
            "GET /a HTTP/1.1\r\nhost: a\r\n\r\nPUT /b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = proxy.text(&request).await;
        assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 2, "{answer}");
    }
    let lines: Vec<String> = origin.received().iter().map(|one| one.line()).collect();
    assert!(
        !lines.iter().any(|line| line.contains("/dir/")),
        "{lines:?}"
    );
}
