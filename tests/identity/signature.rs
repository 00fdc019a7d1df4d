//! Signature vectors of the official SDKs, checked by two implementations: the crate's and the one of
//! `support/signature.rs`.
//!
//! Rows: both accept every vector as it is; both refuse it, for the same reason, with any one byte of its signed
//! parts changed, or with something added to them; both accept it with unsigned parts changed; both accept what
//! the crate signs, for any bytes. Left out: S3 signatures and signed forms, which neither verifies.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ossgate::oss::signature::{
    Identity, Keys, Resource, Scope, Signable, Verifier, v1_signature, v1_string_to_sign,
    v4_canonical_request, v4_signature, v4_string_to_sign,
};
use proptest::prelude::*;

use crate::support::signature as independent;
use crate::support::vectors::{Case, NOW, cases};

const DATE: &str = "Thu, 02 Jan 2025 03:04:05 GMT";
const TIME: &str = "20250102T030405Z";

type Outcome = Result<Option<String>, (u16, &'static str)>;

impl Case {
    /// Returns the outcome of both implementations, which must be equal.
    #[track_caller]
    fn outcome(&self, what: &str) -> Outcome {
        let raw_query = self.raw_query();
        let known = |id: &str| id == self.keys.access_key_id;
        let find = |id: &str| known(id).then(|| self.keys.clone());
        let verifier = Verifier {
            keys: &find,
            region: None,
            now: NOW,
        };
        let resource = Resource {
            bucket: self.bucket.as_deref(),
            key: &self.key,
        };
        let query = raw_query.as_deref();
        let ours = match verifier.verify(&self.method, query, &self.headers, resource) {
            Ok(Identity::Anonymous) => Ok(None),
            Ok(Identity::Signed { access_key_id }) => Ok(Some(access_key_id)),
            Err(failure) => Err((failure.status(), failure.code())),
        };
        let find = |id: &str| {
            let keys = find(id)?;
            Some((keys.access_key_secret, keys.security_token))
        };
        let bucket = self.bucket.as_deref();
        let theirs = independent::verify(
            &self.method,
            query,
            &self.headers,
            bucket,
            &self.key,
            &find,
            NOW,
        );
        assert_eq!(ours, theirs, "{}: {what}", self.name);
        ours
    }

    #[track_caller]
    fn is_accepted(&self, what: &str) {
        let expected = Ok(Some(self.keys.access_key_id.clone()));
        assert_eq!(self.outcome(what), expected, "{}: {what}", self.name);
    }

    #[track_caller]
    fn is_refused(&self, what: &str, edit: impl FnOnce(&mut Self)) {
        let mut changed = self.clone();
        edit(&mut changed);
        let outcome = changed.outcome(what);
        assert!(outcome.is_err(), "{}: {what}: {outcome:?}", self.name);
    }

    fn set_header(&mut self, name: &HeaderName, value: &[u8]) {
        let value = HeaderValue::from_bytes(value).unwrap();
        self.headers.insert(name, value);
    }

    fn is_signed_header(&self, name: &str) -> bool {
        let is_date = name == "date" && !self.is_v4 && !self.headers.contains_key("x-oss-date");
        name.starts_with("x-oss-")
            || matches!(name, "content-type" | "content-md5")
            || (is_date && self.headers.contains_key("authorization"))
            || self.additional.iter().any(|known| known == name)
    }

    /// Whether the parameter is signed; the signature itself counts, too.
    fn is_signed_parameter(&self, name: &[u8]) -> bool {
        const UNSIGNED: [&[u8]; 3] = [b"delimiter", b"list-type", b"prefix"];
        self.is_v4 || !UNSIGNED.contains(&name)
    }
}

/// Returns `bytes` once for each byte, with that byte changed to one that header values may hold.
fn changes(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).map(|at| {
        let mut changed = bytes.to_vec();
        changed[at] = if changed[at] == b'5' { b'6' } else { b'5' };
        changed
    })
}

#[test]
fn both_accept_every_vector() {
    for case in cases() {
        case.is_accepted("unchanged");
    }
}

#[test]
fn both_refuse_every_vector_with_one_byte_changed() {
    for case in cases() {
        case.is_refused("method", |case| case.method = Method::PATCH);
        for secret in changes(case.keys.access_key_secret.as_bytes()) {
            let secret = String::from_utf8(secret).unwrap();
            case.is_refused("secret", |case| case.keys.access_key_secret = secret);
        }
        for key in changes(&case.key) {
            case.is_refused("key", |case| case.key = key);
        }
        case.is_refused("longer key", |case| {
            case.bucket = Some(case.bucket.take().unwrap_or_default());
            case.key.push(b'/');
        });
        for bucket in changes(case.bucket.as_deref().unwrap_or_default().as_bytes()) {
            let bucket = String::from_utf8(bucket).unwrap();
            case.is_refused("bucket", |case| case.bucket = Some(bucket));
        }
        for (name, value) in &case.headers {
            for changed in changes(value.as_bytes()) {
                if name == "authorization" || case.is_signed_header(name.as_str()) {
                    case.is_refused(name.as_str(), |case| case.set_header(name, &changed));
                }
            }
        }
        for (at, (name, value)) in case.query.iter().enumerate() {
            if !case.is_signed_parameter(name) {
                continue;
            }
            let what = String::from_utf8_lossy(name);
            for changed in changes(value) {
                case.is_refused(&what, |case| case.query[at].1 = changed);
            }
            case.is_refused(&what, |case| case.query[at].1.push(b'5'));
            case.is_refused(&what, |case| drop(case.query.remove(at)));
        }
    }
}

