//! `explain` and the proxy agree on every request.
//!
//! Rows: generated requests, each explained and sent, for routes with every rule by exact host, by wildcard and
//! for every host.

use std::path::Path;
use std::sync::Arc;

use ossgate::config::{self, Config};
use ossgate::identity::credentials;
use ossgate::listener::tls;
use ossgate::origin::endpoint::dns;
use ossgate::origin::tiers::registry::Registry;
use ossgate::policy::referer::Reports;
use ossgate::route::explain::{End, Explanation, RequestToExplain, explain};
use ossgate::route::{Router, build};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as RunnerConfig, TestRunner};

use crate::support::daemon::wait_for;
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, header, status};

const CASES: usize = 400;

const STATIC: &str =
    "credentials = { source = \"static\", access_key_id = \"id\", access_key_secret = \"s\" }";
const KEYLESS: &str = "credentials = { source = \"file\", path = \"/nonexistent/key.json\" }";

/// A config with every rule, on routes by exact host, by wildcard and for every host.
fn text(origin: std::net::SocketAddr) -> String {
    format!(
        "[server]\nworkers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\nhealth_path = \"/ping\"\n\
         [[route]]\nhosts = [\"img.example.com\"]\n\
         origin = {{ bucket = \"examplebucket\", endpoint = \"{origin}\", host = \"b.oss.test\", tls = false, prefix = \"site/\" }}\n\
         ip = {{ allow = [\"203.0.113.0/24\", \"2001:db8::/32\"], deny = [\"203.0.113.9\"] }}\n\
         https = {{}}\nwebsite = {{ subdirectories = \"not-found\" }}\n\
         headers = [{{ suffix = [\"/\", \"a.jp%67\"], set = {{ X-Rule = \"1\" }} }}, {{ suffix = [\"a.jpg\"], add = {{ X-Rule = \"2\" }} }}]\n\
         referer = {{ allow = [\"https://*.example.com\", \"http://plain?.cn/a\"], deny = [\"*evil*\"], allow_empty = false }}\n\
         cors = {{ rules = [{{ origins = [\"https://*.example.com\"], methods = [\"GET\", \"PUT\"], headers = [\"x-*\"] }}] }}\n\
         [[route]]\nhosts = [\"*.gate.cn\"]\npath = \"/api\"\nmethods = [\"GET\", \"PUT\", \"OPTIONS\"]\n\
         origin = {{ buckets = [\"team-*\", \"examplebucket\"], endpoint = \"{origin}\", tls = false, strip_path = true }}\n\
         guard = {{ preset = \"read-only\", allow = [\"GET ?acl\"] }}\n\
         [[route]]\nhosts = [\"private.cn\"]\nsign = {{ region = \"cn-hangzhou\" }}\nwebsite = {{}}\n\
         origin = {{ bucket = \"examplebucket\", endpoint = \"{origin}\", host = \"b.oss.test\", tls = false, {STATIC} }}\n\
         [[route]]\nhosts = [\"keyless.cn\"]\nsign = {{ version = \"v1\" }}\n\
         origin = {{ buckets = [\"team-*\"], endpoint = \"{origin}\", tls = false, {KEYLESS} }}\n\
         [[route]]\nhosts = [\"*.list.cn\"]\nlist_buckets = \"pass\"\n\
         origin = {{ buckets = [\"team-*\"], endpoint = \"{origin}\", tls = false }}\nhttps = {{}}\n\
         [[route]]\n\
         origin = {{ buckets = [\"team-*\"], endpoint = \"{origin}\", tls = false }}\n\
         ip = {{ deny = [\"203.0.113.9\"] }}\nhttps = {{ mode = \"require\" }}\nguard = {{}}\n"
    )
}

#[derive(Clone, Debug)]
struct Generated {
    method: &'static str,
    host: &'static str,
    target: String,
    is_https: bool,
    client: &'static str,
    headers: Vec<(&'static str, &'static str)>,
}

