//! Handlers for CopyObject and UploadPartCopy.

use std::sync::Arc;

use bytes::Bytes;

use crate::demo::origin::conditions::{Condition, evaluate};
use crate::demo::origin::content::Content;
use crate::demo::origin::error::OssError;
use crate::demo::origin::multipart::{keep_part, part_number};
use crate::demo::origin::object::{apply_attributes, kept_headers};
use crate::demo::origin::range::{RangeRules, Selection, select};
use crate::demo::origin::receive::Received;
use crate::demo::origin::request::OssRequest;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::store::{Object, Part};
use crate::demo::origin::target::decode;
use crate::demo::origin::time::iso;
use crate::demo::origin::xml::Xml;

/// Returns the object in `x-oss-copy-source` if the conditions of the request hold for it.
fn source(request: &OssRequest<'_>) -> Result<Arc<Object>, OssError> {
    let text = request.header("x-oss-copy-source").unwrap_or_default();
    let wrong = || OssError::InvalidArgument {
        name: "x-oss-copy-source",
        value: text.clone(),
    };
    let (bucket, key) = text
        .strip_prefix('/')
        .and_then(|path| path.split_once('/'))
        .ok_or_else(wrong)?;
    let key = decode(key.split("?versionId=").next().unwrap_or(key));
    let (object, _) = request
        .state
        .store
        .with(bucket, |bucket| bucket.resolved(&key))?;
    match evaluate(request, &object, "x-oss-copy-source-") {
        Condition::Holds => Ok(object),
        Condition::NotModified => Err(OssError::PreconditionFailed(
            "x-oss-copy-source-if-none-match",
        )),
        Condition::Failed(header) => Err(OssError::PreconditionFailed(header)),
    }
}

/// Handles `PUT /key` with `x-oss-copy-source`.
pub(super) fn copy(request: &OssRequest<'_>, name: &str) -> Result<Reply, OssError> {
    let mut object = (*source(request)?).clone();
    let replaces = |header: &str| {
        request
            .header(header)
            .is_some_and(|text| text.eq_ignore_ascii_case("replace"))
    };
    let tags = object.tags.clone();
    object.modified = request.now;
    object.acl = String::from("default");
    if replaces("x-oss-metadata-directive") {
        object.headers = kept_headers(request.headers);
    }
    apply_attributes(request, &mut object);
    if !replaces("x-oss-tagging-directive") {
        object.tags = tags;
    }
    request.state.store.with(name, |bucket| {
        if request.forbids_overwrite() && bucket.object(&request.key).is_some() {
            return Err(OssError::FileAlreadyExists);
        }
        let reply = document(
            "CopyObjectResult",
            &object.etag,
            &iso(object.modified),
            object.crc,
        );
        bucket.objects.insert(request.key.clone(), Arc::new(object));
        Ok(reply)
    })
}

fn document(root: &str, etag: &str, modified: &str, crc: u64) -> Reply {
    let mut xml = Xml::new(root);
    xml.leaf("LastModified", modified);
    xml.leaf("ETag", &format!("\"{etag}\""));
    Reply::xml(xml.finish(root))
        .with("etag", &format!("\"{etag}\""))
        .with("x-oss-hash-crc64ecma", &crc.to_string())
}

/// Handles `PUT /key?partNumber=N&uploadId=ID` with `x-oss-copy-source`.
pub(super) fn copy_part(request: &OssRequest<'_>, name: &str) -> Result<Reply, OssError> {
    let number = part_number(request)?;
    let object = source(request)?;
    let range = request.header_bytes("x-oss-copy-source-range");
    let (first, length) = match select(range, object.length, RangeRules::Standard) {
        Selection::Whole => (0, object.length),
        Selection::Part { first, last } => (first, last - first + 1),
        Selection::Unsatisfiable => return Err(OssError::InvalidRange(object.length)),
    };
    let Content::Kept(pieces) = &object.content else {
        return Err(OssError::NotImplemented("copying a measured object"));
    };
    let whole: Vec<u8> = pieces
        .iter()
        .flat_map(|piece| piece.iter().copied())
        .collect();
    let start = usize::try_from(first).unwrap_or(usize::MAX);
    let end = usize::try_from(first + length).unwrap_or(usize::MAX);
    let bytes = whole
        .get(start..end)
        .ok_or(OssError::InvalidRange(object.length))?;
    let received = Received::of(Bytes::copy_from_slice(bytes));
    let part = Part {
        etag: received.etag(),
        length: received.length,
        crc: received.crc,
        content: received.content,
        modified: request.now,
    };
    let reply = document("CopyPartResult", &part.etag, &iso(request.now), part.crc);
    keep_part(request, name, number, part)?;
    Ok(reply)
}
