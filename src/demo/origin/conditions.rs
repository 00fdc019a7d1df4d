//! Conditional requests: the four conditional header fields of RFC 9110, section 13.2.2, and their variants
//! for a copy (`x-oss-copy-source-if-match` and others).

use std::time::SystemTime;

use crate::demo::origin::request::OssRequest;
use crate::demo::origin::store::Object;

/// The outcome of a conditional request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Holds,
    NotModified,
    /// The condition in this header field does not hold.
    Failed(&'static str),
}

/// Evaluates the four conditional header fields in the order of RFC 9110. `prefix` is the start of their
/// names: empty for a read, `x-oss-copy-source-` for a copy.
pub(super) fn evaluate(request: &OssRequest<'_>, object: &Object, prefix: &str) -> Condition {
    let value = |name: &str| request.header(&format!("{prefix}{name}"));
    let modified = whole_seconds(object.modified);
    let date = |name: &str| value(name).and_then(|text| httpdate::parse_http_date(&text).ok());
    if let Some(tags) = value("if-match") {
        if !matches_etag(&tags, &object.etag) {
            return Condition::Failed("If-Match");
        }
    } else if date("if-unmodified-since").is_some_and(|since| modified > since) {
        return Condition::Failed("If-Unmodified-Since");
    }
    if let Some(tags) = value("if-none-match") {
        if matches_etag(&tags, &object.etag) {
            return Condition::NotModified;
        }
    } else if date("if-modified-since").is_some_and(|since| modified <= since) {
        return Condition::NotModified;
    }
    Condition::Holds
}

/// Whether a range of `object` may be sent. This is the case if `If-Range` is absent or its validator still
/// matches.
pub(super) fn allows_range(request: &OssRequest<'_>, object: &Object) -> bool {
    request.header("if-range").is_none_or(|value| {
        matches_etag(&value, &object.etag) || value == httpdate::fmt_http_date(object.modified)
    })
}

/// Removes fractions of a second. HTTP dates have no fractions, so the object would otherwise be newer than
/// its own `Last-Modified`.
fn whole_seconds(time: SystemTime) -> SystemTime {
    httpdate::parse_http_date(&httpdate::fmt_http_date(time)).unwrap_or(time)
}

fn matches_etag(list: &str, etag: &str) -> bool {
    list.split(',').any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.trim_matches('"').eq_ignore_ascii_case(etag)
    })
}
