//! The proxy's signer against the vectors of the official SDKs.
//!
//! Rows: each vector in the header without additional headers, signed to the same signature. Left out: presigned
//! vectors and additional headers, which the proxy does not make (`signature` covers their canonical texts).

use http::Request;
use ossgate::config::{AccessKey, CredentialSource, NamedFiles, Secret, Sign, SignVersion};
use ossgate::http::signing::SignRequests;
use ossgate::identity::credentials::sources;
use ossgate::identity::sign::Signer;
use ossgate::oss::signature::Resource;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use crate::support::vectors::{NOW, cases};

/// Returns the signature and the credential of an `Authorization`.
fn essence(value: &http::HeaderValue) -> (String, String) {
    let text = value.to_str().unwrap();
    let Some(fields) = text.strip_prefix("OSS4-HMAC-SHA256 ") else {
        return (text.to_owned(), String::new());
    };
    let field = |name: &str| {
        let found = fields
            .split(',')
            .find_map(|field| field.trim().strip_prefix(name));
        found.unwrap().to_owned()
    };
    (field("Signature="), field("Credential="))
}

#[test]
fn every_header_vector_is_signed_to_its_signature() {
    let mut checked = 0;
    for case in cases() {
        let Some(expected) = case.headers.get("authorization") else {
            continue;
        };
        if !case.additional.is_empty() {
            continue;
        }
        let source = CredentialSource::Static(AccessKey {
            id: case.keys.access_key_id.clone(),
            secret: Secret::new(case.keys.access_key_secret.clone()),
            security_token: case.keys.security_token.clone().map(Secret::new),
        });
        let sign = Sign {
            anonymous: Vec::new(),
            version: if case.is_v4 {
                SignVersion::V4
            } else {
                SignVersion::V1
            },
            region: "cn-hangzhou".to_owned(),
        };
        let (sources, _runner) = sources(|| NOW, 0, NamedFiles::Read);
        let signer = Signer::new(&sign, sources.get(&source), || NOW);
        let path = percent_encode(&case.key, NON_ALPHANUMERIC).to_string();
        let query = case
            .raw_query()
            .map_or(String::new(), |query| format!("?{query}"));
        let request = Request::builder().method(case.method.clone());
        let request = request.uri(format!("/{path}{query}")).body(()).unwrap();
        let mut head = request.into_parts().0;
        head.headers = case.headers.clone();
        // The signer must set these itself.
        for name in [
            "authorization",
            "x-oss-date",
            "x-oss-content-sha256",
            "x-oss-security-token",
            "date",
        ] {
            head.headers.remove(name);
        }
        let resource = Resource {
            bucket: case.bucket.as_deref(),
            key: &case.key,
        };
        // The second time, the signature of the first is there.
        for _ in 0..2 {
            signer.sign(&mut head, resource).unwrap();
            assert_eq!(
                essence(&head.headers["authorization"]),
                essence(expected),
                "{}",
                case.name
            );
            let token = head.headers.get("x-oss-security-token");
            assert_eq!(
                token,
                case.headers.get("x-oss-security-token"),
                "{}",
                case.name
            );
        }
        checked += 1;
    }
    assert_eq!(checked, 37);
}
