//! Handlers for PutObject and AppendObject.

use std::sync::Arc;
use std::time::SystemTime;

use http::StatusCode;

use crate::demo::origin::content::{Content, join};
use crate::demo::origin::error::OssError;
use crate::demo::origin::object::requested_object;
use crate::demo::origin::receive::{Received, RequestBody, hex, receive};
use crate::demo::origin::request::OssRequest;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::store::{Kind, Object};

/// Handles `PUT /key`.
pub(super) async fn put(
    request: &OssRequest<'_>,
    name: &str,
    body: RequestBody<'_>,
) -> Result<Reply, OssError> {
    let sink_above = request
        .state
        .store
        .with(name, |bucket| Ok(bucket.options.sink_above))?;
    let received = receive(body, request.headers, sink_above, request.entry).await?;
    let object = requested_object(request, received, Kind::Normal);
    request.state.store.with(name, |bucket| {
        if request.forbids_overwrite() && bucket.object(&request.key).is_some() {
            return Err(OssError::FileAlreadyExists);
        }
        let reply = Reply::new(StatusCode::OK)
            .with("etag", &format!("\"{}\"", object.etag))
            .with("content-md5", object.md5.as_deref().unwrap_or_default())
            .with("x-oss-hash-crc64ecma", &object.crc.to_string());
        bucket.objects.insert(request.key.clone(), Arc::new(object));
        Ok(reply)
    })
}

/// Handles `POST /key?append&position=N`.
pub(super) async fn append(
    request: &OssRequest<'_>,
    name: &str,
    body: RequestBody<'_>,
) -> Result<Reply, OssError> {
    let position = request
        .query
        .get("position")
        .ok_or(OssError::MissingArgument("position"))?;
    let position: u64 = position.parse().map_err(|_| OssError::InvalidArgument {
        name: "position",
        value: position.to_owned(),
    })?;
    let sink_above = request
        .state
        .store
        .with(name, |bucket| Ok(bucket.options.sink_above))?;
    let received = receive(body, request.headers, sink_above, request.entry).await?;
    request.state.store.with(name, |bucket| {
        let before = bucket.objects.get(&request.key).cloned();
        if before.is_some() && request.forbids_overwrite() {
            return Err(OssError::FileAlreadyExists);
        }
        let length = before.as_ref().map_or(0, |object| object.length);
        if before
            .as_ref()
            .is_some_and(|object| object.kind != Kind::Appendable)
        {
            return Err(OssError::ObjectNotAppendable);
        }
        if position != length {
            return Err(OssError::PositionNotEqualToLength(length));
        }
        let object = match before {
            Some(before) => extend(&before, &received, request.now),
            None => {
                let mut object = requested_object(request, received, Kind::Appendable);
                object.md5 = None;
                object
            }
        };
        let reply = Reply::new(StatusCode::OK)
            .with("etag", &format!("\"{}\"", object.etag))
            .with("x-oss-next-append-position", &object.length.to_string())
            .with("x-oss-hash-crc64ecma", &object.crc.to_string());
        bucket.objects.insert(request.key.clone(), Arc::new(object));
        Ok(reply)
    })
}

/// Returns `before` with the bytes of `more` appended.
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
        // As in OSS, the ETag of an appendable object depends on its bytes but is not their MD5.
        etag: hex(&Md5::digest(format!("{}{}", before.etag, more.etag()))),
        modified: now,
        ..before.clone()
    }
}
