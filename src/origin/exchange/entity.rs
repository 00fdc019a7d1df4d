//! Determines the byte range and the entity tag of a response, if both are unambiguous. Does no I/O.
//!
//! A download may be resumed only if it is certain that the rest belongs to the same entity. This requires a
//! strong entity tag, no content coding, a known length, and a request for the unprocessed bytes of the
//! object.

use http::header::{self, HeaderValue};
use http::{StatusCode, response};
use percent_encoding::percent_decode_str;

use crate::oss::subresource::is_subresource;

/// Query parameters that are sub-resources but do not change the body of the response. Parameters with the
/// prefix `response-`, which only set header fields, are permitted too.
const HARMLESS: [&str; 4] = [
    "security-token",
    "versionId",
    "x-oss-request-payer",
    "x-oss-traffic-limit",
];

/// A byte range of an object with `total` bytes: from `next` (inclusive) to `end` (exclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) next: u64,
    pub(super) end: u64,
    pub(super) total: u64,
}

/// Whether a GET with this query requests the unprocessed bytes of the object.
pub(super) fn is_plain(query: Option<&str>) -> bool {
    query.unwrap_or_default().split('&').all(|pair| {
        let name: Vec<u8> =
            percent_decode_str(pair.split('=').next().unwrap_or_default()).collect();
        !is_subresource(&name)
            || name.starts_with(b"response-")
            || HARMLESS.iter().any(|known| known.as_bytes() == name)
    })
}

/// Returns the byte range and the entity tag of a response, or `None` if they are ambiguous.
pub(super) fn entity(head: &response::Parts) -> Option<(Span, &HeaderValue)> {
    entity_of(head.status, &head.headers)
}

/// Like [`entity`], for a response with this status and these header fields.
pub(super) fn entity_of(
    status: StatusCode,
    headers: &http::HeaderMap,
) -> Option<(Span, &HeaderValue)> {
    let only = |name| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())
    };
    let is_multipart = || {
        headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/"))
    };
    if headers.contains_key(header::CONTENT_ENCODING) || is_multipart() {
        return None;
    }
    let etag = only(header::ETAG)?;
    // A weak tag begins with `W/` (RFC 9110 section 8.8.3).
    if !etag.as_bytes().starts_with(b"\"") {
        return None;
    }
    let text = |name| only(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let span = match status {
        StatusCode::OK => {
            let total = number(text(header::CONTENT_LENGTH)?)?;
            Span {
                next: 0,
                end: total,
                total,
            }
        }
        StatusCode::PARTIAL_CONTENT => content_range(text(header::CONTENT_RANGE)?)?,
        _ => return None,
    };
    Some((span, etag))
}

/// Parses a value such as `bytes 5-9/10` (RFC 9110 section 14.4).
fn content_range(text: &str) -> Option<Span> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let span = Span {
        next: number(first)?,
        end: number(last)?.checked_add(1)?,
        total: number(total)?,
    };
    (span.next < span.end && span.end <= span.total).then_some(span)
}

/// Parses a number that consists of digits only; `parse` alone would accept a sign.
fn number(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_for_the_objects_own_bytes_are_resumed() {
        for (query, expected) in [
            ("", true),
            ("versionId=x", true),
            ("response-content-type=text%2Fplain", true),
            (
                "OSSAccessKeyId=a&Expires=1&Signature=b&security-token=c",
                true,
            ),
            ("unknown=1", true),
            ("x-oss-process=image/resize,w_100", false),
            ("x-oss-proces%73=style/a", false),
            ("a=b&acl", false),
            ("uploadId=1", false),
        ] {
            assert_eq!(is_plain(Some(query)), expected, "{query}");
        }
        assert!(is_plain(None));
    }

    #[test]
    fn a_content_range_must_be_whole_and_consistent() {
        let span = |next, end, total| Some(Span { next, end, total });
        for (text, expected) in [
            ("bytes 0-9/10", span(0, 10, 10)),
            ("bytes 5-5/10", span(5, 6, 10)),
            ("bytes 5-4/10", None),
            ("bytes 5-10/10", None),
            ("bytes 0-9/*", None),
            ("bytes */10", None),
            ("bytes +0-9/10", None),
            ("bytes 0-18446744073709551615/18446744073709551615", None),
            ("lines 0-9/10", None),
        ] {
            assert_eq!(content_range(text), expected, "{text}");
        }
    }

    #[test]
    fn only_a_strong_tag_without_content_coding_names_an_entity() {
        let found = |lines: &[(&'static str, &'static str)]| {
            let mut headers = http::HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_static(value));
            }
            entity_of(StatusCode::OK, &headers).map(|(span, _)| span.total)
        };
        let length = ("content-length", "10");
        assert_eq!(found(&[length, ("etag", "\"A\"")]), Some(10));
        assert_eq!(found(&[("etag", "\"A\"")]), None);
        assert_eq!(found(&[length]), None);
        assert_eq!(found(&[length, ("etag", "W/\"A\"")]), None);
        assert_eq!(found(&[length, ("etag", "A")]), None);
        let twice = [length, ("etag", "\"A\""), ("etag", "\"B\"")];
        assert_eq!(found(&twice), None);
        let coded = [length, ("etag", "\"A\""), ("content-encoding", "gzip")];
        assert_eq!(found(&coded), None);
    }
}
