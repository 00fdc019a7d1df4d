//! Multipart uploads: begin, parts, completion, abandonment.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use md5::{Digest, Md5};

use crate::demo::origin::body::{Content, join};
use crate::demo::origin::call::Call;
use crate::demo::origin::receive::{Incoming, Received, document, hex, receive};
use crate::demo::origin::refusal::Refusal;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::store::{Kind, Object, Part, Upload};
use crate::demo::origin::write::{apply_attributes, forbids_overwrite, kept_headers, object_of};
use crate::demo::origin::xml::Xml;
use crate::oss::xml;

/// `POST /key?uploads`.
pub(super) fn initiate(call: &Call<'_>, name: &str) -> Result<Reply, Refusal> {
    let mut object = object_of(
        Received::of(bytes::Bytes::new()),
        Kind::Multipart,
        call.now,
        kept_headers(call.headers),
    );
    apply_attributes(call, &mut object);
    let id = format!("{:032X}", call.shared.next_id());
    call.shared.store.with(name, |bucket| {
        bucket.uploads.insert(
            id.clone(),
            Upload {
                key: call.key.clone(),
                started: call.now,
                object,
                parts: BTreeMap::new(),
            },
        );
        let mut xml = Xml::new("InitiateMultipartUploadResult");
        xml.leaf("Bucket", name);
        xml.leaf("Key", &shown_key(call));
        xml.leaf("UploadId", &id);
        Ok(Reply::xml(xml.finish("InitiateMultipartUploadResult")))
    })
}

/// The key as the client wants to read it.
pub(super) fn shown_key(call: &Call<'_>) -> String {
    let is_encoded = call.query.get("encoding-type") == Some("url");
    super::list::encode(&call.key, is_encoded)
}

/// The number of the part a request is about.
pub(super) fn part_number(call: &Call<'_>) -> Result<u16, Refusal> {
    let text = call
        .query
        .get("partNumber")
        .ok_or(Refusal::MissingArgument("partNumber"))?;
    text.parse()
        .ok()
        .filter(|number| (1..=10_000).contains(number))
        .ok_or_else(|| Refusal::InvalidArgument {
            name: "partNumber",
            value: text.to_owned(),
        })
}

/// `PUT /key?partNumber=N&uploadId=ID`.
pub(super) async fn put_part(
    call: &Call<'_>,
    name: &str,
    body: Incoming<'_>,
) -> Result<Reply, Refusal> {
    let number = part_number(call)?;
    let received = receive(body, call.headers, None, call.entry).await?;
    let part = Part {
        etag: received.etag(),
        length: received.length,
        crc: received.crc,
        content: received.content,
        modified: call.now,
    };
    let reply = Reply::new(StatusCode::OK)
        .with("etag", &format!("\"{}\"", part.etag))
        .with("x-oss-hash-crc64ecma", &part.crc.to_string());
    keep_part(call, name, number, part)?;
    Ok(reply)
}

/// Puts a part into its upload.
pub(super) fn keep_part(
    call: &Call<'_>,
    name: &str,
    number: u16,
    part: Part,
) -> Result<(), Refusal> {
    let id = call.query.get("uploadId").unwrap_or_default();
    call.shared.store.with(name, |bucket| {
        bucket.upload(id, &call.key)?.parts.insert(number, part);
        Ok(())
    })
}

/// `POST /key?uploadId=ID`.
pub(super) async fn complete(
    call: &Call<'_>,
    name: &str,
    body: Incoming<'_>,
) -> Result<Reply, Refusal> {
    let listed = document(body, call.headers, call.entry).await?;
    let takes_all = call.header("x-oss-complete-all").is_some();
    let wanted = if takes_all {
        None
    } else {
        Some(read_parts(&listed)?)
    };
    let id = call.query.get("uploadId").unwrap_or_default();
    call.shared.store.with(name, |bucket| {
        if forbids_overwrite(call) && bucket.object(&call.key).is_some() {
            return Err(Refusal::FileAlreadyExists);
        }
        let upload = bucket.upload(id, &call.key)?;
        let object = assemble(upload, wanted.as_deref(), call)?;
        let reply = answer(call, name, &object);
        bucket.uploads.remove(id);
        bucket.objects.insert(call.key.clone(), Arc::new(object));
        Ok(reply)
    })
}

/// Number and ETag of each listed part.
fn read_parts(document: &[u8]) -> Result<Vec<(u16, String)>, Refusal> {
    let root = xml::parse(document).ok_or(Refusal::MalformedXml)?;
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
        .ok_or(Refusal::MalformedXml)?;
    if parts.is_sorted_by(|left, right| left.0 < right.0) {
        Ok(parts)
    } else {
        Err(Refusal::InvalidPartOrder)
    }
}

fn assemble(
    upload: &Upload,
    wanted: Option<&[(u16, String)]>,
    call: &Call<'_>,
) -> Result<Object, Refusal> {
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
        .ok_or(Refusal::InvalidPart)?;
    if chosen
        .iter()
        .rev()
        .skip(1)
        .any(|part| part.length < 100 * 1024)
    {
        return Err(Refusal::EntityTooSmall);
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
        modified: call.now,
        ..upload.object.clone()
    })
}

fn answer(call: &Call<'_>, name: &str, object: &Object) -> Reply {
    let mut xml = Xml::new("CompleteMultipartUploadResult");
    xml.leaf(
        "Location",
        &format!(
            "http://{}/{}",
            call.host,
            String::from_utf8_lossy(&call.key)
        ),
    );
    xml.leaf("Bucket", name);
    xml.leaf("Key", &shown_key(call));
    xml.leaf("ETag", &format!("\"{}\"", object.etag));
    Reply::xml(xml.finish("CompleteMultipartUploadResult"))
        .with("etag", &format!("\"{}\"", object.etag))
        .with("x-oss-hash-crc64ecma", &object.crc.to_string())
}

/// `DELETE /key?uploadId=ID`.
pub(super) fn abort(call: &Call<'_>, name: &str) -> Result<Reply, Refusal> {
    let id = call.query.get("uploadId").unwrap_or_default();
    call.shared.store.with(name, |bucket| {
        bucket.upload(id, &call.key)?;
        bucket.uploads.remove(id);
        Ok(Reply::new(StatusCode::NO_CONTENT))
    })
}
