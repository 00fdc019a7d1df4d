//! Whether a preset allows the OSS operation of a request.
//!
//! An operation is named by its method, its level (service, bucket, object) and the sub-resources in the
//! query. An operation that is not known to read, list or write objects counts as administration.

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::oss::addressing::Level;
use crate::oss::subresource::is_subresource;

/// A set of allowed operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// All operations.
    Full,
    /// Reading, listing, writing and deleting objects. No operation on ACLs, policies and settings, and no
    /// creation, deletion or listing of buckets.
    DataPlane,
    /// Reading and listing objects.
    ReadOnly,
}

impl Preset {
    /// Returns the name of the preset in the config.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::DataPlane => "data-plane",
            Self::ReadOnly => "read-only",
        }
    }
}

/// Why a preset refuses a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused<'q> {
    /// No allowed operation has this method at this level.
    Method,
    /// No allowed operation with this method has this sub-resource.
    SubResource(Cow<'q, str>),
    /// The operation is allowed, but not with this header field, which sets an ACL.
    Header(&'static str),
}

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.write_str("its method"),
            Self::SubResource(name) => write!(f, "`?{name}`"),
            Self::Header(name) => write!(f, "`{name}`"),
        }
    }
}

/// Query names that an allowed read of an object may have.
const READING: [&str; 7] = [
    "objectMeta",
    "symlink",
    "versionId",
    "x-oss-process",
    "x-oss-traffic-limit",
    "x-oss-request-payer",
    "security-token",
];
/// Query names that a listing may have.
const LISTING: [&str; 2] = ["continuation-token", "versions"];
/// Query names that a write of an object may have.
const WRITING: [&str; 16] = [
    "append",
    "asyncFetch",
    "callback",
    "callback-var",
    "partNumber",
    "position",
    "restore",
    "seal",
    "sequential",
    "symlink",
    "tagging",
    "uploadId",
    "uploads",
    "versionId",
    "x-oss-process",
    "x-oss-async-process",
];
/// Settings that a V1 signature does not cover, with the names that the official SDKs use.
const SETTINGS: [&str; 29] = [
    "MetaQuery",
    "accessmonitor",
    "agenticBucket",
    "bucketSpace",
    "cleanRestoredObject",
    "dataPipeline",
    "deleteVectorIndex",
    "deleteVectors",
    "getVectorIndex",
    "getVectors",
    "legalHold",
    "listVectorIndexes",
    "listVectors",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "objectWorm",
    "overwriteConfig",
    "policyStatus",
    "putVectorIndex",
    "putVectorIndexFusion",
    "putVectors",
    "queryVectors",
    "queryVectorsFusion",
    "quota",
    "regions",
    "retention",
    "rtc",
    "userDefinedLogFieldsConfig",
];
/// Names in `WRITING` that a client that writes objects also reads.
const READ_BY_WRITERS: [&str; 3] = ["tagging", "uploadId", "uploads"];

/// Header fields that set the ACL of a written object (PutObject, CopyObject, AppendObject,
/// InitiateMultipartUpload, PutSymlink). A form carries the ACL in its body, which is not read.
const ACL_FIELDS: [&str; 3] = ["x-oss-object-acl", "x-oss-acl", "x-amz-acl"];

/// Checks a request against `preset`. `level` is what the request is for, `query` its query without the
/// `?`.
///
/// # Errors
///
/// [`Refused::Method`], [`Refused::SubResource`] or [`Refused::Header`]: the part of the request that the
/// preset does not allow.
pub fn check<'q>(
    preset: Preset,
    method: &http::Method,
    level: Level,
    query: &'q str,
    headers: &HeaderMap,
) -> Result<(), Refused<'q>> {
    if preset == Preset::Full || method == http::Method::OPTIONS {
        return Ok(());
    }
    let is_bucket = match level {
        Level::Service => return Err(Refused::Method),
        Level::Bucket => true,
        Level::Object => false,
    };
    let is_read = method == http::Method::GET || method == http::Method::HEAD;
    let writes = preset == Preset::DataPlane;
    let is_known = |name: &str| {
        let is_in = |list: &[&str]| list.contains(&name);
        let is_common = name.starts_with("response-")
            || is_in(&[
                "x-oss-request-payer",
                "security-token",
                "x-oss-traffic-limit",
            ]);
        is_common
            || match (is_bucket, is_read) {
                (true, true) => is_in(&LISTING) || (writes && name == "uploads"),
                (true, false) => name == "delete",
                (false, true) => is_in(&READING) || (writes && is_in(&READ_BY_WRITERS)),
                (false, false) => is_in(&WRITING),
            }
    };
    let mut deletes_many = false;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = percent_decode_str(name).decode_utf8_lossy();
        deletes_many |= name == "delete";
        // An unknown name may be a setting that is newer than these lists, so it is refused where a
        // setting could be meant. Pages add names of their own to URLs that are only read: to objects with
        // or without a value (`/logo.png?2026`), to a website's root with a value.
        let is_unknown = || match (is_bucket, is_read) {
            (true, false) => true,
            (true, true) | (false, false) => value.is_empty(),
            (false, true) => false,
        };
        let is_setting = is_subresource(name.as_bytes())
            || SETTINGS.contains(&&*name)
            || (is_unknown() && !is_plain(&name) && !is_of_signature(&name));
        if is_setting && !is_known(&name) {
            return Err(Refused::SubResource(name));
        }
    }
    let is_allowed = is_read
        || (writes
            && match (is_bucket, method) {
                // A form upload, or the deletion of several objects.
                (true, &http::Method::POST) => query.is_empty() || deletes_many,
                (true, _) => false,
                (false, method) => {
                    method == http::Method::PUT
                        || method == http::Method::POST
                        || method == http::Method::DELETE
                }
            });
    if !is_allowed {
        return Err(Refused::Method);
    }
    if !is_read && let Some(field) = ACL_FIELDS.iter().find(|name| headers.contains_key(**name)) {
        return Err(Refused::Header(field));
    }
    Ok(())
}

