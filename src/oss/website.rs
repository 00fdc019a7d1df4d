//! Decides which requests are for a website, and returns the keys of its index documents.
//!
//! This module follows the OSS documentation of PutBucketWebsite and of static website hosting. A website serves
//! only anonymous GET and HEAD requests for objects. A signed request, or a request with a sub-resource,
//! is for the bucket itself.

use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

use crate::oss::signature::signed_in;
use crate::oss::subresource::is_subresource;

/// Whether a request is for the website: an anonymous GET or HEAD without a sub-resource.
#[must_use]
pub fn is_for_website(method: &Method, headers: &HeaderMap, query: Option<&str>) -> bool {
    (method == Method::GET || method == Method::HEAD)
        && signed_in(headers, query).is_none()
        && query.is_none_or(|query| !query.split('&').any(names_subresource))
}

fn names_subresource(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    is_subresource(name)
        || (name.contains('%') && {
            let decoded: Vec<u8> = percent_decode_str(name).collect();
            is_subresource(decoded)
        })
}

/// Whether a percent-encoded key ends in a slash, written as `/` or as `%2F`.
#[must_use]
pub fn ends_in_slash(key: &str) -> bool {
    let tail = key.len().checked_sub(3).and_then(|at| key.get(at..));
    key.ends_with('/') || tail.is_some_and(|tail| tail.eq_ignore_ascii_case("%2f"))
}

/// The directories of a website that have an index document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexes {
    /// Only the root. Requests for any other directory get the index document of the root.
    RootOnly,
    /// Every directory.
    EachDirectory,
}

/// Returns the key of the index document for `key`; `None` when `key` is not a directory. `index` is the
/// name of the index documents.
#[must_use]
pub fn index_of(key: &str, index: &str, indexes: Indexes) -> Option<String> {
    if !key.is_empty() && !ends_in_slash(key) {
        return None;
    }
    Some(match indexes {
        Indexes::EachDirectory => format!("{key}{index}"),
        Indexes::RootOnly => index.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_ends_in_a_slash() {
        use Indexes::{EachDirectory, RootOnly};
        for (key, indexes, expected) in [
            ("", EachDirectory, Some("i")),
            ("docs/", EachDirectory, Some("docs/i")),
            ("docs/", RootOnly, Some("i")),
            ("docs", EachDirectory, None),
            ("docs%2f", EachDirectory, Some("docs%2fi")),
        ] {
            assert_eq!(
                index_of(key, "i", indexes).as_deref(),
                expected,
                "{key} {indexes:?}"
            );
        }
    }

    #[test]
    fn only_anonymous_reads_are_for_the_website() {
        let none = HeaderMap::new();
        for (method, query, expected) in [
            (Method::GET, None, true),
            (Method::HEAD, Some("x=1"), true),
            (Method::GET, Some("acl"), false),
            (Method::GET, Some("a%63l"), false),
            (Method::GET, Some("OSSAccessKeyId=a&Signature=b"), false),
            (Method::PUT, None, false),
        ] {
            assert_eq!(
                is_for_website(&method, &none, query),
                expected,
                "{method} {query:?}"
            );
        }
        for (value, expected) in [("OSS a:b", false), ("Basic a", true), ("", true)] {
            let headers = HeaderMap::from_iter([(
                http::header::AUTHORIZATION,
                http::HeaderValue::from_static(value),
            )]);
            assert_eq!(
                is_for_website(&Method::GET, &headers, None),
                expected,
                "{value}"
            );
        }
    }
}
