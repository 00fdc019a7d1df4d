//! CopyObject and UploadPartCopy.

use std::sync::Arc;

use bytes::Bytes;

use crate::demo::origin::body::Content;
use crate::demo::origin::call::Call;
use crate::demo::origin::multipart::{keep_part, part_number};
use crate::demo::origin::range::{Selection, select};
use crate::demo::origin::read::{Condition, judge};
use crate::demo::origin::receive::Received;
use crate::demo::origin::refusal::Refusal;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::store::{Object, Part};
use crate::demo::origin::target::decode;
use crate::demo::origin::time::iso;
use crate::demo::origin::write::{apply_attributes, forbids_overwrite, kept_headers};
use crate::demo::origin::xml::Xml;

/// The object `x-oss-copy-source` names, if its conditions hold.
fn source(call: &Call<'_>) -> Result<Arc<Object>, Refusal> {
    let text = call.header("x-oss-copy-source").unwrap_or_default();
    let wrong = || Refusal::InvalidArgument {
        name: "x-oss-copy-source",
        value: text.clone(),
    };
    let (bucket, key) = text
        .strip_prefix('/')
        .and_then(|path| path.split_once('/'))
        .ok_or_else(wrong)?;
    let key = decode(key.split("?versionId=").next().unwrap_or(key));
    let (object, _) = call
        .shared
        .store
        .with(bucket, |bucket| bucket.resolved(&key))?;
    match judge(call, &object, "x-oss-copy-source-") {
        Condition::Holds => Ok(object),
        Condition::NotModified => Err(Refusal::PreconditionFailed(
            "x-oss-copy-source-if-none-match",
        )),
        Condition::Failed(header) => Err(Refusal::PreconditionFailed(header)),
    }
}

/// `PUT /key` with a source.
pub(super) fn copy(call: &Call<'_>, name: &str) -> Result<Reply, Refusal> {
    let mut object = (*source(call)?).clone();
    let replaces = |header: &str| {
        call.header(header)
            .is_some_and(|text| text.eq_ignore_ascii_case("replace"))
    };
    let tags = object.tags.clone();
    object.modified = call.now;
    object.acl = String::from("default");
    if replaces("x-oss-metadata-directive") {
        object.headers = kept_headers(call.headers);
    }
    apply_attributes(call, &mut object);
    if !replaces("x-oss-tagging-directive") {
        object.tags = tags;
    }
    call.shared.store.with(name, |bucket| {
        if forbids_overwrite(call) && bucket.object(&call.key).is_some() {
            return Err(Refusal::FileAlreadyExists);
        }
        let reply = document(
            "CopyObjectResult",
            &object.etag,
            &iso(object.modified),
            object.crc,
        );
        bucket.objects.insert(call.key.clone(), Arc::new(object));
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

/// `PUT /key?partNumber=N&uploadId=ID` with a source.
pub(super) fn copy_part(call: &Call<'_>, name: &str) -> Result<Reply, Refusal> {
    let number = part_number(call)?;
    let object = source(call)?;
    let range = call.header_bytes("x-oss-copy-source-range");
    let (first, length) = match select(range, object.length, true) {
        Selection::Whole => (0, object.length),
        Selection::Part { first, last } => (first, last - first + 1),
        Selection::Unsatisfiable => return Err(Refusal::InvalidRange(object.length)),
    };
    let Content::Kept(pieces) = &object.content else {
        return Err(Refusal::NotImplemented("copying a measured object"));
    };
    let whole: Vec<u8> = pieces
        .iter()
        .flat_map(|piece| piece.iter().copied())
        .collect();
    let start = usize::try_from(first).unwrap_or(usize::MAX);
    let end = usize::try_from(first + length).unwrap_or(usize::MAX);
    let bytes = whole
        .get(start..end)
        .ok_or(Refusal::InvalidRange(object.length))?;
    let received = Received::of(Bytes::copy_from_slice(bytes));
    let part = Part {
        etag: received.etag(),
        length: received.length,
        crc: received.crc,
        content: received.content,
        modified: call.now,
    };
    let reply = document("CopyPartResult", &part.etag, &iso(call.now), part.crc);
    keep_part(call, name, number, part)?;
    Ok(reply)
}
