//! The guard: which operations pass and which are refused, in path style and with one bucket.

use super::{header, proxy};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, one_route, status};

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
