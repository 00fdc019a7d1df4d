//! The signature vectors of the official SDKs over a socket.
//!
//! Rows: each vector as it is, and with one byte of its signature changed, against the demo origin with its own
//! verifier and with the independent one. Left out: changes to other signed parts (`signature`).

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, Method};
use ossgate::demo::net;
use ossgate::demo::origin::{BucketOptions, Denial, Keyring, Options, Origin, Verify};
use ossgate::oss::signature::Keys;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::signature as independent;
use crate::support::vectors::{Case, NOW, cases};

const ENDPOINT: &str = "oss.test";

/// The independent verifier as the verifier of a demo origin.
struct Independent(Keys);

impl Verify for Independent {
    fn verify(
        &self,
        method: &Method,
        raw_query: Option<&str>,
        headers: &HeaderMap,
        bucket: Option<&str>,
        key: &[u8],
    ) -> Result<Option<String>, Denial> {
        let find = |id: &str| {
            (id == self.0.access_key_id).then(|| {
                (
                    self.0.access_key_secret.clone(),
                    self.0.security_token.clone(),
                )
            })
        };
        independent::verify(method, raw_query, headers, bucket, key, &find, NOW).map_err(
            |(status, code)| Denial {
                status,
                code: code.to_owned(),
                ec: None,
                message: "independently".to_owned(),
                extra: Vec::new(),
            },
        )
    }

    fn verify_form(&self, _: &dyn Fn(&str) -> Option<String>) -> Result<bool, Denial> {
        Ok(false)
    }
}

/// Sends a case as it is; returns status and code of the answer.
async fn code(address: std::net::SocketAddr, case: &Case) -> String {
    const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/');
    let mut head = format!("{} /", case.method).into_bytes();
    head.extend(percent_encode(&case.key, PATH).to_string().bytes());
    if let Some(query) = case.raw_query() {
        head.extend(format!("?{query}").bytes());
    }
    head.extend(b" HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n");
    if !case.headers.contains_key("host") {
        let bucket = case
            .bucket
            .as_ref()
            .map_or(String::new(), |bucket| format!("{bucket}."));
        head.extend(format!("host: {bucket}{ENDPOINT}\r\n").bytes());
    }
    for (name, value) in &case.headers {
        if name != "content-length" && name != "connection" {
            head.extend(format!("{name}: ").bytes());
            head.extend_from_slice(value.as_bytes());
            head.extend(b"\r\n");
        }
    }
    head.extend(b"\r\n");
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(&head).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
    match answer
        .split("<Code>")
        .nth(1)
        .and_then(|rest| rest.split("</Code>").next())
    {
        Some(code) => format!("{status} {code}"),
        None => status,
    }
}

/// Whether the signature was refused.
fn is_refused(code: &str) -> bool {
    code.starts_with("403")
}

/// Returns the case with one character of its signature changed.
fn forged(case: &Case) -> Case {
    let mut forged = case.clone();
    let change = |bytes: &mut Vec<u8>| {
        let begin = bytes.windows(10).position(|ten| ten == b"Signature=");
        // The third character from the end, because the last ones of Base64 may carry no bits.
        let at = begin.map_or(bytes.len() - 3, |begin| begin + 15);
        bytes[at] = if bytes[at] == b'5' { b'6' } else { b'5' };
    };
    if let Some(value) = case.headers.get("authorization") {
        let mut bytes = value.as_bytes().to_vec();
        change(&mut bytes);
        forged
            .headers
            .insert("authorization", bytes.as_slice().try_into().unwrap());
    }
    for (name, value) in &mut forged.query {
        if name == b"Signature" || name == b"x-oss-signature" {
            change(value);
        }
    }
    forged
}

#[tokio::test(flavor = "multi_thread")]
async fn both_origins_accept_every_vector_and_refuse_it_with_one_byte_changed() {
    let mut checked = 0;
    for case in cases() {
        let now = Arc::new(|| UNIX_EPOCH + Duration::from_secs(NOW));
        let verifiers: [Arc<dyn Verify>; 2] = [
            Arc::new(Keyring::new(vec![case.keys.clone()], None, now.clone())),
            Arc::new(Independent(case.keys.clone())),
        ];
        for verify in verifiers {
            let mut options = Options::new(verify, now.clone());
            options.endpoints = vec![ENDPOINT.into()];
            options.buckets = case
                .bucket
                .iter()
                .map(|name| BucketOptions {
                    // A Host that is signed belongs to the bucket, too.
                    domains: case
                        .headers
                        .get("host")
                        .iter()
                        .map(|host| {
                            let host = host.to_str().unwrap().to_lowercase();
                            host.split(':').next().unwrap().to_owned()
                        })
                        .collect(),
                    ..BucketOptions::new(name)
                })
                .collect();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let _served = net::serve(listener, None, Origin::new(options));
            let answer = code(address, &case).await;
            assert!(!is_refused(&answer), "{}: {answer}", case.name);
            let answer = code(address, &forged(&case)).await;
            assert!(is_refused(&answer), "{} forged: {answer}", case.name);
            checked += 1;
        }
    }
    eprintln!("{checked} requests accepted and {checked} refused");
    assert_eq!(checked, 120);
}
