//! Which objects a website answers with, in the order OSS looks for them.
//!
//! As on the pages of PutBucketWebsite and static website hosting. Only anonymous GET and HEAD of
//! objects are a website's; whoever signs, or names a sub-resource, asks for the bucket itself.

use http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;

use crate::oss::subresource::{is_signed, is_subresource};

/// Whether a request is for the website: anonymous, GET or HEAD, no sub-resource.
#[must_use]
pub fn is_for_website(method: &Method, headers: &HeaderMap, query: Option<&str>) -> bool {
    (method == Method::GET || method == Method::HEAD)
        && !headers.contains_key(header::AUTHORIZATION)
        && query.is_none_or(|query| {
            !is_signed(headers, Some(query)) && !query.split('&').any(names_subresource)
        })
}

fn names_subresource(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    is_subresource(name)
        || (name.contains('%') && {
            let decoded: Vec<u8> = percent_decode_str(name).collect();
            is_subresource(decoded)
        })
}

/// Whether a percent-encoded key ends in a slash, in either spelling.
#[must_use]
pub fn ends_in_slash(key: &str) -> bool {
    let tail = key.len().checked_sub(3).and_then(|at| key.get(at..));
    key.ends_with('/') || tail.is_some_and(|tail| tail.eq_ignore_ascii_case("%2f"))
}

/// The key whose index is asked for, when a key is a directory: where the index document of `key`
/// is. `has_directories` is false when only the root has one.
#[must_use]
pub fn index_of(key: &str, index: &str, has_directories: bool) -> Option<String> {
    if !key.is_empty() && !ends_in_slash(key) {
        return None;
    }
    Some(if has_directories {
        format!("{key}{index}")
    } else {
        index.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_ends_in_a_slash() {
        assert_eq!(index_of("", "i", true), Some("i".into()));
        assert_eq!(index_of("docs/", "i", true), Some("docs/i".into()));
        assert_eq!(index_of("docs/", "i", false), Some("i".into()));
        assert_eq!(index_of("docs", "i", true), None);
        assert_eq!(index_of("docs%2f", "i", true), Some("docs%2fi".into()));
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
        let signed = HeaderMap::from_iter([(header::AUTHORIZATION, "OSS a:b".parse().unwrap())]);
        assert!(!is_for_website(&Method::GET, &signed, None));
    }
}
