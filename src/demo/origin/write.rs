//! PutObject and AppendObject.

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, StatusCode};

use crate::demo::origin::body::{Content, join};
use crate::demo::origin::call::Call;
use crate::demo::origin::receive::{Incoming, Received, hex, receive};
use crate::demo::origin::refusal::Refusal;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::store::{Kind, Object};
use crate::demo::origin::target::Query;

/// Headers of a request that become headers of the object.
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

/// An object of received bytes, without tags and with the bucket's ACL.
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

/// Storage class, ACL and tags that the request's headers ask for.
pub(super) fn apply_attributes(call: &Call<'_>, object: &mut Object) {
    if let Some(class) = call.header("x-oss-storage-class") {
        object.storage_class = class;
    }
    if let Some(acl) = call.header("x-oss-object-acl") {
        object.acl = acl;
    }
    if let Some(tags) = call.header("x-oss-tagging") {
        object.tags = parse_tags(&tags);
    }
}

/// The tags of `x-oss-tagging`, which has the form of a query.
pub(super) fn parse_tags(text: &str) -> Vec<(String, String)> {
    let query = Query::parse(Some(text));
    query
        .names()
        .map(|name| {
            let value = query.get(name).unwrap_or_default();
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

/// Whether the request forbids to replace an object that exists.
pub(super) fn forbids_overwrite(call: &Call<'_>) -> bool {
    call.header("x-oss-forbid-overwrite")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// `PUT /key`.
pub(super) async fn put(call: &Call<'_>, name: &str, body: Incoming<'_>) -> Result<Reply, Refusal> {
    let sink_above = call
        .shared
        .store
        .with(name, |bucket| Ok(bucket.options.sink_above))?;
    let received = receive(body, call.headers, sink_above, call.entry).await?;
    let mut object = object_of(received, Kind::Normal, call.now, kept_headers(call.headers));
    apply_attributes(call, &mut object);
    call.shared.store.with(name, |bucket| {
        if forbids_overwrite(call) && bucket.object(&call.key).is_some() {
            return Err(Refusal::FileAlreadyExists);
        }
        let reply = Reply::new(StatusCode::OK)
            .with("etag", &format!("\"{}\"", object.etag))
            .with("content-md5", object.md5.as_deref().unwrap_or_default())
            .with("x-oss-hash-crc64ecma", &object.crc.to_string());
        bucket.objects.insert(call.key.clone(), Arc::new(object));
        Ok(reply)
    })
}

/// `POST /key?append&position=N`.
pub(super) async fn append(
    call: &Call<'_>,
    name: &str,
    body: Incoming<'_>,
) -> Result<Reply, Refusal> {
    let position = call
        .query
        .get("position")
        .ok_or(Refusal::MissingArgument("position"))?;
    let position: u64 = position.parse().map_err(|_| Refusal::InvalidArgument {
        name: "position",
        value: position.to_owned(),
    })?;
    let sink_above = call
        .shared
        .store
        .with(name, |bucket| Ok(bucket.options.sink_above))?;
    let received = receive(body, call.headers, sink_above, call.entry).await?;
    call.shared.store.with(name, |bucket| {
        let before = bucket.objects.get(&call.key).cloned();
        if before.is_some() && forbids_overwrite(call) {
            return Err(Refusal::FileAlreadyExists);
        }
        let length = before.as_ref().map_or(0, |object| object.length);
        if before
            .as_ref()
            .is_some_and(|object| object.kind != Kind::Appendable)
        {
            return Err(Refusal::ObjectNotAppendable);
        }
        if position != length {
            return Err(Refusal::PositionNotEqualToLength(length));
        }
        let object = match before {
            Some(before) => extend(&before, &received, call.now),
            None => {
                let mut object = object_of(
                    received,
                    Kind::Appendable,
                    call.now,
                    kept_headers(call.headers),
                );
                apply_attributes(call, &mut object);
                object.md5 = None;
                object
            }
        };
        let reply = Reply::new(StatusCode::OK)
            .with("etag", &format!("\"{}\"", object.etag))
            .with("x-oss-next-append-position", &object.length.to_string())
            .with("x-oss-hash-crc64ecma", &object.crc.to_string());
        bucket.objects.insert(call.key.clone(), Arc::new(object));
        Ok(reply)
    })
}

/// `before` with more bytes at its end.
fn extend(before: &Object, more: &Received, now: SystemTime) -> Object {
    use md5::{Digest, Md5};
    let content = match (&before.content, &more.content) {
        (Content::Kept(first), Content::Kept(second)) => {
            Content::Kept(first.iter().chain(second).cloned().collect())
        }
        _ => Content::Dropped,
    };
    let (crc, length) = join((before.crc, before.length), (more.crc, more.length));
    Object {
        content,
        length,
        crc,
        // Like OSS's: changes with the bytes and is not their MD5.
        etag: hex(&Md5::digest(format!("{}{}", before.etag, more.etag()))),
        modified: now,
        ..before.clone()
    }
}
