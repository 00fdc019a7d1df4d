//! A private bucket: the demo origin with the independent verifier, which accepts only signatures for
//! cn-hangzhou by the access keys that a test sets. Also a scripted metadata service.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
pub(crate) use ossgate::app::state::unix_now;
use ossgate::demo::net::{self, Served};
use ossgate::demo::origin::{BucketOptions, Denial, Options, Origin, Verify};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::origin::{RawOrigin, Received, Reply};
use super::proxy::{Proxy, status};
use super::signature;

/// The secret and the token of each access key id that is valid now.
pub(crate) type Keys = Arc<Mutex<HashMap<String, (String, Option<String>)>>>;

struct Strict {
    keys: Keys,
    /// How far the clock of the origin is ahead, in seconds.
    ahead: Arc<AtomicI64>,
}

impl Verify for Strict {
    fn verify(
        &self,
        method: &Method,
        raw_query: Option<&str>,
        headers: &HeaderMap,
        bucket: Option<&str>,
        key: &[u8],
    ) -> Result<Option<String>, Denial> {
        let now = unix_now().saturating_add_signed(self.ahead.load(Relaxed));
        verify(&self.keys, method, raw_query, headers, bucket, key, now).map_err(
            |(status, code)| Denial {
                status,
                code: code.to_owned(),
                ec: None,
                message: "strictly".to_owned(),
                extra: Vec::new(),
            },
        )
    }

    fn verify_form(&self, _: &dyn Fn(&str) -> Option<String>) -> Result<bool, Denial> {
        Ok(false)
    }
}

/// Verifies a request for an object of cn-hangzhou.
pub(crate) fn verify(
    keys: &Keys,
    method: &Method,
    raw_query: Option<&str>,
    headers: &HeaderMap,
    bucket: Option<&str>,
    key: &[u8],
    now: u64,
) -> Result<Option<String>, (u16, &'static str)> {
    if headers.get_all("authorization").iter().count() > 1 {
        return Err((400, "InvalidArgument"));
    }
    if let Some(value) = headers.get("authorization") {
        let text = value.to_str().unwrap();
        let is_v4 = text.starts_with("OSS4-HMAC-SHA256 ");
        if is_v4 && !text.contains("/cn-hangzhou/oss/aliyun_v4_request") {
            return Err((403, "AccessDenied"));
        }
    }
    let find = |id: &str| keys.lock().unwrap().get(id).cloned();
    signature::verify(method, raw_query, headers, bucket, key, &find, now)
}

/// A running private bucket `examplebucket`. Dropping it closes its connections.
pub(crate) struct Private {
    pub(crate) origin: Origin,
    pub(crate) address: SocketAddr,
    pub(crate) keys: Keys,
    pub(crate) ahead: Arc<AtomicI64>,
    _served: Served,
}

/// Returns the keys with one permanent access key, `id` and `secret-1`.
pub(crate) fn one_key() -> Keys {
    let key = ("secret-1".to_owned(), None);
    Arc::new(Mutex::new(HashMap::from([("id".to_owned(), key)])))
}

impl Private {
    pub(crate) async fn start() -> Self {
        let (keys, ahead) = (one_key(), Arc::<AtomicI64>::default());
        let verify = Arc::new(Strict {
            keys: Arc::clone(&keys),
            ahead: Arc::clone(&ahead),
        });
        let clock = Arc::clone(&ahead);
        let now = Arc::new(move || {
            let now = unix_now().saturating_add_signed(clock.load(Relaxed));
            UNIX_EPOCH + Duration::from_secs(now)
        });
        let mut options = Options::new(verify, now);
        options.endpoints = vec!["oss.test".to_owned()];
        options.buckets = vec![BucketOptions::new("examplebucket")];
        options.remembered = 100_000;
        let origin = Origin::new(options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = net::serve(listener, None, origin.clone());
        Self {
            origin,
            address,
            keys,
            ahead,
            _served: served,
        }
    }

    /// Stores an object whose content is its key.
    pub(crate) fn put(&self, key: &str) {
        let body = Bytes::from(key.to_owned());
        assert!(self.origin.put("examplebucket", key.as_bytes(), None, body));
    }
}

/// Returns the keys of a route to the private bucket at `address`, with `credentials`.
pub(crate) fn route(address: SocketAddr, credentials: &str) -> String {
    format!(
        "origin = {{ bucket = \"examplebucket\", endpoint = \"{address}\", host = \"examplebucket.oss.test\", tls = false, \
         credentials = {{ {credentials} }} }}\nsign = {{ region = \"cn-hangzhou\" }}\n"
    )
}

/// The access key of [`one_key`] in a config.
pub(crate) const STATIC: &str =
    "source = \"static\", access_key_id = \"id\", access_key_secret = \"secret-1\"";

/// Asserts that `request`, which a [`RawOrigin`] received for an object of `examplebucket`, has one valid
/// signature. Returns the access key id.
pub(crate) fn assert_signed(keys: &Keys, request: &Received) -> String {
    let text = String::from_utf8(request.head.clone()).unwrap();
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap().split(' ');
    let method = Method::from_bytes(words.next().unwrap().as_bytes()).unwrap();
    let target = words.next().unwrap();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let key: Vec<u8> = percent_encoding::percent_decode_str(&path[1..]).collect();
    let bucket = Some("examplebucket");
    let found = verify(keys, &method, query, &headers, bucket, &key, unix_now());
    found
        .unwrap_or_else(|why| panic!("{why:?}: {text}"))
        .expect("a signature")
}

/// The behaviour of the metadata service.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// The status of the response to a request for a token.
    pub(crate) token: u16,
    /// The status of the responses to requests for the role and its key.
    pub(crate) status: u16,
    /// The lifetime of each key, in seconds.
    pub(crate) lifetime: u64,
    /// Replaces this text of each document by the other one.
    pub(crate) replace: (&'static str, &'static str),
    /// The number of keys so far.
    pub(crate) issued: u64,
    /// Whether every key is the first one.
    pub(crate) repeats: bool,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            token: 200,
            status: 200,
            lifetime: 21_600,
            replace: ("", ""),
            issued: 0,
            repeats: false,
        }
    }
}