#[test]
fn an_addition_to_the_signed_parts_is_refused() {
    for case in cases() {
        for name in ["x-oss-meta-new", "content-type", "content-md5"] {
            if !case.headers.contains_key(name) {
                let name = HeaderName::from_static(name);
                case.is_refused(name.as_str(), |case| case.set_header(&name, b"5"));
            }
        }
        if !case.query.iter().any(|(name, _)| name == b"acl") {
            case.is_refused("acl", |case| case.query.push((b"acl".into(), vec![])));
        }
        if case.is_v4 {
            let pair = (b"unknown".to_vec(), vec![]);
            case.is_refused("unknown", |case| case.query.push(pair));
        }
    }
}

#[test]
fn unsigned_parts_may_change() {
    for case in cases() {
        for name in [
            "host",
            "range",
            "if-none-match",
            "referer",
            "user-agent",
            "via",
        ] {
            if !case.is_signed_header(name) {
                let mut changed = case.clone();
                changed.set_header(&HeaderName::from_static(name), b"other");
                changed.is_accepted(name);
            }
        }
        let mut changed = case.clone();
        changed.query.reverse();
        changed.is_accepted("order of the query");
        if !case.is_v4 {
            changed.query.push((b"unknown".to_vec(), b"a+b".to_vec()));
            changed.is_accepted("unknown parameter");
        }
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..6)
}

fn parameters() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let names = [
        "acl",
        "prefix",
        "x-oss-process",
        "versionId",
        "\u{76ee}",
        "a b+c",
        "%",
        "A",
        "~",
        "uploadId",
    ];
    let name = proptest::sample::select(names.map(|name| name.as_bytes().to_vec()).to_vec());
    proptest::collection::vec((name, bytes()), 0..5)
}

/// Header values: any bytes except control characters.
fn header_value() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(
        (32_u8..=255).prop_filter("no DEL", |byte| *byte != 127),
        0..6,
    )
}

fn unsigned(
    key: Vec<u8>,
    query: Vec<(Vec<u8>, Vec<u8>)>,
    meta: &[u8],
    content_type: &[u8],
) -> Case {
    let mut case = Case {
        name: format!("{key:?} {query:?} {meta:?} {content_type:?}"),
        is_v4: false,
        method: Method::PUT,
        query,
        headers: HeaderMap::new(),
        additional: Vec::new(),
        bucket: Some("examplebucket".to_owned()),
        key,
        keys: Keys {
            access_key_id: "id".to_owned(),
            access_key_secret: "secret".to_owned(),
            security_token: None,
        },
    };
    case.set_header(&HeaderName::from_static("x-oss-meta-a"), meta);
    case.set_header(&HeaderName::from_static("content-type"), content_type);
    case
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_accept_what_the_crate_signs(
        key in bytes(), query in parameters(), meta in header_value(), content_type in header_value(),
    ) {
        let mut case = unsigned(key, query, &meta, &content_type);
        let (raw_query, mut v4) = (case.raw_query(), case.clone());

        case.headers.insert("date", HeaderValue::from_static(DATE));
        let resource = Resource { bucket: case.bucket.as_deref(), key: &case.key };
        let request = Signable::new(&case.method, raw_query.as_deref(), &case.headers, resource);
        let text = v1_string_to_sign(&request, DATE.as_bytes());
        let value = format!("OSS id:{}", v1_signature(&case.keys, &text));
        case.headers.insert("authorization", value.parse().unwrap());
        case.is_accepted("V1");

        v4.headers.insert("x-oss-date", HeaderValue::from_static(TIME));
        v4.headers.insert("x-oss-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
        v4.headers.insert("range", HeaderValue::from_static("bytes=0-1"));
        let resource = Resource { bucket: v4.bucket.as_deref(), key: &v4.key };
        let request = Signable::new(&v4.method, raw_query.as_deref(), &v4.headers, resource);
        let canonical = v4_canonical_request(&request, &["range"]);
        let scope = Scope { date: "20250102", region: "cn-hangzhou", product: "oss" };
        let signature = v4_signature(&v4.keys, &scope, &v4_string_to_sign(TIME, &scope, &canonical));
        let value = format!(
            "OSS4-HMAC-SHA256 Credential=id/20250102/cn-hangzhou/oss/aliyun_v4_request, \
             Signature={signature}, AdditionalHeaders=range"
        );
        v4.headers.insert("authorization", value.parse().unwrap());
        v4.is_accepted("V4");
    }
}