fn generated() -> impl Strategy<Value = Generated> {
    let pick = |texts: &'static [&'static str]| prop::sample::select(texts);
    let header = prop_oneof![
        pick(&[
            "https://a.example.com",
            "https://a.example.com/p?q",
            "http://plainx.cn/abc",
            "http://evil.example.com/",
            "https://other.org/",
            " ",
        ])
        .prop_map(|value| ("referer", value)),
        pick(&["https://a.example.com", "https://b.org", "null"])
            .prop_map(|value| ("origin", value)),
        pick(&["GET", "PUT", "DELETE"]).prop_map(|value| ("access-control-request-method", value)),
        pick(&["x-a, X-B", "content-type"])
            .prop_map(|value| ("access-control-request-headers", value)),
        pick(&[
            "OSS a:b",
            "OSS a:b",
            "Basic a",
            "AWS4-HMAC-SHA256 Credential=a",
            "OSS4-HMAC-SHA256 AdditionalHeaders=host",
        ])
        .prop_map(|value| ("authorization", value)),
        pick(&[
            "close, x-custom",
            "close, x-custom",
            "close, x-custom",
            "close, host"
        ])
        .prop_map(|value| ("connection", value)),
    ];
    (
        pick(&["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"]),
        pick(&[
            "img.example.com",
            "img.example.com",
            "203.0.113.7",
            "IMG.example.com",
            "private.cn",
            "keyless.cn",
            "team-a.gate.cn",
            "examplebucket.gate.cn",
            "no.gate.cn",
            "list.cn",
            "team-a.list.cn",
            "b.oss.test",
            "203.0.113.7",
            "a..b",
        ]),
        pick(&[
            "/",
            "/a.jpg",
            "/docs/",
            "/api",
            "/api/",
            "/api/k",
            "/api/team-a/k",
            "/team-a",
            "/team-a/",
            "/team-a/k//l",
            "/team-b%2Fk",
            "/%61pi%2Fteam%2Da%2Fk",
            "/api%2f",
            "/docs%2F",
            "/%2Fteam-a",
            "/p%69ng",
            "/other/k",
            "/ping",
        ]),
        pick(&[
            "",
            "?x=1",
            "?acl",
            "?uploads",
            "?prefix=a&max-keys=1",
            "?a%63l",
            "?versionId=1",
            "?OSSAccessKeyId=a&Signature=b",
        ]),
        prop::bool::weighted(0.85),
        pick(&[
            "203.0.113.7",
            "203.0.113.7",
            "::ffff:203.0.113.7",
            "2001:db8::1",
            "203.0.113.9",
            "198.51.100.7",
        ]),
        prop::collection::btree_map(0_u8..6, header, 0..3),
    )
        .prop_map(|(method, host, path, query, is_https, client, headers)| {
            let mut headers: Vec<_> = headers.into_values().collect();
            headers.sort_unstable();
            headers.dedup_by_key(|(name, _)| *name);
            Generated {
                method,
                host,
                target: format!("{path}{query}"),
                is_https,
                client,
                headers,
            }
        })
}

fn explained(router: &Router, config: &Config, one: &Generated) -> Explanation {
    let mut request = http::Request::new(());
    *request.method_mut() = one.method.parse().unwrap();
    *request.uri_mut() = one.target.parse().unwrap();
    let headers = request.headers_mut();
    headers.insert("host", one.host.parse().unwrap());
    for (name, value) in &one.headers {
        headers.append(*name, value.trim().parse().unwrap());
    }
    explain(
        router,
        config,
        &RequestToExplain {
            head: request,
            is_https: one.is_https,
            client: Some(one.client.parse().unwrap()),
        },
    )
}

fn built(text: &str) -> (Router, Config) {
    let loaded = config::from_str("t.toml", text, Path::new("/"), &|_| None);
    let config = loaded.unwrap().config;
    let (engine, _) = dns::engine(&config.dns).unwrap();
    let registry = Registry::new(engine, &config.dns, Arc::new(tls::provider()));
    let (sources, _runner) = credentials::sources(|| 0, 0, config::NamedFiles::Read);
    let registry = Arc::new(registry);
    let router = build::router(&config, &registry, &Reports::default(), &sources).unwrap();
    (router, config)
}

