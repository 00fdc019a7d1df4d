//! Handlers for GetObject, HeadObject and GetObjectMeta.

use http::{HeaderValue, Method, StatusCode, header};

use crate::demo::origin::body::OriginBody;
use crate::demo::origin::conditions::{Condition, allows_range, evaluate};
use crate::demo::origin::error::OssError;
use crate::demo::origin::range::{RangeRules, Selection, select};
use crate::demo::origin::request::OssRequest;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::store::{Kind, Object};

/// The query parameters of a signed GET that replace a header field of the response, each with the name of
/// that field.
const OVERRIDES: [(&str, &str); 5] = [
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
    ("response-content-language", "content-language"),
    ("response-expires", "expires"),
];

/// Handles `GET /key` and `HEAD /key`. `owner` is `None` for an anonymous request.
pub(super) fn read(
    request: &OssRequest<'_>,
    name: &str,
    owner: Option<&str>,
) -> Result<Reply, OssError> {
    let is_head = *request.method == Method::HEAD;
    let (object, is_link) = request
        .state
        .store
        .with(name, |bucket| bucket.resolved(&request.key))?;
    if request.query.has("response-content-type") && !is_head {
        return Err(OssError::ContentTypeOverride);
    }
    if owner.is_none() && OVERRIDES.iter().any(|(name, _)| request.query.has(name)) {
        return Err(OssError::AnonymousOverride);
    }
    match evaluate(request, &object, "") {
        Condition::Failed(header) => return Err(OssError::PreconditionFailed(header)),
        Condition::NotModified => {
            let mut reply = Reply::new(StatusCode::NOT_MODIFIED);
            set_validators(&mut reply, &object);
            return Ok(reply);
        }
        Condition::Holds => {}
    }
    let rules = match request.header("x-oss-range-behavior").as_deref() {
        Some("standard") => RangeRules::Standard,
        _ => RangeRules::Oss,
    };
    let range = request
        .header_bytes("range")
        .filter(|_| allows_range(request, &object));
    let (status, first, length) = match select(range, object.length, rules) {
        Selection::Whole => (StatusCode::OK, 0, object.length),
        Selection::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Selection::Unsatisfiable => return Err(OssError::InvalidRange(object.length)),
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
            if let Some(value) = request.query.filled(parameter) {
                reply.set(header, value);
            }
        }
    }
    if is_head {
        reply.length = Some(length);
    } else {
        reply.body = OriginBody::part(&object.content, first, length)
            .ok_or(OssError::NotImplemented("reading back a measured object"))?;
    }
    Ok(reply)
}

fn set_validators(reply: &mut Reply, object: &Object) {
    reply.set("etag", &format!("\"{}\"", object.etag));
    reply.set("last-modified", &httpdate::fmt_http_date(object.modified));
}

/// Sets the header fields that describe the object.
fn describe(reply: &mut Reply, object: &Object, is_link: bool) {
    reply.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    // The stored fields replace the default `Content-Type`. Each stored header line is sent byte for byte as
    // it was received.
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

/// Handles `GET /key?objectMeta` and `HEAD /key?objectMeta`: the response has only validators, CRC and
/// length.
pub(super) fn meta(request: &OssRequest<'_>, name: &str) -> Result<Reply, OssError> {
    let object = request
        .state
        .store
        .with(name, |bucket| bucket.found(&request.key))?;
    let mut reply = Reply::new(StatusCode::OK);
    set_validators(&mut reply, &object);
    reply.set("x-oss-hash-crc64ecma", &object.crc.to_string());
    if *request.method == Method::HEAD {
        reply.length = Some(object.length);
    }
    Ok(reply)
}
