//! Requests that name no bucket: refused with the reason, or sent to the service itself.
//!
//! Rows: path style and the bare suffix of a wildcard host; other operations and paths of the service; a signed
//! ListBuckets against the demo origin; precedence against a route for every host.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, Method};
use ossgate::demo::net;
use ossgate::demo::origin::{BucketOptions, Keyring, Options, Origin};
use ossgate::oss::signature::{Keys, Resource, Signable, v1_signature, v1_string_to_sign};
use tokio::net::TcpListener;

use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, bucket_at, header, one_route, status};

/// A gateway to an origin; `more` are keys of its route.
fn gateway(origin: std::net::SocketAddr, more: &str) -> String {
    one_route(&format!(
        "hosts = [\"*.oss.example.com\"]\norigin = {{ buckets = [\"team-*\"], endpoint = \"{origin}\", tls = false }}\n{more}\n\
         [[route]]\nhosts = [\"203.0.113.7\"]\norigin = {{ buckets = [\"team-*\"], endpoint = \"{origin}\", tls = false }}\n{more}\n\
         [[route]]\nhosts = [\"*.api.example.com\"]\npath = \"/api\"\n\
         origin = {{ buckets = [\"team-*\"], endpoint = \"{origin}\", tls = false, strip_path = true }}\n{more}"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_all_buckets_is_refused_with_the_reason() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    for more in ["", "list_buckets = \"refuse\""] {
        let proxy = Proxy::start(&gateway(origin.address, more));
        for (host, target, expected) in [
            ("oss.example.com", "/", (403, "no_bucket")),
            ("OSS.Example.com:80", "/", (403, "no_bucket")),
            ("oss.example.com", "/?max-keys=1", (403, "no_bucket")),
            ("203.0.113.7", "/", (403, "no_bucket")),
            ("api.example.com", "/api", (403, "no_bucket")),
            ("api.example.com", "/api/", (403, "no_bucket")),
            ("api.example.com", "/", (404, "unknown_host")),
            ("oss.example.com", "/team-a/k", (404, "unknown_host")),
            ("example.com", "/", (404, "unknown_host")),
        ] {
            let answer = proxy.get(host, target).await;
            let found = (status(&answer), header(&answer, "x-ossgate-error")[0]);
            assert_eq!(found, expected, "{host}{target}: {answer}");
            let is_named = answer.contains("ListBuckets is not served by this proxy");
            assert_eq!(is_named, expected.0 == 403, "{answer}");
        }
    }
    assert_eq!(origin.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_all_buckets_is_sent_to_the_host_of_the_endpoint() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    for more in [
        "list_buckets = \"pass\"",
        "list_buckets = \"pass\"\nguard = { preset = \"full\" }",
    ] {
        let proxy = Proxy::start(&gateway(origin.address, more));
        for (host, target, sent) in [
            ("oss.example.com", "/", "/"),
            (
                "OSS.example.com",
                "/?prefix=a%2Fb&max-keys=1",
                "/?prefix=a%2Fb&max-keys=1",
            ),
            ("203.0.113.7", "/", "/"),
            ("api.example.com", "/api", "/"),
            ("api.example.com", "/api/?marker=x", "/?marker=x"),
        ] {
            let before = origin.received().len();
            let answer = proxy.get(host, target).await;
            assert_eq!(status(&answer), 200, "{host}{target}: {answer}");
            let received = &origin.received()[before];
            assert_eq!(received.line(), format!("GET {sent} HTTP/1.1"));
            let endpoint = origin.address.to_string().into_bytes();
            assert_eq!(received.header("host"), [endpoint]);
        }
        let before = origin.received().len();
        for (method, host, target) in [
            ("PUT", "oss.example.com", "/"),
            ("DELETE", "oss.example.com", "/"),
            ("POST", "203.0.113.7", "/"),
            ("GET", "oss.example.com", "/?regions"),
            ("GET", "oss.example.com", "/?publicAccessBlock"),
            ("GET", "oss.example.com", "/?public%41ccessBlock"),
            ("GET", "203.0.113.7", "//team-a/k"),
        ] {
            let answer = proxy
                .text(&format!(
                    "{method} {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                ))
                .await;
            assert_eq!(status(&answer), 403, "{method} {host}{target}: {answer}");
        }
        assert_eq!(origin.received().len(), before);
        let over_http2 = http::Request::get("http://OSS.example.com/?max-keys=1");
        assert_eq!(proxy.http2(over_http2, "").await, (200, String::new()));
        let answer = proxy.get("team-a.oss.example.com", "/").await;
        assert_eq!(status(&answer), 200, "{answer}");
        let lines = proxy.stop();
        assert!(
            lines[0].get("bucket").is_none_or(|bucket| bucket == ""),
            "{}",
            lines[0]
        );
        assert_eq!(lines.last().unwrap()["bucket"], "team-a");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bare_suffix_comes_before_every_host_only_with_pass() {
    let buckets = RawOrigin::start(|_| ok("buckets")).await;
    let single = RawOrigin::start(|_| ok("single")).await;
    for (more, expected) in [("", "single"), ("list_buckets = \"pass\"", "buckets")] {
        let text = format!(
            "{}\n[[route]]\n{}\n",
            gateway(buckets.address, more),
            bucket_at(single.address)
        );
        let proxy = Proxy::start(&text);
        let answer = proxy.get("oss.example.com", "/").await;
        assert!(answer.ends_with(expected), "{answer}");
        let answer = proxy.get("oss.example.com", "/k").await;
        assert!(answer.ends_with("single"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_list_of_all_buckets_is_answered_by_the_service() {
    let keys = Keys {
        access_key_id: "id".to_owned(),
        access_key_secret: "secret".to_owned(),
        security_token: None,
    };
    let now = Arc::new(|| UNIX_EPOCH + Duration::from_secs(1_764_000_000));
    let keyring = Keyring::new(vec![keys.clone()], None, now.clone());
    let mut options = Options::new(Arc::new(keyring), now);
    options.endpoints = vec!["127.0.0.1".into()];
    options.buckets = vec![BucketOptions::new("team-a"), BucketOptions::new("other")];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _served = net::serve(listener, None, Origin::new(options));
    let proxy = Proxy::start(&gateway(address, "list_buckets = \"pass\""));
    let mut headers = HeaderMap::new();
    let date = "Mon, 24 Nov 2025 16:00:00 GMT";
    headers.insert("date", date.parse().unwrap());
    let service = Resource {
        bucket: None,
        key: b"",
    };
    let request = Signable::new(&Method::GET, None, &headers, service);
    let signature = v1_signature(&keys, &v1_string_to_sign(&request, date.as_bytes()));
    for host in ["oss.example.com", "203.0.113.7"] {
        let answer = proxy
            .text(&format!(
                "GET / HTTP/1.1\r\nhost: {host}\r\ndate: {date}\r\nauthorization: OSS id:{signature}\r\nconnection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(answer.contains("ListAllMyBucketsResult"), "{answer}");
        assert!(answer.contains("<Name>team-a</Name>"), "{answer}");
    }
}
