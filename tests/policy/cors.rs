//! Cross-origin rules: every case of the table, and responses that the proxy makes itself.

use std::collections::{BTreeMap, HashMap};

use crate::support::cases::{list, rows};
use crate::support::origin::{RawOrigin, Reply, ok};
use crate::support::proxy::{Proxy, header, proxy, status};

const CASES: &str = include_str!("../data/oss-cors-cases.tsv");

/// The CORS headers of a response, without the prefix of their names.
fn cors_headers(answer: &str) -> BTreeMap<String, String> {
    let head = answer.split("\r\n\r\n").next().unwrap();
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .filter_map(|(name, value)| {
            let name = name.to_ascii_lowercase();
            let short = name.strip_prefix("access-control-")?;
            Some((short.to_owned(), value.to_owned()))
        })
        .collect()
}

/// An origin that sends CORS headers of its own.
async fn origin_with_cors_headers() -> RawOrigin {
    RawOrigin::start(|_| {
        Reply::Bytes(
            b"HTTP/1.1 200 OK\r\naccess-control-allow-origin: https://of.oss\r\n\
              access-control-allow-credentials: true\r\nvary: Accept-Encoding\r\ncontent-length: 1\r\n\r\nx"
                .to_vec(),
        )
    })
    .await
}

fn rules_of(json: &str, varies: &str) -> Option<String> {
    let rules: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
    if rules.is_empty() {
        return None;
    }
    let texts = |rule: &serde_json::Value, key: &str| {
        list(&serde_json::from_value::<Vec<String>>(rule[key].clone()).unwrap())
    };
    let rules: Vec<String> = rules
        .iter()
        .map(|rule| {
            let age = rule["a"]
                .as_u64()
                .map_or(String::new(), |age| format!(", max_age = \"{age}s\""));
            format!(
                "{{ origins = {}, methods = {}, headers = {}, expose = {}{age} }}",
                texts(rule, "o"),
                texts(rule, "m"),
                texts(rule, "h"),
                texts(rule, "e")
            )
        })
        .collect();
    Some(format!(
        "cors = {{ vary_origin = {varies}, rules = [{}] }}",
        rules.join(", ")
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_the_table_is_answered_as_oss_does() {
    let origin = origin_with_cors_headers().await;
    let mut proxies: HashMap<String, Proxy> = HashMap::new();
    let mut checked = 0;
    for row in rows(CASES) {
        let [
            id,
            rules,
            varies,
            method,
            headers,
            expected_status,
            expected,
            vary,
            ..,
        ] = row[..]
        else {
            panic!("{row:?}");
        };
        // A case without rules needs a route without the table, which passes OSS's headers through.
        let Some(rules) = rules_of(rules, varies) else {
            continue;
        };
        let proxy = proxies
            .entry(rules.clone())
            .or_insert_with(|| proxy(origin.address, &rules));
        let headers: BTreeMap<String, String> = serde_json::from_str(headers).unwrap();
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let body = if method == "POST" {
            "content-length: 0\r\n"
        } else {
            ""
        };
        let answer = proxy
            .text(&format!(
                "{method} /k HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}{body}\r\n"
            ))
            .await;
        let expected_status = if expected_status == "as served" {
            "200"
        } else {
            expected_status
        };
        assert_eq!(
            status(&answer).to_string(),
            expected_status,
            "case {id}: {answer}"
        );
        let expected: BTreeMap<String, String> = serde_json::from_str(expected).unwrap();
        if let Some(code) = expected.get("(code)") {
            assert!(
                answer.contains(&format!("<Code>{code}</Code>")),
                "case {id}: {answer}"
            );
            assert!(cors_headers(&answer).is_empty(), "case {id}: {answer}");
        } else {
            let expected: BTreeMap<String, String> = expected
                .into_iter()
                .map(|(name, value)| (name.replace("A-C-", "").to_ascii_lowercase(), value))
                .collect();
            assert_eq!(cors_headers(&answer), expected, "case {id}: {answer}");
        }
        let varies = header(&answer, "vary").contains(&"Origin");
        assert_eq!(varies, vary == "Origin", "case {id}: {answer}");
        checked += 1;
    }
    eprintln!("{checked} cors cases through the proxy");
    assert_eq!(checked, 32);
}

const OPEN: &str =
    "cors = { rules = [{ origins = [\"https://a.example\"], methods = [\"GET\", \"HEAD\"] }] }";

fn request(method: &str) -> String {
    format!(
        "{method} /k HTTP/1.1\r\nhost: x\r\norigin: https://a.example\r\nconnection: close\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn cors_headers_of_oss_are_replaced_and_vary_is_merged() {
    let origin = origin_with_cors_headers().await;
    let answer = proxy(origin.address, OPEN).text(&request("GET")).await;
    assert_eq!(
        header(&answer, "access-control-allow-origin"),
        ["https://a.example"]
    );
    assert!(header(&answer, "access-control-allow-credentials").is_empty());
    assert_eq!(header(&answer, "vary"), ["Accept-Encoding", "Origin"]);
    assert!(
        origin.received()[0].header("origin").is_empty(),
        "OSS must not see the origin"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_table_requests_and_responses_pass_unchanged() {
    let origin = origin_with_cors_headers().await;
    let proxy = proxy(origin.address, "");
    let answer = proxy.text(&request("GET")).await;
    assert_eq!(
        header(&answer, "access-control-allow-origin"),
        ["https://of.oss"]
    );
    assert_eq!(
        origin.received()[0].header("origin"),
        [b"https://a.example".to_vec()]
    );
    let preflight = "OPTIONS /k HTTP/1.1\r\nhost: x\r\norigin: https://a.example\r\naccess-control-request-method: PUT\r\n\
                     access-control-request-headers: x-a\r\nconnection: close\r\n\r\n";
    assert_eq!(status(&proxy.text(preflight).await), 200);
    let seen = &origin.received()[1];
    assert_eq!(seen.line(), "OPTIONS /k HTTP/1.1");
    assert_eq!(
        seen.header("access-control-request-headers"),
        [b"x-a".to_vec()]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_errors_can_be_read_by_the_page() {
    // The origin is stopped, so the proxy responds with 502.
    let gone = RawOrigin::start(|_| ok("x")).await.address;
    let rules = format!(
        "{OPEN}\nguard = {{ preset = \"read-only\" }}\nreferer = {{ deny = [\"*evil*\"] }}\nmethods = [\"GET\", \"HEAD\", \"OPTIONS\"]"
    );
    let proxy = proxy(gone, &rules);
    for (more, expected) in [("", 502), ("referer: http://evil.example/\r\n", 403)] {
        let text = request("GET").replace("\r\n\r\n", &format!("\r\n{more}\r\n"));
        let answer = proxy.text(&text).await;
        assert_eq!(status(&answer), expected, "{answer}");
        assert_eq!(
            header(&answer, "access-control-allow-origin"),
            ["https://a.example"],
            "{answer}"
        );
        assert_eq!(header(&answer, "vary"), ["Origin"]);
    }
    let answer = proxy.text(&request("GET").replace("/k", "/k?acl")).await;
    assert_eq!(status(&answer), 403);
    assert_eq!(
        header(&answer, "access-control-allow-origin"),
        ["https://a.example"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_can_follow_the_redirect_to_https_and_read_the_refusal() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    for (mode, expected) in [("redirect", 301), ("require", 403)] {
        let proxy = proxy(
            origin.address,
            &format!("{OPEN}\nhttps = {{ mode = \"{mode}\" }}"),
        );
        let answer = proxy.text(&request("GET")).await;
        assert_eq!(status(&answer), expected, "{answer}");
        assert_eq!(
            header(&answer, "access-control-allow-origin"),
            ["https://a.example"],
            "{answer}"
        );
        assert_eq!(header(&answer, "vary"), ["Origin"]);
    }
    assert!(origin.received().is_empty());
}

fn preflight(method: &str) -> String {
    format!(
        "OPTIONS /k HTTP/1.1\r\nhost: x\r\norigin: https://a.example\r\n\
         access-control-request-method: {method}\r\nconnection: close\r\n\r\n"
    )
}

/// Browsers do not follow a redirect of a preflight, so a page served over clear text could not send its
/// request at all if `https` answered before `cors`.
#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_over_clear_text_is_answered_by_the_rules() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    for mode in ["redirect", "require"] {
        let proxy = proxy(
            origin.address,
            &format!("{OPEN}\nhttps = {{ mode = \"{mode}\" }}"),
        );
        let answer = proxy.text(&preflight("GET")).await;
        assert_eq!(status(&answer), 200, "{mode}: {answer}");
        assert_eq!(
            header(&answer, "access-control-allow-origin"),
            ["https://a.example"],
            "{mode}"
        );
        assert_eq!(
            header(&answer, "access-control-allow-methods"),
            ["GET, HEAD"],
            "{mode}"
        );
        assert!(header(&answer, "location").is_empty(), "{mode}");
        let answer = proxy.text(&preflight("PUT")).await;
        assert_eq!(status(&answer), 403, "{mode}: {answer}");
        assert_eq!(
            header(&answer, "x-ossgate-error"),
            ["cors_refused"],
            "{mode}"
        );
        assert!(cors_headers(&answer).is_empty(), "{mode}: {answer}");
    }
    assert!(origin.received().is_empty());
}