/// Whether a query name is part of a signature (V1, V4 or S3).
fn is_of_signature(name: &str) -> bool {
    [
        "Expires",
        "OSSAccessKeyId",
        "Signature",
        "x-oss-additional-headers",
        "x-oss-credential",
        "x-oss-date",
        "x-oss-expires",
        "x-oss-security-token",
        "x-oss-signature",
        "x-oss-signature-version",
    ]
    .contains(&name)
        || name.starts_with("X-Amz-")
}

/// Whether a query name is a parameter of a listing, whose value may be empty.
fn is_plain(name: &str) -> bool {
    [
        "delimiter",
        "encoding-type",
        "fetch-owner",
        "key-marker",
        "list-type",
        "marker",
        "max-keys",
        "prefix",
        "start-after",
        "upload-id-marker",
        "version-id-marker",
        // The S3 SDKs send the name of the operation.
        "x-id",
    ]
    .contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oss::addressing::split_query;
    use http::Method;

    #[test]
    fn a_preset_allows_its_operations_only() {
        // Method, key and query, allowed by data-plane, allowed by read-only.
        for (method, key, data, read) in [
            ("GET", Some("k"), true, true),
            ("HEAD", Some("k?x-oss-process=image/resize,w_1"), true, true),
            (
                "GET",
                Some("k?versionId=1&response-expires=x&v=2&plain"),
                true,
                true,
            ),
            (
                "GET",
                Some("?prefix=&delimiter=/&max-keys=3&list-type=2"),
                true,
                true,
            ),
            ("GET", Some(""), true, true),
            ("GET", Some("?uploads"), true, false),
            ("GET", Some("k?tagging"), true, false),
            ("PUT", Some("k"), true, false),
            ("POST", Some("k?append&position=0"), true, false),
            ("POST", Some("k?uploads"), true, false),
            ("PUT", Some("k?partNumber=1&uploadId=2"), true, false),
            ("DELETE", Some("k"), true, false),
            ("POST", Some("?delete"), true, false),
            ("POST", Some(""), true, false),
            ("PUT", Some("k?acl"), false, false),
            ("GET", Some("k?acl"), false, false),
            ("GET", Some("k?a%63l"), false, false),
            ("GET", Some("?acl"), false, false),
            ("GET", Some("?policy"), false, false),
            ("PUT", Some("?lifecycle"), false, false),
            ("GET", Some("?someNewSetting"), false, false),
            ("GET", Some("?policyStatus=1"), false, false),
            ("GET", Some("?%70olicyStatus=1"), false, false),
            ("GET", Some("?utm_source=a"), true, true),
            ("GET", Some("k?2026"), true, true),
            ("GET", Some("k?retention"), false, false),
            ("PUT", Some("k?retention"), false, false),
            ("PUT", Some("k?legalHold=x"), false, false),
            ("POST", Some("k?cleanRestoredObject"), false, false),
            ("PUT", Some("k?someNewSetting"), false, false),
            (
                "PUT",
                Some("k?OSSAccessKeyId=a&Expires=1&Signature=b"),
                true,
                false,
            ),
            ("POST", Some("k?seal&position=5"), true, false),
            (
                "POST",
                Some("?delete&metadataConfiguration=1"),
                false,
                false,
            ),
            ("POST", Some("?delete&someNewSetting=1"), false, false),
            ("POST", Some("?delete&encoding-type=url"), true, false),
            ("PUT", Some(""), false, false),
            ("DELETE", Some(""), false, false),
            ("DELETE", Some("?delete"), false, false),
            ("POST", Some("?metaQuery"), false, false),
            ("GET", None, false, false),
            ("PATCH", Some("k"), false, false),
            ("OPTIONS", Some("k"), true, true),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let none = HeaderMap::new();
            let (level, query) = match key.map(split_query) {
                None => (Level::Service, None),
                Some(("", query)) => (Level::Bucket, query),
                Some((_, query)) => (Level::Object, query),
            };
            let query = query.unwrap_or_default();
            let is = |preset| check(preset, &method, level, query, &none).is_ok();
            assert_eq!(is(Preset::DataPlane), data, "data-plane {method} {key:?}");
            assert_eq!(is(Preset::ReadOnly), read, "read-only {method} {key:?}");
            assert!(is(Preset::Full));
        }
    }

    #[test]
    fn an_upload_must_not_set_an_acl() {
        let mut headers = HeaderMap::new();
        headers.insert("x-oss-object-acl", "public-read".parse().unwrap());
        let is = |method, preset| check(preset, &method, Level::Object, "", &headers);
        let refused = Err(Refused::Header("x-oss-object-acl"));
        assert_eq!(is(Method::PUT, Preset::DataPlane), refused);
        assert_eq!(
            is(Method::POST, Preset::DataPlane),
            Err(Refused::Header("x-oss-object-acl"))
        );
        assert_eq!(is(Method::PUT, Preset::Full), Ok(()));
        // The field has no effect on a read.
        assert_eq!(is(Method::GET, Preset::ReadOnly), Ok(()));
    }
}
