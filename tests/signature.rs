//! Signature vectors of the official SDKs, against the verifier of the crate.
//!
//! Rows: every vector is accepted as it stands, and refused with one byte changed in its signature,
//! its key, its method, and each signed header. Left out: S3 signatures, which are not verified here.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ossgate::oss::signature::{Failure, Identity, Keys, Resource, Verifier};
use serde_json::Value;

const NOW: u64 = 1_735_787_045;

struct Case {
    name: String,
    method: Method,
    query: Option<String>,
    headers: HeaderMap,
    bucket: Option<String>,
    key: Vec<u8>,
    keys: Keys,
    signature: String,
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn cases() -> Vec<Case> {
    let data: Value =
        serde_json::from_str(include_str!("data/oss-signature-vectors.json")).unwrap();
    let vectors = data["vectors"].as_array().unwrap();
    vectors.iter().map(case).collect()
}

fn raw_query(pairs: &Value) -> Option<String> {
    let encode = |value: &Value| {
        let text = value.as_str().unwrap_or_default().as_bytes();
        percent_encoding::percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let pairs: Vec<String> = pairs
        .as_array()
        .into_iter()
        .flatten()
        .map(|pair| format!("{}={}", encode(&pair[0]), encode(&pair[1])))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

fn case(vector: &Value) -> Case {
    let url = text(&vector["signed_url"]).or_else(|| text(&vector["url"]));
    let query = match url {
        Some(url) => url.split_once('?').map(|(_, query)| query.to_owned()),
        None => raw_query(&vector["query_in"]),
    };
    let mut headers = HeaderMap::new();
    for group in ["headers_in", "headers_out"] {
        for (name, value) in vector[group].as_object().into_iter().flatten() {
            let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).unwrap();
            headers.insert(
                name,
                HeaderValue::from_str(value.as_str().unwrap()).unwrap(),
            );
        }
    }
    if !headers.contains_key("host")
        && let Some(host) = text(&vector["host"])
    {
        headers.insert("host", HeaderValue::from_str(&host).unwrap());
    }
    Case {
        name: text(&vector["name"]).unwrap(),
        method: Method::from_bytes(vector["method"].as_str().unwrap().as_bytes()).unwrap(),
        query,
        headers,
        bucket: text(&vector["bucket"]).filter(|bucket| !bucket.is_empty()),
        key: text(&vector["key"]).unwrap_or_default().into_bytes(),
        keys: Keys {
            access_key_id: text(&vector["access_key_id"]).unwrap(),
            access_key_secret: text(&vector["access_key_secret"]).unwrap(),
            security_token: text(&vector["security_token"]),
        },
        signature: text(&vector["signature"]).unwrap(),
    }
}

impl Case {
    fn verify(&self) -> Result<Identity, Failure> {
        let find = |id: &str| (id == self.keys.access_key_id).then(|| self.keys.clone());
        let verifier = Verifier {
            keys: &find,
            region: Some("cn-hangzhou"),
            now: NOW,
        };
        let resource = Resource {
            bucket: self.bucket.as_deref(),
            key: &self.key,
        };
        verifier.verify(&self.method, self.query.as_deref(), &self.headers, resource)
    }
}

#[test]
fn every_vector_is_accepted() {
    let cases = cases();
    assert_eq!(cases.len(), 60);
    for case in cases {
        let expected = Identity::Signed {
            access_key_id: case.keys.access_key_id.clone(),
        };
        assert_eq!(case.verify(), Ok(expected), "{}", case.name);
    }
}

#[test]
fn every_vector_is_refused_with_one_byte_changed() {
    for case in cases() {
        let change = |edit: &dyn Fn(&mut Case), what: &str| {
            let mut changed = cases()
                .into_iter()
                .find(|other| other.name == case.name)
                .unwrap();
            edit(&mut changed);
            assert!(
                changed.verify().is_err(),
                "{}: {what} changed and accepted",
                case.name
            );
        };
        change(&|case| case.method = Method::PATCH, "method");
        change(
            &|case| match case.bucket {
                Some(_) => case.key.push(b'x'),
                None => case.bucket = Some("other".into()),
            },
            "key",
        );
        let swapped = case.signature.replace(
            case.signature.chars().next().unwrap(),
            if case.signature.starts_with('a') {
                "b"
            } else {
                "a"
            },
        );
        let encoded = |text: &str| {
            text.replace('+', "%2B")
                .replace('/', "%2F")
                .replace('=', "%3D")
        };
        change(
            &|case| {
                if let Some(header) = case.headers.get("authorization") {
                    let text = header.to_str().unwrap().replace(&case.signature, &swapped);
                    case.headers
                        .insert("authorization", HeaderValue::from_str(&text).unwrap());
                } else {
                    let query = case.query.take().unwrap();
                    let query = query.replace(&encoded(&case.signature), &encoded(&swapped));
                    case.query = Some(query.replace(&case.signature, &swapped));
                }
            },
            "signature",
        );
        let signed = case.headers.keys().filter(|name| {
            name.as_str().starts_with("x-oss-")
                || matches!(name.as_str(), "content-type" | "content-md5")
        });
        for name in signed {
            change(
                &|case| {
                    let mut value = case.headers[name].as_bytes().to_vec();
                    value.push(b'x');
                    case.headers
                        .insert(name, HeaderValue::from_bytes(&value).unwrap());
                },
                name.as_str(),
            );
        }
    }
}
