//! Header fields that are changed in responses.
//!
//! Rows: paths in every spelling against the suffixes of rules; set, add and remove with repeated fields; routes with
//! equal rules. Left out: which responses are changed (`headers_everywhere`), problems of the config
//! (`config/header_fields`).

use std::path::Path;
use std::sync::Arc;

use ossgate::config;
use ossgate::identity::credentials;
use ossgate::listener::tls;
use ossgate::origin::endpoint::dns;
use ossgate::origin::tiers::registry::Registry;
use ossgate::policy::referer::Reports;
use ossgate::route::build;

use crate::support::origin::{RawOrigin, Reply, ok};
use crate::support::proxy::{header, proxy, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_suffix_is_compared_with_the_path_as_oss_reads_it() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(
        origin.address,
        "headers = [{ suffix = [\".html\", \"/\"], set = { X-Page = \"yes\" } },\n\
         { suffix = [\"%2Ea b%25\"], set = { X-Odd = \"yes\" } }, { set = { X-All = \"yes\" } }]"
            .replace("a b", "a%20b")
            .as_str(),
    );
    for (target, is_page, is_odd) in [
        ("/a.html", true, false),
        ("/.html", true, false),
        ("/a.%68tml", true, false),
        ("/a%2Ehtm%6C", true, false),
        ("/a%2ehtm%6c", true, false),
        ("/a.html?x", true, false),
        ("/a.html?x=.jpg", true, false),
        ("/a.html?", true, false),
        ("/", true, false),
        ("/?a", true, false),
        ("/docs/", true, false),
        ("/docs%2F", true, false),
        ("/docs%2f", true, false),
        ("//", true, false),
        ("/a.HTML", false, false),
        ("/a.Html", false, false),
        ("/a.htm", false, false),
        ("/a.html.gz", false, false),
        ("/a.jpg?b=.html", false, false),
        ("/a.jpg?/", false, false),
        ("/a.%2568tml", false, false),
        ("/docs%252F", false, false),
        ("/docs%2", false, false),
        ("/x.a%20b%25", false, true),
        ("/x%2ea%20%62%", false, true),
        ("/x.a+b%25", false, false),
        ("/x.a%20b%2525", false, false),
    ] {
        let expected = [is_page, is_odd, true];
        let names = ["x-page", "x-odd", "x-all"];
        for front in ["", "http://h"] {
            let answer = proxy.get("h", &format!("{front}{target}")).await;
            assert_eq!(status(&answer), 200, "{target}: {answer}");
            let found = names.map(|name| header(&answer, name) == ["yes"]);
            assert_eq!(found, expected, "{front}{target}: {answer}");
        }
        let request = http::Request::get(format!("http://h{target}"));
        let (code, headers) = proxy.http2_head(request, "").await;
        let found = names.map(|name| headers.get(name).is_some_and(|value| value == "yes"));
        assert_eq!((code, found), (200, expected), "HTTP/2 {target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_remove_then_set_then_add_and_are_applied_in_order() {
    let origin = RawOrigin::start(|_| {
        Reply::Bytes(
            b"HTTP/1.1 200 OK\r\nServer: AliyunOSS\r\nX-Two: a\r\nx-two: b\r\nX-Kept: a\r\nX-Gone: a\r\nx-gone: b\r\n\
              x-oss-request-id: 5C3D\r\nx-oss-server-time: 3\r\nLink: a\r\ncontent-length: 0\r\n\r\n"
                .to_vec(),
        )
    })
    .await;
    let proxy = proxy(
        origin.address,
        "headers = [\n\
         { set = { X-TWO = \"c\", X-First = \"1\", Link = \"b\" }, add = { link = \"c\", x-kept = \"b\" }, remove = [\"x-GONE\", \"X-OSS-Server-Time\", \"server\"] },\n\
         { set = { x-first = \"2\" }, add = { X-Gone = \"c\", X-Kept = \"c\" } },\n\
         { suffix = [\".jpg\"], remove = [\"x-kept\"] }]",
    );
    let all = |answer: &str| {
        [
            "x-two",
            "x-kept",
            "x-gone",
            "x-first",
            "link",
            "server",
            "x-oss-server-time",
            "x-oss-request-id",
        ]
        .map(|name| header(answer, name).join(", "))
    };
    let answer = proxy.get("h", "/a").await;
    assert_eq!(
        all(&answer),
        ["c", "a, b, c", "c", "2", "b, c", "", "", "5C3D"],
        "{answer}"
    );
    let answer = proxy.get("h", "/a.jpg").await;
    assert_eq!(
        all(&answer),
        ["c", "", "c", "2", "b, c", "", "", "5C3D"],
        "{answer}"
    );
    let (_, headers) = proxy.http2_head(http::Request::get("http://h/a"), "").await;
    let values = |name| -> Vec<&str> {
        headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    };
    assert_eq!(values("x-kept"), ["a", "b", "c"]);
    assert_eq!(values("x-two"), ["c"]);
    assert_eq!(values("server"), [""; 0]);
}

#[test]
fn routes_with_equal_rules_share_them() {
    let route = |name: &str, rules: &str| {
        format!(
            "[[route]]\nhosts = [\"{name}.cn\"]\norigin = {{ bucket = \"examplebucket\", region = \"cn-hangzhou\" }}\n{rules}\n"
        )
    };
    let rule = |suffix: &str, value: &str| {
        format!("headers = [{{ suffix = [\"{suffix}\"], set = {{ X-A = \"{value}\" }} }}]")
    };
    let text = [
        "[[listener]]\naddress = \"127.0.0.1:0\"\n".to_owned(),
        route("a", &rule(".html", "1")),
        route("b", &rule(".html", "1").replace("X-A", "x-a")),
        route("c", &rule(".html", "2")),
        route("d", &rule(".htm", "1")),
        route("e", ""),
    ]
    .concat();
    let loaded = config::from_str("t.toml", &text, Path::new("/"), &|_| None);
    let config = loaded.unwrap().config;
    let (engine, _) = dns::engine(&config.dns).unwrap();
    let registry = Arc::new(Registry::new(
        engine,
        &config.dns,
        Arc::new(tls::provider()),
    ));
    let (sources, _runner) = credentials::sources(|| 0, 0, config::NamedFiles::Read);
    let router = build::router(&config, &registry, &Reports::default(), &sources).unwrap();
    let policy = |index: usize| router.routes[index].policies.headers.as_ref().unwrap();
    assert!(Arc::ptr_eq(policy(0), policy(1)));
    assert!(!Arc::ptr_eq(policy(0), policy(2)));
    assert!(!Arc::ptr_eq(policy(0), policy(3)));
    assert!(router.routes[4].policies.headers.is_none());
}
