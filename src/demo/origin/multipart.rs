//! Multipart uploads: InitiateMultipartUpload, UploadPart, CompleteMultipartUpload and
//! AbortMultipartUpload.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use md5::{Digest, Md5};

use crate::demo::origin::content::{Content, join};
use crate::demo::origin::error::OssError;
use crate::demo::origin::object::requested_object;
use crate::demo::origin::receive::{Received, RequestBody, document, hex, receive};
use crate::demo::origin::request::OssRequest;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::store::{Kind, Object, Part, Upload};
use crate::demo::origin::xml::Xml;
use crate::oss::xml;

/// Handles `POST /key?uploads`.
pub(super) fn initiate(request: &OssRequest<'_>, name: &str) -> Result<Reply, OssError> {
    let received = Received::of(bytes::Bytes::new());
    let object = requested_object(request, received, Kind::Multipart);
    let id = format!("{:032X}", request.state.next_id());
    request.state.store.with(name, |bucket| {
        bucket.uploads.insert(
            id.clone(),
            Upload {
                key: request.key.clone(),
                started: request.now,
                object,
                parts: BTreeMap::new(),
            },
        );
        let mut xml = Xml::new("InitiateMultipartUploadResult");
        xml.leaf("Bucket", name);
        xml.leaf("Key", &request.shown_key());
        xml.leaf("UploadId", &id);
        Ok(Reply::xml(xml.finish("InitiateMultipartUploadResult")))
    })
}

/// Parses the query parameter `partNumber`, which must be between 1 and 10,000.
pub(super) fn part_number(request: &OssRequest<'_>) -> Result<u16, OssError> {
    let text = request
        .query
        .get("partNumber")
        .ok_or(OssError::MissingArgument("partNumber"))?;
    text.parse()
        .ok()
        .filter(|number| (1..=10_000).contains(number))
        .ok_or_else(|| OssError::InvalidArgument {
            name: "partNumber",
            value: text.to_owned(),
        })
}

/// Handles `PUT /key?partNumber=N&uploadId=ID`.
pub(super) async fn put_part(
    request: &OssRequest<'_>,
    name: &str,
    body: RequestBody<'_>,
) -> Result<Reply, OssError> {
    let number = part_number(request)?;
    let received = receive(body, request.headers, None, request.entry).await?;
    let part = Part {
        etag: received.etag(),
        length: received.length,
        crc: received.crc,
        content: received.content,
        modified: request.now,
    };
    let reply = Reply::new(StatusCode::OK)
        .with("etag", &format!("\"{}\"", part.etag))
        .with("x-oss-hash-crc64ecma", &part.crc.to_string());
    keep_part(request, name, number, part)?;
    Ok(reply)
}

/// Stores a part in its upload. If the upload has a part with the same number, that part is replaced.
pub(super) fn keep_part(
    request: &OssRequest<'_>,
    name: &str,
    number: u16,
    part: Part,
) -> Result<(), OssError> {
    let id = request.query.get("uploadId").unwrap_or_default();
    request.state.store.with(name, |bucket| {
        bucket.upload(id, &request.key)?.parts.insert(number, part);
        Ok(())
    })
}

/// Handles `POST /key?uploadId=ID`.
pub(super) async fn complete(
    request: &OssRequest<'_>,
    name: &str,
    body: RequestBody<'_>,
) -> Result<Reply, OssError> {
    let listed = document(body, request.headers, request.entry).await?;
    let takes_all = request.header("x-oss-complete-all").is_some();
    let wanted = if takes_all {
        None
    } else {
        Some(read_parts(&listed)?)
    };
    let id = request.query.get("uploadId").unwrap_or_default();
    request.state.store.with(name, |bucket| {
        if request.forbids_overwrite() && bucket.object(&request.key).is_some() {
            return Err(OssError::FileAlreadyExists);
        }
        let upload = bucket.upload(id, &request.key)?;
        let object = assemble(upload, wanted.as_deref(), request)?;
        let reply = answer(request, name, &object);
        bucket.uploads.remove(id);
        bucket.objects.insert(request.key.clone(), Arc::new(object));
        Ok(reply)
    })
}

/// Parses the XML document of the request and returns the number and ETag of each part.
fn read_parts(document: &[u8]) -> Result<Vec<(u16, String)>, OssError> {
    let root = xml::parse(document).ok_or(OssError::MalformedXml)?;
    let parts: Option<Vec<(u16, String)>> = root
        .all("Part")
        .map(|part| {
            let number = part.text_of("PartNumber")?.trim().parse().ok()?;
            Some((
                number,
                part.text_of("ETag")?.trim().trim_matches('"').to_owned(),
            ))
        })
        .collect();
    let parts = parts
        .filter(|parts| !parts.is_empty())
        .ok_or(OssError::MalformedXml)?;
    if parts.is_sorted_by(|left, right| left.0 < right.0) {
        Ok(parts)
    } else {
        Err(OssError::InvalidPartOrder)
    }
}

/// Joins the `wanted` parts into one object. If `wanted` is `None`, joins all parts.
fn assemble(
    upload: &Upload,
    wanted: Option<&[(u16, String)]>,
    request: &OssRequest<'_>,
) -> Result<Object, OssError> {
    let chosen: Option<Vec<&Part>> = match wanted {
        None => Some(upload.parts.values().collect()),
        Some(wanted) => wanted
            .iter()
            .map(|(number, etag)| {
                upload
                    .parts
                    .get(number)
                    .filter(|part| part.etag.eq_ignore_ascii_case(etag))
            })
            .collect(),
    };
    let chosen = chosen
        .filter(|parts| !parts.is_empty())
        .ok_or(OssError::InvalidPart)?;
    if chosen
        .iter()
        .rev()
        .skip(1)
        .any(|part| part.length < 100 * 1024)
    {
        return Err(OssError::EntityTooSmall);
    }
    let mut digests = Md5::new();
    let (mut crc, mut length) = (0, 0);
    let mut content = Vec::new();
    for part in &chosen {
        digests.update(part.etag.as_bytes());
        (crc, length) = join((crc, length), (part.crc, part.length));
        if let Content::Kept(pieces) = &part.content {
            content.extend(pieces.iter().cloned());
        }
    }
    Ok(Object {
        etag: format!("{}-{}", hex(&digests.finalize()), chosen.len()),
        content: Content::Kept(content),
        length,
        crc,
        md5: None,
        modified: request.now,
        ..upload.object.clone()
    })
}

fn answer(request: &OssRequest<'_>, name: &str, object: &Object) -> Reply {
    let mut xml = Xml::new("CompleteMultipartUploadResult");
    xml.leaf(
        "Location",
        &format!(
            "http://{}/{}",
            request.host,
            String::from_utf8_lossy(&request.key)
        ),
    );
    xml.leaf("Bucket", name);
    xml.leaf("Key", &request.shown_key());
    xml.leaf("ETag", &format!("\"{}\"", object.etag));
    Reply::xml(xml.finish("CompleteMultipartUploadResult"))
        .with("etag", &format!("\"{}\"", object.etag))
        .with("x-oss-hash-crc64ecma", &object.crc.to_string())
}

/// Handles `DELETE /key?uploadId=ID`.
pub(super) fn abort(request: &OssRequest<'_>, name: &str) -> Result<Reply, OssError> {
    let id = request.query.get("uploadId").unwrap_or_default();
    request.state.store.with(name, |bucket| {
        bucket.upload(id, &request.key)?;
        bucket.uploads.remove(id);
        Ok(Reply::new(StatusCode::NO_CONTENT))
    })
}
