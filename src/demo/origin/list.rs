//! Handlers for ListObjects and ListObjectsV2.

use std::collections::BTreeSet;

use crate::demo::origin::error::OssError;
use crate::demo::origin::keys::KeyEncoding;
use crate::demo::origin::receive::hex;
use crate::demo::origin::request::OssRequest;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::store::{Bucket, Object};
use crate::demo::origin::time::iso;
use crate::demo::origin::xml::{Xml, write_owner};

/// The parameters of a request that lists objects.
struct ListQuery {
    is_v2: bool,
    prefix: String,
    delimiter: String,
    /// The marker. Only keys that sort after it are listed.
    after: String,
    /// The maximum number of lines in the response.
    most: usize,
    encoding: KeyEncoding,
    has_owner: bool,
}

/// One line of a list: an object, or the common prefix of several objects.
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

fn read(request: &OssRequest<'_>) -> Result<ListQuery, OssError> {
    let text = |name: &str| request.query.get(name).unwrap_or_default().to_owned();
    let is_v2 = request.query.get("list-type") == Some("2");
    let most = match request.query.filled("max-keys") {
        None => 100,
        Some(text) => text
            .parse()
            .ok()
            .filter(|most| (1..=1000).contains(most))
            .ok_or_else(|| OssError::InvalidArgument {
                name: "max-keys",
                value: text.to_owned(),
            })?,
    };
    let after = match (is_v2, request.query.filled("continuation-token")) {
        (true, Some(token)) => unhex(token),
        (true, None) => text("start-after"),
        (false, _) => text("marker"),
    };
    Ok(ListQuery {
        is_v2,
        prefix: text("prefix"),
        delimiter: text("delimiter"),
        after,
        most,
        encoding: request.key_encoding(),
        has_owner: !is_v2 || request.query.get("fetch-owner") == Some("true"),
    })
}

/// Handles `GET /bucket`.
pub(super) fn list(request: &OssRequest<'_>, name: &str, owner: &str) -> Result<Reply, OssError> {
    let query = read(request)?;
    request.state.store.with(name, |bucket| {
        let mut lines = collect(bucket, &query);
        let is_truncated = lines.len() > query.most;
        lines.truncate(query.most);
        Ok(Reply::xml(write(name, owner, &query, &lines, is_truncated)))
    })
}

/// Returns at most `query.most` lines after the marker, and one more if the list is truncated.
fn collect<'a>(bucket: &'a Bucket, query: &ListQuery) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    let mut prefixes = BTreeSet::new();
    let (prefix, delimiter) = (query.prefix.as_bytes(), query.delimiter.as_bytes());
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
        if line.name() > query.after.as_bytes() {
            lines.push(line);
        }
        if lines.len() > query.most {
            break;
        }
    }
    lines
}

fn write(
    name: &str,
    owner: &str,
    query: &ListQuery,
    lines: &[Line<'_>],
    is_truncated: bool,
) -> String {
    let show = |bytes: &[u8]| query.encoding.show(bytes);
    let mut xml = Xml::new("ListBucketResult");
    xml.leaf("Name", name);
    xml.leaf("Prefix", &show(query.prefix.as_bytes()));
    xml.leaf("MaxKeys", &query.most.to_string());
    xml.leaf("Delimiter", &show(query.delimiter.as_bytes()));
    if query.encoding == KeyEncoding::Url {
        xml.leaf("EncodingType", "url");
    }
    xml.leaf("IsTruncated", if is_truncated { "true" } else { "false" });
    let last = lines.last().map(Line::name).unwrap_or_default();
    if query.is_v2 {
        xml.leaf("KeyCount", &lines.len().to_string());
        xml.leaf("StartAfter", &show(query.after.as_bytes()));
        if is_truncated {
            xml.leaf("NextContinuationToken", &hex(last));
        }
    } else {
        xml.leaf("Marker", &show(query.after.as_bytes()));
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
                if query.has_owner {
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

/// Decodes a continuation token. A token that cannot be decoded starts the list at the beginning.
fn unhex(token: &str) -> String {
    let bytes: Option<Vec<u8>> = token
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
}
