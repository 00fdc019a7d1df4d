//! ListObjects and ListObjectsV2.

use std::collections::BTreeSet;

use crate::demo::origin::bucket::write_owner;
use crate::demo::origin::call::Call;
use crate::demo::origin::refusal::Refusal;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::store::{Bucket, Object};
use crate::demo::origin::time::iso;
use crate::demo::origin::xml::Xml;

/// What a listing asks for.
struct Asked {
    is_v2: bool,
    prefix: String,
    delimiter: String,
    after: String,
    most: usize,
    is_encoded: bool,
    has_owner: bool,
}

/// One line of a listing.
enum Line<'a> {
    Object(&'a [u8], &'a Object),
    Prefix(Vec<u8>),
}

impl Line<'_> {
    fn name(&self) -> &[u8] {
        match self {
            Line::Object(key, _) => key,
            Line::Prefix(prefix) => prefix,
        }
    }
}

fn read(call: &Call<'_>) -> Result<Asked, Refusal> {
    let text = |name: &str| call.query.get(name).unwrap_or_default().to_owned();
    let is_v2 = call.query.get("list-type") == Some("2");
    let most = match call.query.filled("max-keys") {
        None => 100,
        Some(text) => text
            .parse()
            .ok()
            .filter(|most| (1..=1000).contains(most))
            .ok_or_else(|| Refusal::InvalidArgument {
                name: "max-keys",
                value: text.to_owned(),
            })?,
    };
    let after = match (is_v2, call.query.filled("continuation-token")) {
        (true, Some(token)) => unhex(token),
        (true, None) => text("start-after"),
        (false, _) => text("marker"),
    };
    Ok(Asked {
        is_v2,
        prefix: text("prefix"),
        delimiter: text("delimiter"),
        after,
        most,
        is_encoded: call.query.get("encoding-type") == Some("url"),
        has_owner: !is_v2 || call.query.get("fetch-owner") == Some("true"),
    })
}

/// `GET /bucket`.
pub(super) fn list(call: &Call<'_>, name: &str, owner: &str) -> Result<Reply, Refusal> {
    let asked = read(call)?;
    call.shared.store.with(name, |bucket| {
        let mut lines = collect(bucket, &asked);
        let is_truncated = lines.len() > asked.most;
        lines.truncate(asked.most);
        Ok(Reply::xml(write(name, owner, &asked, &lines, is_truncated)))
    })
}

/// The lines after the marker, one more than asked for when there are more.
fn collect<'a>(bucket: &'a Bucket, asked: &Asked) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    let mut prefixes = BTreeSet::new();
    let (prefix, delimiter) = (asked.prefix.as_bytes(), asked.delimiter.as_bytes());
    for (key, object) in &bucket.objects {
        let Some(rest) = key.strip_prefix(prefix) else {
            continue;
        };
        let end = (!delimiter.is_empty())
            .then(|| {
                rest.windows(delimiter.len())
                    .position(|window| window == delimiter)
            })
            .flatten();
        let line = match end {
            None => Line::Object(key, object),
            Some(end) => {
                let shared = key
                    .get(..prefix.len() + end + delimiter.len())
                    .unwrap_or(key)
                    .to_vec();
                if !prefixes.insert(shared.clone()) {
                    continue;
                }
                Line::Prefix(shared)
            }
        };
        if line.name() > asked.after.as_bytes() {
            lines.push(line);
        }
        if lines.len() > asked.most {
            break;
        }
    }
    lines
}

fn write(name: &str, owner: &str, asked: &Asked, lines: &[Line<'_>], is_truncated: bool) -> String {
    let show = |bytes: &[u8]| encode(bytes, asked.is_encoded);
    let mut xml = Xml::new("ListBucketResult");
    xml.leaf("Name", name);
    xml.leaf("Prefix", &show(asked.prefix.as_bytes()));
    xml.leaf("MaxKeys", &asked.most.to_string());
    xml.leaf("Delimiter", &show(asked.delimiter.as_bytes()));
    if asked.is_encoded {
        xml.leaf("EncodingType", "url");
    }
    xml.leaf("IsTruncated", if is_truncated { "true" } else { "false" });
    let last = lines.last().map(Line::name).unwrap_or_default();
    if asked.is_v2 {
        xml.leaf("KeyCount", &lines.len().to_string());
        xml.leaf("StartAfter", &show(asked.after.as_bytes()));
        if is_truncated {
            xml.leaf("NextContinuationToken", &super::receive::hex(last));
        }
    } else {
        xml.leaf("Marker", &show(asked.after.as_bytes()));
        if is_truncated {
            xml.leaf("NextMarker", &show(last));
        }
    }
    for line in lines {
        match line {
            Line::Object(key, object) => {
                xml.open("Contents");
                xml.leaf("Key", &show(key));
                xml.leaf("LastModified", &iso(object.modified));
                xml.leaf("ETag", &format!("\"{}\"", object.etag));
                xml.leaf("Type", object.kind.as_str());
                xml.leaf("Size", &object.length.to_string());
                xml.leaf("StorageClass", &object.storage_class);
                if asked.has_owner {
                    write_owner(&mut xml, owner);
                }
                xml.close("Contents");
            }
            Line::Prefix(prefix) => {
                xml.open("CommonPrefixes");
                xml.leaf("Prefix", &show(prefix));
                xml.close("CommonPrefixes");
            }
        }
    }
    xml.finish("ListBucketResult")
}

/// A key as a document shows it: percent-encoded when the client asked for that.
pub(super) fn encode(bytes: &[u8], is_encoded: bool) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    if is_encoded {
        percent_encode(bytes, KEPT).to_string()
    } else {
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// The text of a continuation token; an unreadable one starts at the beginning.
fn unhex(token: &str) -> String {
    let bytes: Option<Vec<u8>> = token
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
}
