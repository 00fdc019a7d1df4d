//! The guard: which operations pass and which are refused, in path style and with one bucket.

use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, header, one_route, proxy, status};

#[tokio::test(flavor = "multi_thread")]
async fn operations_on_settings_and_buckets_are_refused() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let one = proxy(origin.address, "guard = {}");
    let many = Proxy::start(&one_route(&format!(
        "origin = {{ buckets = [\"team-*\"], endpoint = \"{}\", tls = false }}\nguard = {{}}",
        origin.address
    )));
    for (method, target, expected) in [
        ("GET", "/k", 200),
        ("GET", "/?prefix=a&max-keys=2", 200),
        ("DELETE", "/k", 200),
        ("GET", "/k?acl", 403),
        ("GET", "/k?x=1&a%63l", 403),
        ("GET", "/?policy", 403),
        ("DELETE", "/", 403),
        ("GET", "/?aSettingOfTomorrow", 403),
    ] {
        let request = |target: &str| {
            format!("{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        };
        let answer = one.text(&request(target)).await;
        assert_eq!(status(&answer), expected, "{method} {target}: {answer}");
        let answer = many.text(&request(&format!("/team-a{target}"))).await;
        assert_eq!(
            status(&answer),
            expected,
            "{method} /team-a{target}: {answer}"
        );
    }
    let answer = many.get("x", "/").await;
    assert_eq!(status(&answer), 403, "the list of all buckets: {answer}");
    assert!(answer.contains("ListBuckets"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_refuses_writes() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(origin.address, "guard = { preset = \"read-only\" }");
    let put = "PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx";
    let answer = proxy.text(put).await;
    assert_eq!(status(&answer), 403);
    assert!(
        answer.contains("guard `read-only` lets no PUT through"),
        "{answer}"
    );
    assert_eq!(header(&answer, "x-ossgate-error"), ["guard_refused"]);
    assert_eq!(status(&proxy.get("x", "/k?versionId=1").await), 200);
    assert_eq!(origin.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_method_gets_the_list_of_served_methods() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(origin.address, "methods = [\"GET\", \"HEAD\"]");
    let answer = proxy
        .text("DELETE /k HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    assert_eq!(status(&answer), 405);
    assert_eq!(header(&answer, "allow"), ["GET, HEAD"]);
    assert_eq!(header(&answer, "x-ossgate-error"), ["method_not_allowed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_operation_passes_although_the_preset_refuses_it() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let rules = "guard = { preset = \"read-only\", allow = [\"GET ?acl\", \"PUT ?acl\", \"POST ?metaQuery&comp\"] }";
    let one = proxy(origin.address, rules);
    let many = Proxy::start(&one_route(&format!(
        "origin = {{ buckets = [\"team-*\"], endpoint = \"{}\", tls = false }}\n{rules}",
        origin.address
    )));
    for (method, target, more, expected) in [
        ("GET", "/?acl", "", 200),
        ("GET", "/k?acl", "", 200),
        ("GET", "/k?acl=", "", 200),
        ("GET", "/?%61cl", "", 200),
        ("GET", "/?x-oss-signature=a&ac%6C&versionId=1", "", 200),
        ("PUT", "/?acl", "x-oss-acl: private\r\n", 200),
        ("POST", "/?comp=query&metaQuery", "", 200),
        ("GET", "/?ACL", "", 403),
        ("GET", "/?%2561cl", "", 403),
        ("GET", "/?acl&policy", "", 403),
        ("GET", "/?acl&aSettingOfTomorrow", "", 403),
        ("GET", "/?policy", "", 403),
        ("HEAD", "/?acl", "", 403),
        ("DELETE", "/?acl", "", 403),
        ("POST", "/?metaQuery", "", 403),
        ("POST", "/?comp&metaQuery", "x-oss-acl: private\r\n", 403),
        ("PUT", "/k", "", 403),
    ] {
        for (proxy, target) in [
            (&one, target.to_owned()),
            (&many, format!("/team-a{target}")),
        ] {
            let before = origin.received().len();
            let answer = proxy
                .text(&format!(
                    "{method} {target} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n{more}connection: close\r\n\r\n"
                ))
                .await;
            assert_eq!(status(&answer), expected, "{method} {target}: {answer}");
            let reached = origin.received().len() - before;
            assert_eq!(reached, usize::from(expected == 200), "{method} {target}");
        }
    }
    let answer = many.get("x", "/?acl").await;
    assert_eq!(status(&answer), 403, "no bucket: {answer}");
}