#[test]
fn a_path_in_another_spelling_is_shown_with_the_key_that_is_judged() {
    let (router, config) = built(&text(([127, 0, 0, 1], 80).into()));
    for (host, target, expected) in [
        ("img.example.com", "/", "object `site/`"),
        ("img.example.com", "/a%2Fb%20c", "object `site/a/b c`"),
        ("x.gate.cn", "/%61pi%2Fk", "object `k`"),
        ("x.gate.cn", "/api?acl", "the bucket"),
        ("203.0.113.7", "/team-a%2F", "the bucket"),
    ] {
        let one = Generated {
            method: "GET",
            host,
            target: target.to_owned(),
            is_https: true,
            client: "203.0.113.7",
            headers: Vec::new(),
        };
        let steps = explained(&router, &config, &one).steps;
        let found = steps.iter().find(|step| step.name == "key").unwrap();
        let path = target.split('?').next().unwrap();
        let expected = format!("path `{path}` is judged as {expected}");
        assert_eq!(found.finding, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_treats_each_request_as_explain_reports() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let text = text(origin.address);
    let proxy = Proxy::start(&text);
    // A health check is explained as that of a ready node.
    let state = proxy.state();
    wait_for("readiness", || state.health.is_ready().then_some(())).await;
    let (router, config) = built(&text);
    let mut runner = TestRunner::new(RunnerConfig::default());
    let (mut sent, mut answered) = (0, 0);
    for _ in 0..CASES {
        let one = generated().new_tree(&mut runner).unwrap().current();
        let Explanation { steps, end, .. } = explained(&router, &config, &one);
        let rules =
            (steps.iter()).filter(|step| step.name == "headers" && step.finding.contains("x-rule"));
        let before = origin.received().len();
        let mut lines = format!(
            "x-forwarded-proto: {}\r\nx-forwarded-for: {}\r\n",
            if one.is_https { "https" } else { "http" },
            one.client
        );
        let mut closes = "connection: close\r\n";
        for (name, value) in &one.headers {
            lines.push_str(&format!("{name}: {value}\r\n"));
            if *name == "connection" {
                closes = "";
            }
        }
        let body = if matches!(one.method, "PUT" | "POST") {
            "content-length: 0\r\n"
        } else {
            ""
        };
        let answer = proxy
            .text(&format!(
                "{} {} HTTP/1.1\r\nhost: {}\r\n{lines}{body}{closes}\r\n",
                one.method, one.target, one.host
            ))
            .await;
        assert_eq!(
            header(&answer, "x-rule").len(),
            rules.count(),
            "{one:?}: {answer}"
        );
        let received = origin.received();
        match &end {
            End::Sent(destination) => {
                sent += 1;
                let seen = received
                    .get(before)
                    .unwrap_or_else(|| panic!("{one:?}: {end:?}: {answer}"));
                assert_eq!(
                    seen.line(),
                    format!("{} {} HTTP/1.1", one.method, destination.target),
                    "{one:?}"
                );
                assert_eq!(
                    seen.header("host"),
                    [destination.host.as_bytes().to_vec()],
                    "{one:?}"
                );
                assert_eq!(status(&answer), 200, "{one:?}: {answer}");
            }
            End::Answered(expected, kind) => {
                answered += 1;
                assert_eq!(
                    received.len(),
                    before,
                    "{one:?}: {end:?}: the request reached OSS"
                );
                assert_eq!(status(&answer), *expected, "{one:?}: {answer}");
                let named = answer
                    .split("x-ossgate-error: ")
                    .nth(1)
                    .and_then(|rest| rest.split("\r\n").next());
                assert_eq!(named, *kind, "{one:?}: {answer}");
            }
        }
    }
    eprintln!("explain: {sent} sent, {answered} answered by the proxy, all as explained");
    assert!(
        sent > CASES / 20 && answered > CASES / 20,
        "{sent} {answered}"
    );
}
