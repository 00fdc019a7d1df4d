//! The signature test vectors of the official SDKs, as requests.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ossgate::oss::signature::Keys;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use serde_json::Value;

/// A time at which all vectors are valid, in seconds since 1970.
pub(crate) const NOW: u64 = 1_735_787_045;

/// One test vector as a request.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) is_v4: bool,
    pub(crate) method: Method,
    pub(crate) query: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) headers: HeaderMap,
    pub(crate) additional: Vec<String>,
    pub(crate) bucket: Option<String>,
    pub(crate) key: Vec<u8>,
    pub(crate) keys: Keys,
}

impl Case {
    pub(crate) fn raw_query(&self) -> Option<String> {
        let encode = |bytes| percent_encode(bytes, NON_ALPHANUMERIC).to_string();
        let pairs: Vec<String> = self
            .query
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("&"))
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let data: Value =
        serde_json::from_str(include_str!("../data/oss-signature-vectors.json")).unwrap();
    let cases: Vec<Case> = data["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .map(case)
        .collect();
    assert_eq!(cases.len(), 60);
    cases
}

fn case(vector: &Value) -> Case {
    let bytes = |value: &Value| value.as_str().unwrap().as_bytes().to_vec();
    let url = text(&vector["signed_url"]).or_else(|| text(&vector["url"]));
    let query = match url.as_ref().map(|url| url.split_once('?')) {
        Some(Some((_, query))) => pairs(query),
        Some(None) => Vec::new(),
        None => vector["query_in"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|pair| (bytes(&pair[0]), bytes(&pair[1])))
            .collect(),
    };
    let mut headers = HeaderMap::new();
    for group in ["headers_in", "headers_out"] {
        for (name, value) in vector[group].as_object().into_iter().flatten() {
            let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).unwrap();
            headers.insert(name, HeaderValue::from_bytes(&bytes(value)).unwrap());
        }
    }
    Case {
        name: text(&vector["name"]).unwrap(),
        is_v4: vector["signature_version"] == "v4",
        method: Method::from_bytes(&bytes(&vector["method"])).unwrap(),
        query,
        headers,
        additional: vector["additional_headers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(text)
            .collect(),
        bucket: text(&vector["bucket"]),
        key: text(&vector["key"]).unwrap_or_default().into_bytes(),
        keys: Keys {
            access_key_id: text(&vector["access_key_id"]).unwrap(),
            access_key_secret: text(&vector["access_key_secret"]).unwrap(),
            security_token: text(&vector["security_token"]),
        },
    }
}

fn pairs(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let decode = |text: &str| percent_decode_str(text).collect();
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
