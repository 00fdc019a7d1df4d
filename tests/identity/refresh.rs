//! The refresh of the proxy's access key.
//!
//! Rows: keys that rotate under load; a metadata service that fails before and after the expiry; keys that OSS
//! refuses. Left out: the times of the refresh (unit tests of `schedule`).

use std::time::Duration;

use tokio::time::Instant;

use crate::support::origin::{RawOrigin, ok};
use crate::support::private::{Metadata, Private, STATIC, Service, route, unix_now, until};
use crate::support::proxy::{Proxy, bucket_at, header, one_route, status};

async fn private() -> Private {
    let bucket = Private::start().await;
    bucket.put("k");
    bucket
}

/// Sends requests while `goes_on`, each of which must succeed. Returns their number.
async fn load(proxy: &Proxy, mut goes_on: impl FnMut() -> bool) -> usize {
    let begin = Instant::now();
    let mut sent = 0;
    while goes_on() {
        let answer = proxy.get("x", "/k").await;
        assert_eq!(status(&answer), 200, "request {sent}: {answer}");
        sent += 1;
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_keys_rotate() {
    let bucket = private().await;
    let service = Service {
        lifetime: 3,
        ..Service::default()
    };
    let metadata = Metadata::start(service, &bucket.keys).await;
    let proxy = Proxy::start(&one_route(&route(
        bucket.address,
        &metadata.credentials(""),
    )));
    let sent = load(&proxy, || metadata.issued() < 4).await;
    assert!(sent > 10, "{sent}");
    let ids: std::collections::BTreeSet<Vec<u8>> = (bucket.origin.seen().iter())
        .filter_map(|seen| Some(seen.header("x-oss-security-token")?.to_vec()))
        .collect();
    assert!(ids.len() >= 3, "{}", ids.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_the_metadata_service_is_down_before_the_expiry() {
    let bucket = private().await;
    let service = Service {
        lifetime: 7,
        ..Service::default()
    };
    let metadata = Metadata::start(service, &bucket.keys).await;
    let proxy = Proxy::start(&one_route(&route(
        bucket.address,
        &metadata.credentials(""),
    )));
    assert_eq!(status(&proxy.get("x", "/k").await), 200);
    let expires = unix_now() + 7;
    metadata.set(|service| service.status = 500);
    // It recovers one to two seconds before the expiry.
    load(&proxy, || {
        metadata.lines().len() <= 3 || unix_now() + 2 < expires
    })
    .await;
    assert_eq!(metadata.issued(), 1, "it was asked in vain");
    metadata.set(|service| service.status = 200);
    load(&proxy, || metadata.issued() < 2 || unix_now() <= expires).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_expiry_requests_get_503_until_there_is_a_key_again() {
    let bucket = private().await;
    let plain = RawOrigin::start(|_| ok("plain")).await;
    let service = Service {
        lifetime: 2,
        ..Service::default()
    };
    let metadata = Metadata::start(service, &bucket.keys).await;
    let plain_route = bucket_at(plain.address);
    let proxy = Proxy::start(&one_route(&format!(
        "{}[[route]]\nhosts = [\"plain.test\"]\n{plain_route}",
        route(bucket.address, &metadata.credentials(""))
    )));
    assert_eq!(status(&proxy.get("x", "/k").await), 200);
    metadata.set(|service| service.status = 404);
    let (_, answer) = until(&proxy, 503).await;
    assert_eq!(
        header(&answer, "x-ossgate-error"),
        ["credentials_unavailable"]
    );
    assert_eq!(header(&answer, "retry-after"), ["1"]);
    for part in ["<Code>ProxyCredentialsUnavailable</Code>", "`ecs-ram-role`"] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    let before = bucket.origin.requests();
    assert_eq!(status(&proxy.get("x", "/k").await), 503);
    assert_eq!(
        bucket.origin.requests(),
        before,
        "nothing is sent without a key"
    );
    assert_eq!(status(&proxy.get("plain.test", "/k").await), 200);
    // A request that the client has signed needs no key of the proxy.
    let signed =
        "GET /k HTTP/1.1\r\nhost: x\r\nauthorization: OSS a:b\r\nconnection: close\r\n\r\n";
    assert_eq!(status(&proxy.text(signed).await), 403);
    assert_eq!(bucket.origin.requests(), before + 1);
    let state = proxy.state().status()["credentials"][0].clone();
    assert_eq!(state["valid"], false, "{state}");
    assert_eq!(
        state["failure"], "no RAM role is attached to this instance",
        "{state}"
    );
    metadata.set(|service| {
        service.status = 200;
        service.lifetime = 3600;
    });
    until(&proxy, 200).await;
    let state = proxy.state().status()["credentials"][0].clone();
    assert_eq!(state["valid"], true, "{state}");
    assert_eq!(state["failure"], serde_json::Value::Null, "{state}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_oss_refuses_is_replaced_and_the_read_sent_again() {
    for method in ["GET", "HEAD"] {
        let bucket = private().await;
        let metadata = Metadata::start(Service::default(), &bucket.keys).await;
        let proxy = Proxy::start(&one_route(&route(
            bucket.address,
            &metadata.credentials(""),
        )));
        let request = format!("{method} /k HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert_eq!(status(&proxy.text(&request).await), 200);
        bucket.keys.lock().unwrap().remove("STS.1");
        let answer = proxy.text(&request).await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert_eq!(
            (metadata.issued(), bucket.origin.requests()),
            (2, 3),
            "{method}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_not_asked_for_each_refused_request() {
    let bucket = private().await;
    let service = Service {
        repeats: true,
        ..Service::default()
    };
    let metadata = Metadata::start(service, &bucket.keys).await;
    let proxy = Proxy::start(&one_route(&route(
        bucket.address,
        &metadata.credentials(""),
    )));
    assert_eq!(status(&proxy.get("x", "/k").await), 200);
    bucket.keys.lock().unwrap().clear();
    // The fake service makes its keys valid, so this one is another key with the same id.
    metadata.set(|service| service.status = 500);
    let all = (0..20).map(|_| proxy.get("x", "/k"));
    let mut answers = Vec::new();
    for answer in all {
        answers.push(answer.await);
    }
    for answer in answers {
        assert_eq!(status(&answer), 502, "{answer}");
        assert!(answer.contains("(InvalidAccessKeyId)"), "{answer}");
    }
    let tokens = metadata
        .lines()
        .iter()
        .filter(|line| line.starts_with("PUT"))
        .count();
    assert!((2..=8).contains(&tokens), "{tokens}");
    // A key of the config cannot change, so nothing is sent twice.
    let proxy = Proxy::start(&one_route(&route(bucket.address, STATIC)));
    let before = bucket.origin.requests();
    assert_eq!(status(&proxy.get("x", "/k").await), 502);
    assert_eq!(bucket.origin.requests(), before + 1);
}
