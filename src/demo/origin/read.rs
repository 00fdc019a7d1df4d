//! GetObject, HeadObject and GetObjectMeta.

use std::time::SystemTime;

use http::{HeaderValue, Method, StatusCode, header};

use crate::demo::origin::body::OriginBody;
use crate::demo::origin::call::Call;
use crate::demo::origin::range::{Selection, select};
use crate::demo::origin::refusal::Refusal;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::store::{Kind, Object};

/// Response headers a signed GET may replace.
const OVERRIDES: [(&str, &str); 5] = [
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
    ("response-content-language", "content-language"),
    ("response-expires", "expires"),
];

/// How a conditional request comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Holds,
    NotModified,
    /// By this header.
    Failed(&'static str),
}

/// Judges the four conditional headers, whose names begin with `prefix`, in the order of RFC 9110.
pub(super) fn judge(call: &Call<'_>, object: &Object, prefix: &str) -> Condition {
    let value = |name: &str| call.header(&format!("{prefix}{name}"));
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

/// HTTP dates have no fractions, so a stored one must not be later than its own header.
fn whole_seconds(time: SystemTime) -> SystemTime {
    httpdate::parse_http_date(&httpdate::fmt_http_date(time)).unwrap_or(time)
}

fn matches_etag(list: &str, etag: &str) -> bool {
    list.split(',').any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.trim_matches('"').eq_ignore_ascii_case(etag)
    })
}

/// `GET /key` and `HEAD /key`.
pub(super) fn read(call: &Call<'_>, name: &str, is_signed: bool) -> Result<Reply, Refusal> {
    let is_head = *call.method == Method::HEAD;
    let (object, is_link) = call
        .shared
        .store
        .with(name, |bucket| bucket.resolved(&call.key))?;
    if call.query.has("response-content-type") && !is_head {
        return Err(Refusal::ContentTypeOverride);
    }
    if !is_signed && OVERRIDES.iter().any(|(name, _)| call.query.has(name)) {
        return Err(Refusal::AnonymousOverride);
    }
    match judge(call, &object, "") {
        Condition::Failed(header) => return Err(Refusal::PreconditionFailed(header)),
        Condition::NotModified => {
            let mut reply = Reply::new(StatusCode::NOT_MODIFIED);
            set_validators(&mut reply, &object);
            return Ok(reply);
        }
        Condition::Holds => {}
    }
    let is_standard = call.header("x-oss-range-behavior").as_deref() == Some("standard");
    // A validator that no longer holds makes the range void.
    let is_fresh = call.header("if-range").is_none_or(|value| {
        matches_etag(&value, &object.etag) || value == httpdate::fmt_http_date(object.modified)
    });
    let range = call.header_bytes("range").filter(|_| is_fresh);
    let (status, first, length) = match select(range, object.length, is_standard) {
        Selection::Whole => (StatusCode::OK, 0, object.length),
        Selection::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Selection::Unsatisfiable => return Err(Refusal::InvalidRange(object.length)),
    };
    let mut reply = Reply::new(status);
    describe(&mut reply, &object, is_link);
    if status == StatusCode::PARTIAL_CONTENT {
        let last = first + length - 1;
        reply.set(
            "content-range",
            &format!("bytes {first}-{last}/{}", object.length),
        );
    }
    if !is_head {
        for (parameter, header) in OVERRIDES {
            if let Some(value) = call.query.filled(parameter) {
                reply.set(header, value);
            }
        }
    }
    if is_head {
        reply.length = Some(length);
    } else {
        reply.body = OriginBody::part(&object.content, first, length)
            .ok_or(Refusal::NotImplemented("reading back a measured object"))?;
    }
    Ok(reply)
}

fn set_validators(reply: &mut Reply, object: &Object) {
    reply.set("etag", &format!("\"{}\"", object.etag));
    reply.set("last-modified", &httpdate::fmt_http_date(object.modified));
}

/// The headers of a GET or HEAD that describe the object.
fn describe(reply: &mut Reply, object: &Object, is_link: bool) {
    reply.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    // What came with the object replaces the default, line by line, as bytes.
    for name in object.headers.keys() {
        reply.headers.remove(name);
    }
    for (name, value) in &object.headers {
        reply.headers.append(name, value.clone());
    }
    set_validators(reply, object);
    reply.set("accept-ranges", "bytes");
    let kind = if is_link {
        "Symlink"
    } else {
        object.kind.as_str()
    };
    reply.set("x-oss-object-type", kind);
    reply.set("x-oss-storage-class", &object.storage_class);
    reply.set("x-oss-hash-crc64ecma", &object.crc.to_string());
    if let Some(md5) = &object.md5 {
        reply.set("content-md5", md5);
    }
    if object.kind == Kind::Appendable {
        reply.set("x-oss-next-append-position", &object.length.to_string());
    }
    if !object.tags.is_empty() {
        reply.set("x-oss-tagging-count", &object.tags.len().to_string());
    }
}

/// `GET /key?objectMeta` and `HEAD /key?objectMeta`: validators and length only.
pub(super) fn meta(call: &Call<'_>, name: &str) -> Result<Reply, Refusal> {
    let object = call
        .shared
        .store
        .with(name, |bucket| bucket.found(&call.key))?;
    let mut reply = Reply::new(StatusCode::OK);
    set_validators(&mut reply, &object);
    reply.set("x-oss-hash-crc64ecma", &object.crc.to_string());
    if *call.method == Method::HEAD {
        reply.length = Some(object.length);
    }
    Ok(reply)
}
