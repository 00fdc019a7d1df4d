//! ListParts and ListMultipartUploads.

use crate::demo::origin::bucket::write_owner;
use crate::demo::origin::call::Call;
use crate::demo::origin::list::encode;
use crate::demo::origin::multipart::shown_key;
use crate::demo::origin::refusal::Refusal;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::time::iso;
use crate::demo::origin::xml::Xml;

/// `GET /key?uploadId=ID`.
pub(super) fn parts(call: &Call<'_>, name: &str) -> Result<Reply, Refusal> {
    let id = call.query.get("uploadId").unwrap_or_default();
    let number = |key: &str| {
        call.query
            .filled(key)
            .and_then(|text| text.parse::<u16>().ok())
    };
    let after = number("part-number-marker").unwrap_or(0);
    let most = usize::from(number("max-parts").unwrap_or(1000));
    call.shared.store.with(name, |bucket| {
        let upload = bucket.upload(id, &call.key)?;
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
        xml.leaf("Key", &shown_key(call));
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

/// `GET /bucket?uploads`.
pub(super) fn uploads(call: &Call<'_>, name: &str, owner: &str) -> Result<Reply, Refusal> {
    let is_encoded = call.query.get("encoding-type") == Some("url");
    let prefix = call.query.get("prefix").unwrap_or_default();
    call.shared.store.with(name, |bucket| {
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
            xml.leaf("Key", &encode(&upload.key, is_encoded));
            xml.leaf("UploadId", id);
            xml.leaf("Initiated", &iso(upload.started));
            write_owner(&mut xml, owner);
            xml.close("Upload");
        }
        Ok(Reply::xml(xml.finish("ListMultipartUploadsResult")))
    })
}
