//! Handlers for ListParts and ListMultipartUploads.

use crate::demo::origin::error::OssError;
use crate::demo::origin::request::OssRequest;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::time::iso;
use crate::demo::origin::xml::{Xml, write_owner};

/// Handles `GET /key?uploadId=ID`.
pub(super) fn parts(request: &OssRequest<'_>, name: &str) -> Result<Reply, OssError> {
    let id = request.query.get("uploadId").unwrap_or_default();
    let number = |key: &str| {
        request
            .query
            .filled(key)
            .and_then(|text| text.parse::<u16>().ok())
    };
    let after = number("part-number-marker").unwrap_or(0);
    let most = usize::from(number("max-parts").unwrap_or(1000));
    request.state.store.with(name, |bucket| {
        let upload = bucket.upload(id, &request.key)?;
        let listed: Vec<_> = upload
            .parts
            .range(after.saturating_add(1)..)
            .take(most)
            .collect();
        let last = listed.last().map_or(after, |(number, _)| **number);
        let is_truncated = upload
            .parts
            .range(last.saturating_add(1)..)
            .next()
            .is_some();
        let mut xml = Xml::new("ListPartsResult");
        xml.leaf("Bucket", name);
        xml.leaf("Key", &request.shown_key());
        xml.leaf("UploadId", id);
        xml.leaf("PartNumberMarker", &after.to_string());
        xml.leaf("NextPartNumberMarker", &last.to_string());
        xml.leaf("MaxParts", &most.to_string());
        xml.leaf("IsTruncated", if is_truncated { "true" } else { "false" });
        for (number, part) in listed {
            xml.open("Part");
            xml.leaf("PartNumber", &number.to_string());
            xml.leaf("LastModified", &iso(part.modified));
            xml.leaf("ETag", &format!("\"{}\"", part.etag));
            xml.leaf("HashCrc64ecma", &part.crc.to_string());
            xml.leaf("Size", &part.length.to_string());
            xml.close("Part");
        }
        Ok(Reply::xml(xml.finish("ListPartsResult")))
    })
}

/// Handles `GET /bucket?uploads`.
pub(super) fn uploads(
    request: &OssRequest<'_>,
    name: &str,
    owner: &str,
) -> Result<Reply, OssError> {
    let encoding = request.key_encoding();
    let prefix = request.query.get("prefix").unwrap_or_default();
    request.state.store.with(name, |bucket| {
        let mut xml = Xml::new("ListMultipartUploadsResult");
        xml.leaf("Bucket", name);
        xml.leaf("Prefix", prefix);
        xml.leaf("MaxUploads", "1000");
        xml.leaf("IsTruncated", "false");
        let matching = bucket
            .uploads
            .iter()
            .filter(|(_, upload)| upload.key.starts_with(prefix.as_bytes()));
        for (id, upload) in matching {
            xml.open("Upload");
            xml.leaf("Key", &encoding.show(&upload.key));
            xml.leaf("UploadId", id);
            xml.leaf("Initiated", &iso(upload.started));
            write_owner(&mut xml, owner);
            xml.close("Upload");
        }
        Ok(Reply::xml(xml.finish("ListMultipartUploadsResult")))
    })
}
