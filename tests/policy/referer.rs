//! Hotlink protection: every case of the table, and requests that the rules do not apply to.

use std::collections::HashMap;

use crate::support::cases::{list, rows};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, header, proxy, status};

const CASES: &str = include_str!("../data/oss-referer-cases.tsv");

#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_the_table_is_decided_as_oss_does() {
    let origin = RawOrigin::start(|_| ok("the object")).await;
    let mut proxies: HashMap<String, Proxy> = HashMap::new();
    let mut checked = 0;
    for row in rows(CASES) {
        let [
            id,
            empty,
            query,
            path,
            allow,
            deny,
            referer,
            request,
            decision,
            _,
            ec,
            ..,
        ] = row[..]
        else {
            panic!("{row:?}");
        };
        let texts = |json: &str| list(&serde_json::from_str::<Vec<String>>(json).unwrap());
        let rules = format!(
            "referer = {{ allow = {}, deny = {}, allow_empty = {empty}, truncate_query = {query}, truncate_path = {path} }}",
            texts(allow),
            texts(deny)
        );
        let proxy = proxies
            .entry(rules.clone())
            .or_insert_with(|| proxy(origin.address, &rules));
        let referer = match referer {
            "(absent)" => String::new(),
            json => format!(
                "referer: {}\r\n",
                serde_json::from_str::<String>(json).unwrap()
            ),
        };
        let target = if request.starts_with("presigned") {
            "/a.jpg?OSSAccessKeyId=a&Expires=9999999999&Signature=b"
        } else {
            "/a.jpg"
        };
        let answer = proxy
            .text(&format!(
                "GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{referer}\r\n"
            ))
            .await;
        if decision == "allow" {
            assert_eq!(status(&answer), 200, "case {id}: {answer}");
        } else {
            assert_eq!(status(&answer), 403, "case {id}: {answer}");
            let is_named = answer.contains("<Code>AccessDenied</Code>")
                && answer.contains("You are denied by bucket referer policy.")
                && answer.contains(&format!("<EC>{ec}</EC>"));
            assert!(is_named, "case {id}: {answer}");
            // OSS got no request, so the response must not look as if OSS had made it.
            assert!(
                header(&answer, "x-oss-ec").is_empty()
                    && header(&answer, "x-oss-request-id").is_empty()
            );
            assert_eq!(header(&answer, "x-ossgate-error"), ["referer_refused"]);
        }
        checked += 1;
    }
    eprintln!("{checked} referer cases through the proxy");
    assert_eq!(checked, 52);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_do_not_apply_to_signed_requests_forms_preflights_and_the_bucket() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let rules = "referer = { allow = [\"https://good.example\"], allow_empty = false }";
    let proxy = proxy(origin.address, rules);
    for (request, expected) in [
        ("GET /k HTTP/1.1\r\nauthorization: OSS a:b\r\n", 200),
        ("OPTIONS /k HTTP/1.1\r\n", 200),
        (
            "POST / HTTP/1.1\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: 0\r\n",
            200,
        ),
        ("GET /?acl HTTP/1.1\r\n", 200),
        ("GET / HTTP/1.1\r\n", 200),
        ("GET /k HTTP/1.1\r\n", 403),
        ("HEAD /k HTTP/1.1\r\n", 403),
        (
            "GET /k HTTP/1.1\r\nreferer: https://good.example/page\r\n",
            200,
        ),
        (
            "GET /k HTTP/1.1\r\nreferer: https://evil.example/https://good.example\r\n",
            403,
        ),
    ] {
        let answer = proxy
            .text(&format!("{request}host: x\r\nconnection: close\r\n\r\n"))
            .await;
        assert_eq!(status(&answer), expected, "{request}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_website_the_root_is_protected_like_an_object() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let rules =
        "referer = { allow = [\"https://good.example\"], allow_empty = false }\nwebsite = {}";
    let proxy = proxy(origin.address, rules);
    let answer = proxy.get("x", "/").await;
    assert_eq!(status(&answer), 403, "{answer}");
    let form = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(
        status(&proxy.text(form).await),
        200,
        "the rules do not apply to forms"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mode_report_refuses_nothing() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let rules =
        "referer = { allow = [\"https://good.example\"], allow_empty = false, mode = \"report\" }";
    let answer = proxy(origin.address, rules).get("x", "/k").await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_logged_with_its_kind() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let rules = "referer = { deny = [\"*evil*\"] }";
    let proxy = proxy(origin.address, rules);
    let request =
        "GET /k HTTP/1.1\r\nhost: x\r\nreferer: http://evil.example/\r\nconnection: close\r\n\r\n";
    assert_eq!(status(&proxy.text(request).await), 403);
    let lines = proxy.stop();
    assert_eq!(lines[0]["error"], "referer_refused");
    assert_eq!(lines[0]["status"], 403);
    assert_eq!(lines[0]["route"], "examplebucket");
    assert!(origin.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_signature_that_oss_knows_exempts_a_request() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let rules = "referer = { allow = [\"https://good.example\"], allow_empty = false }";
    let proxy = proxy(origin.address, rules);
    for (lines, expected) in [
        ("authorization: OSS a:b\r\n", 200),
        ("Authorization:   OSS2 a\r\n", 200),
        ("authorization: OSS4-HMAC-SHA256 Credential=a\r\n", 200),
        ("AUTHORIZATION: AWS a:b\r\n", 200),
        ("authorization: AWS4-HMAC-SHA256 Credential=a\r\n", 200),
        ("authorization:\r\n", 403),
        ("authorization: \r\n", 403),
        ("authorization: OSS\r\n", 403),
        ("authorization: OSS \r\n", 403),
        ("authorization: oss a:b\r\n", 403),
        ("authorization: OSS4-hmac-sha256 Credential=a\r\n", 403),
        ("authorization: OSS:a:b\r\n", 403),
        ("authorization: Basic eA==\r\n", 403),
        ("authorization: Bearer OSS a:b\r\n", 403),
        ("authorization: Digest a\r\n", 403),
    ] {
        let answer = proxy
            .text(&format!(
                "GET /k HTTP/1.1\r\nhost: examplebucket.oss.test\r\nreferer: https://evil.example/\r\n{lines}connection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(status(&answer), expected, "{lines}: {answer}");
    }
    // A request with several fields is refused, by the rules or before them.
    for lines in [
        "authorization: OSS a:b\r\nauthorization: Basic eA==\r\n",
        "authorization:\r\nauthorization: OSS a:b\r\n",
        "referer: https://good.example/\r\nreferer: https://evil.example/\r\n",
        "referer:\r\nreferer: https://evil.example/\r\n",
    ] {
        let answer = proxy
            .text(&format!(
                "GET /k HTTP/1.1\r\nhost: x\r\n{lines}connection: close\r\n\r\n"
            ))
            .await;
        assert!([400, 403].contains(&status(&answer)), "{lines}: {answer}");
    }
}
