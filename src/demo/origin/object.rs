//! Creates an object from received bytes and the header fields of the upload request.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName};

use crate::demo::origin::receive::Received;
use crate::demo::origin::request::OssRequest;
use crate::demo::origin::store::{Kind, Object};
use crate::demo::origin::target::Query;

/// Returns the header fields of a request that are stored with the object.
pub(super) fn kept_headers(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        if is_kept(name) {
            kept.append(name, value.clone());
        }
    }
    kept
}

fn is_kept(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-oss-meta-")
        || [
            "content-type",
            "cache-control",
            "content-disposition",
            "content-encoding",
            "content-language",
            "expires",
        ]
        .contains(&name.as_str())
}

/// Returns an object with the received bytes, without tags and with the ACL of its bucket.
pub(super) fn object_of(
    received: Received,
    kind: Kind,
    now: SystemTime,
    headers: HeaderMap,
) -> Object {
    Object {
        kind,
        length: received.length,
        etag: received.etag(),
        md5: Some(received.content_md5()),
        crc: received.crc,
        content: received.content,
        modified: now,
        headers,
        storage_class: String::from("Standard"),
        acl: String::from("default"),
        tags: Vec::new(),
    }
}

/// Returns an object with the received bytes and all properties that the header fields of `request` set.
pub(super) fn requested_object(request: &OssRequest<'_>, received: Received, kind: Kind) -> Object {
    let headers = kept_headers(request.headers);
    let mut object = object_of(received, kind, request.now, headers);
    apply_attributes(request, &mut object);
    object
}

/// Sets the storage class, ACL and tags from the header fields of `request`.
pub(super) fn apply_attributes(request: &OssRequest<'_>, object: &mut Object) {
    if let Some(class) = request.header("x-oss-storage-class") {
        object.storage_class = class;
    }
    if let Some(acl) = request.header("x-oss-object-acl") {
        object.acl = acl;
    }
    if let Some(tags) = request.header("x-oss-tagging") {
        object.tags = parse_tags(&tags);
    }
}

/// Parses the tags in `x-oss-tagging`, which has the syntax of a query.
fn parse_tags(text: &str) -> Vec<(String, String)> {
    let query = Query::parse(Some(text));
    query
        .names()
        .map(|name| {
            let value = query.get(name).unwrap_or_default();
            (name.to_owned(), value.to_owned())
        })
        .collect()
}