/// A metadata service on a socket. Its keys are valid in the private bucket until they expire.
pub(crate) struct Metadata {
    pub(crate) service: Arc<Mutex<Service>>,
    pub(crate) server: RawOrigin,
}

fn response(status: u16, body: &str) -> Reply {
    let text = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    Reply::Bytes(text.into_bytes())
}

fn rfc3339(unix: u64) -> String {
    let text = ossgate::oss::signature::format_time(unix);
    format!(
        "{}-{}-{}T{}:{}:{}Z",
        &text[..4],
        &text[4..6],
        &text[6..8],
        &text[9..11],
        &text[11..13],
        &text[13..15]
    )
}

impl Metadata {
    pub(crate) async fn start(service: Service, keys: &Keys) -> Self {
        let service = Arc::new(Mutex::new(service));
        let (script, keys) = (Arc::clone(&service), Arc::clone(keys));
        let server = RawOrigin::start(move |request| {
            let mut service = script.lock().unwrap();
            answer(&mut service, &keys, request)
        })
        .await;
        Self { service, server }
    }

    /// Returns the credentials of a route that uses this service.
    pub(crate) fn credentials(&self, more: &str) -> String {
        let address = self.server.address;
        format!("source = \"ecs-ram-role\", metadata = \"http://{address}\"{more}")
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Service)) {
        change(&mut self.service.lock().unwrap());
    }

    pub(crate) fn issued(&self) -> u64 {
        self.service.lock().unwrap().issued
    }

    /// Returns the request lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        let received = self.server.received();
        received.iter().map(Received::line).collect()
    }
}

fn answer(service: &mut Service, keys: &Keys, request: &Received) -> Reply {
    const ROLE: &str = "GET /latest/meta-data/ram/security-credentials/";
    let line = request.line();
    if line == "PUT /latest/api/token HTTP/1.1" {
        assert_eq!(
            request.header("x-aliyun-ecs-metadata-token-ttl-seconds"),
            [b"21600"]
        );
        return response(service.token, "metadata-token-1");
    }
    let expected: &[&[u8]] = if service.token == 200 {
        &[b"metadata-token-1"]
    } else {
        &[]
    };
    assert_eq!(
        request.header("x-aliyun-ecs-metadata-token"),
        expected,
        "{line}"
    );
    if service.status != 200 {
        return response(service.status, "");
    }
    if line == format!("{ROLE} HTTP/1.1") {
        return response(200, "reader\n");
    }
    assert_eq!(line, format!("{ROLE}reader HTTP/1.1"));
    service.issued += 1;
    let number = if service.repeats { 1 } else { service.issued };
    let expires = unix_now() + service.lifetime;
    let document = format!(
        "{{\"AccessKeyId\":\"STS.{number}\",\"AccessKeySecret\":\"hidden-{number}\",\"SecurityToken\":\"veiled-{number}\",\
         \"Expiration\":\"{}\",\"LastUpdated\":\"x\",\"Code\":\"Success\"}}",
        rfc3339(expires)
    );
    let key = (format!("hidden-{number}"), Some(format!("veiled-{number}")));
    keys.lock().unwrap().insert(format!("STS.{number}"), key);
    let (from, to) = service.replace;
    response(200, &document.replace(from, to))
}

/// Sends requests until one has `expected` as its status. Returns the number of other responses, and the last
/// response.
pub(crate) async fn until(proxy: &Proxy, expected: u16) -> (usize, String) {
    let begin = Instant::now();
    let mut others = 0;
    loop {
        let answer = proxy.get("x", "/k").await;
        if status(&answer) == expected {
            return (others, answer);
        }
        others += 1;
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{expected}: {answer}"
        );
        tokio::task::yield_now().await;
    }
}
