//! The bucket, key and query of a request.
//!
//! The path is percent-decoded once and never normalised: `//`, `..` and a trailing `/` are part of the key.

use std::net::IpAddr;

use http::{HeaderMap, Uri, header};
use percent_encoding::percent_decode_str;

use crate::oss::addressing::is_bucket_name;

/// What the host of a request stands for: a bucket, or the whole OSS service.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The host stands for a bucket: the whole path is the key.
    Bucket(String),
    /// The host stands for the service: the first segment of the path is the bucket.
    Service,
}

/// Returns the authority of an absolute-form target, otherwise the value of `Host`.
pub(super) fn host_of(uri: &Uri, headers: &HeaderMap) -> String {
    uri.authority().map_or_else(
        || {
            headers
                .get(header::HOST)
                .map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned())
                .unwrap_or_default()
        },
        ToString::to_string,
    )
}

/// Returns the host name in lower case, without port and trailing dot.
pub(super) fn name_of(host: &str) -> String {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Returns what the host `name` stands for. The caller has already checked that no bucket has the custom
/// domain `name`.
pub(super) fn place_of(name: &str, endpoints: &[String]) -> Place {
    if name.parse::<IpAddr>().is_ok() || endpoints.iter().any(|endpoint| endpoint == name) {
        return Place::Service;
    }
    match name.split_once('.') {
        Some((label, _)) if is_bucket_name(label) => Place::Bucket(label.to_owned()),
        _ => Place::Service,
    }
}

/// Returns the bucket and key of the undecoded `path`.
pub(super) fn split(path: &str, place: Place) -> (Option<String>, Vec<u8>) {
    let inside = path.strip_prefix('/').unwrap_or(path);
    match place {
        Place::Bucket(bucket) => (Some(bucket), decode(inside)),
        Place::Service => {
            let (bucket, key) = inside.split_once('/').unwrap_or((inside, ""));
            let bucket =
                (!bucket.is_empty()).then(|| String::from_utf8_lossy(&decode(bucket)).into_owned());
            (bucket, decode(key))
        }
    }
}

/// Percent-decodes `text` once.
pub(super) fn decode(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

/// A decoded query. If several parameters have the same name, the first one is used.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(raw: Option<&str>) -> Self {
        let decoded = |text: &str| {
            // A `+` stands for a space: Python's `requests` writes a space as `+`, and percent-encodes a real
            // plus sign.
            let bytes = decode(&text.replace('+', " "));
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Self(
            raw.unwrap_or_default()
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decoded(name), decoded(value))
                })
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(candidate, _)| candidate == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns the value of the parameter `name`, or `None` if it is missing or empty.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_paths_name_buckets_and_keys() {
        let endpoints = [String::from("oss.example.com")];
        for (host, path, bucket, key) in [
            ("b-1.oss.example.com:80", "/k", Some("b-1"), "k"),
            (
                "b-1.anything.example",
                "/a//b/../c/",
                Some("b-1"),
                "a//b/../c/",
            ),
            ("B-1.OSS.EXAMPLE.COM.", "/a%2Fb%2520", Some("b-1"), "a/b%20"),
            ("oss.example.com", "/b-1/a+b", Some("b-1"), "a+b"),
            ("127.0.0.1:8080", "/b-1", Some("b-1"), ""),
            ("[::1]:8080", "/b-1/", Some("b-1"), ""),
            ("localhost:1", "/b-1//k", Some("b-1"), "/k"),
            ("127.0.0.1", "/", None, ""),
        ] {
            let place = place_of(&name_of(host), &endpoints);
            let (found, bytes) = split(path, place);
            assert_eq!(found.as_deref(), bucket, "{host} {path}");
            assert_eq!(bytes, key.as_bytes(), "{host} {path}");
        }
    }

    #[test]
    fn queries_are_decoded_and_the_first_of_two_counts() {
        let query = Query::parse(Some("a=1&a=2&acl&p=x+y%2B%E4%B8%AD&=&&e="));
        assert_eq!(query.get("a"), Some("1"));
        assert_eq!(query.get("acl"), Some(""));
        assert_eq!(query.get("p"), Some("x y+中"));
        assert_eq!(query.filled("e"), None);
        assert!(!query.has("b"));
    }
}
