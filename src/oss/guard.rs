//! Which operations of OSS a request is, as far as letting it through is concerned.
//!
//! An operation is named by method, level (service, bucket, object) and the sub-resources in the
//! query. What is not known to move objects is taken for administration.

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::oss::addressing::split_query;
use crate::oss::subresource::is_subresource;

/// How much is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Everything.
    Full,
    /// Reading, listing, writing and deleting objects; no ACLs, policies or settings, no buckets.
    DataPlane,
    /// Reading and listing objects.
    ReadOnly,
}

impl Preset {
    /// As the config spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::DataPlane => "data-plane",
            Self::ReadOnly => "read-only",
        }
    }
}

/// Why a request is not let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused<'q> {
    /// The preset has nothing with this method at this level.
    Method,
    /// It has the method, but not with this sub-resource.
    SubResource(Cow<'q, str>),
    /// It has the operation, but not with this header field, which sets an ACL.
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

/// Names that change how an object is read, not what is done.
const READING: [&str; 7] = [
    "objectMeta",
    "symlink",
    "versionId",
    "x-oss-process",
    "x-oss-traffic-limit",
    "x-oss-request-payer",
    "security-token",
];
/// Names of listings.
const LISTING: [&str; 2] = ["continuation-token", "versions"];
/// Names of writing an object.
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
/// Settings that no V1 signature covers, as the official SDKs name them.
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
/// Of these, those that are read, too.
const READ_BY_WRITERS: [&str; 3] = ["tagging", "uploadId", "uploads"];

/// Header fields that give what is written an ACL (PutObject, CopyObject, AppendObject,
/// InitiateMultipartUpload, PutSymlink). A form has it in its body, which is not looked at.
const ACL_FIELDS: [&str; 3] = ["x-oss-object-acl", "x-oss-acl", "x-amz-acl"];

/// Whether `preset` lets a request through: `key` is the key with the query behind it, `None` for the
/// service itself.
///
/// # Errors
///
/// Why not.
pub fn check<'q>(
    preset: Preset,
    method: &http::Method,
    key: Option<&'q str>,
    headers: &HeaderMap,
) -> Result<(), Refused<'q>> {
    if preset == Preset::Full || method == http::Method::OPTIONS {
        return Ok(());
    }
    let key = key.ok_or(Refused::Method)?;
    let (key, query) = split_query(key);
    let query = query.unwrap_or_default();
    let is_bucket = key.is_empty();
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
        // A name that nobody knows could be a setting that is newer than these lists. People put names
        // of their own behind what they read, bare ones behind objects (`/logo.png?2026`), others
        // behind a website's root, too.
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
                // A form, or the deletion of several objects.
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

/// Names that carry a signature (V1, V4, S3's).
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

/// Names a listing takes that may be empty.
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
        // S3's SDKs name the operation.
        "x-id",
    ]
    .contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    #[test]
    fn presets_let_through_what_they_say() {
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
            let is = |preset| check(preset, &method, key, &none).is_ok();
            assert_eq!(is(Preset::DataPlane), data, "data-plane {method} {key:?}");
            assert_eq!(is(Preset::ReadOnly), read, "read-only {method} {key:?}");
            assert!(is(Preset::Full));
        }
    }
    #[test]
    fn an_upload_sets_no_acl_of_its_own() {
        let mut headers = HeaderMap::new();
        headers.insert("x-oss-object-acl", "public-read".parse().unwrap());
        let is = |method, preset| check(preset, &method, Some("k"), &headers);
        let refused = Err(Refused::Header("x-oss-object-acl"));
        assert_eq!(is(Method::PUT, Preset::DataPlane), refused);
        assert_eq!(
            is(Method::POST, Preset::DataPlane),
            Err(Refused::Header("x-oss-object-acl"))
        );
        assert_eq!(is(Method::PUT, Preset::Full), Ok(()));
        // Of no meaning there.
        assert_eq!(is(Method::GET, Preset::ReadOnly), Ok(()));
    }
}
