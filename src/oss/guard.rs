//! Decides whether a preset allows the OSS operation of a request.
//!
//! An operation is identified by its method, its level (service, bucket, object) and the sub-resources in
//! the query. An operation that is not known to read, list or write objects counts as administration.

mod names;
mod operation;

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use percent_encoding::percent_decode_str;

use self::names::{
    LISTING, READ_BY_WRITERS, READING, WRITING, is_common, is_of_signature, is_plain, is_qualifier,
};
pub use self::operation::{InvalidOperation, Operation};
use crate::oss::addressing::Level;
use crate::oss::subresource::{is_setting, is_subresource};

/// A set of allowed operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// All operations.
    Full,
    /// Operations that read, list, write and delete objects. Operations on ACLs, policies and settings
    /// are not allowed, and neither is the creation, deletion or listing of buckets.
    DataPlane,
    /// Operations that read and list objects.
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

/// The reason why a preset refuses a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused<'q> {
    /// The request names no bucket. Such requests list the buckets or change settings of the account.
    NoBucket,
    /// No allowed operation has this method at this level.
    Method,
    /// No allowed operation with this method has this sub-resource.
    SubResource(Cow<'q, str>),
    /// The operation is allowed, but not with this header field, because the field sets an ACL.
    Header(&'static str),
}

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBucket => f.write_str("it names no bucket"),
            Self::Method => f.write_str("its method"),
            Self::SubResource(name) => write!(f, "`?{name}`"),
            Self::Header(name) => write!(f, "`{name}`"),
        }
    }
}

/// The header fields that set the ACL of a written object (PutObject, CopyObject, AppendObject,
/// InitiateMultipartUpload, PutSymlink). A form upload has the ACL in its body, which the proxy does not
/// read.
const ACL_FIELDS: [&str; 3] = ["x-oss-object-acl", "x-oss-acl", "x-amz-acl"];

fn is_acl_field(name: &str) -> bool {
    ACL_FIELDS
        .iter()
        .any(|field| field.eq_ignore_ascii_case(name))
}

/// Checks a request against `preset`. `level` is the kind of resource of the request, and `query` is its
/// query without the `?`.
///
/// # Errors
///
/// [`Refused`]: the part of the request that the preset does not allow. Every variant can occur.
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
        Level::Service => return Err(Refused::NoBucket),
        Level::Bucket => true,
        Level::Object => false,
    };
    let is_read = method == http::Method::GET || method == http::Method::HEAD;
    let writes = preset == Preset::DataPlane;
    let is_known = |name: &str| {
        let is_in = |list: &[&str]| list.contains(&name);
        is_common(name)
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
        // Presigned URLs can have header fields as query parameters. No document says that OSS reads the ACL
        // from one, and none says that it does not.
        if !is_read && is_acl_field(&name) {
            return Err(Refused::SubResource(name));
        }
        // An unknown name may be a setting that is newer than these lists, so it is refused if it could be a
        // setting. Web pages add their own query names to URLs of GET requests, such as `/logo.png?2026`. So
        // a read of an object may have any unknown name. A read of a bucket may be for the root of a website,
        // so it may have an unknown name with a value. A write of an object may also have one with a value. A
        // write to a bucket may have none.
        let is_unknown = || match (is_bucket, is_read) {
            (true, false) => true,
            (true, true) | (false, false) => value.is_empty(),
            (false, true) => false,
        };
        let is_setting = is_subresource(name.as_bytes())
            || is_setting(name.as_bytes())
            || (is_unknown() && !is_plain(&name) && !is_of_signature(&name));
        if is_setting && !is_known(&name) {
            return Err(Refused::SubResource(name));
        }
    }
    let is_allowed = is_read
        || (writes
            && match (is_bucket, method) {
                // A POST to a bucket is a form upload or the deletion of several objects.
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

/// Returns the index of a request's operation in `allow`. `query` is the query of the request. The request
/// must be for a bucket or an object. Returns `None` when `allow` does not contain the operation.
///
/// If the query selects several operations, it is not documented which of them OSS carries out. So every
/// query name that is not known to be harmless counts as part of the operation. A header field that sets an
/// ACL is accepted only if the operation itself sets an ACL.
#[must_use]
pub fn find_allowed(
    allow: &[Operation],
    method: &http::Method,
    query: &str,
    headers: &HeaderMap,
) -> Option<usize> {
    let names = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            percent_decode_str(name).decode_utf8_lossy()
        });
    let is_harmless = |name: &str| {
        !is_acl_field(name)
            && (is_common(name) || is_qualifier(name) || is_plain(name) || is_of_signature(name))
    };
    let selecting: Vec<Cow<'_, str>> = names.filter(|name| !is_harmless(name)).collect();
    let has_acl = ACL_FIELDS.iter().any(|name| headers.contains_key(*name));
    let is_it = |operation: &Operation| {
        operation.is(method, &selecting) && (!has_acl || operation.sets_acl())
    };
    allow.iter().position(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oss::addressing::split_query;
    use http::Method;

    #[test]
    fn a_preset_allows_its_operations_only() {
        // Each case: method, key and query, allowed by data-plane, allowed by read-only.
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
            ("PUT", Some("k?x-oss-object-acl=public-read"), false, false),
            ("PUT", Some("k?X-Oss-Object-%41cl=private"), false, false),
            (
                "POST",
                Some("k?uploads&x-amz-acl=public-read"),
                false,
                false,
            ),
            ("GET", Some("k?x-oss-object-acl=public-read"), true, true),
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
        // A header field that sets an ACL has no effect on a read.
        assert_eq!(is(Method::GET, Preset::ReadOnly), Ok(()));
    }

    #[test]
    fn an_operation_is_allowed_by_its_method_and_all_of_its_names() {
        let allow = [
            "GET ?acl",
            "PUT ?acl",
            "POST ?metaQuery&comp",
            "PUT ?tagging",
        ]
        .map(|text| Operation::parse(text).unwrap());
        let find = |method: &str, query: &str, headers: &HeaderMap| {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            find_allowed(&allow, &method, query, headers)
        };
        let none = HeaderMap::new();
        for (method, query, expected) in [
            ("GET", "acl", Some(0)),
            ("GET", "acl=", Some(0)),
            ("GET", "acl=1", Some(0)),
            ("GET", "%61cl", Some(0)),
            ("GET", "a%63%6C=x", Some(0)),
            ("GET", "acl&acl", Some(0)),
            ("GET", "&acl&", Some(0)),
            ("GET", "versionId=1&acl", Some(0)),
            ("GET", "acl&x-oss-signature=a&X-Amz-Date=b", Some(0)),
            ("GET", "acl&response-content-type=a", Some(0)),
            ("GET", "acl&x-id=GetBucketAcl", Some(0)),
            ("PUT", "acl", Some(1)),
            ("POST", "comp=query&metaQuery", Some(2)),
            ("GET", "ACL", None),
            ("GET", "Acl", None),
            ("GET", "%41cl", None),
            ("GET", "%2561cl", None),
            ("GET", "acls", None),
            ("GET", "acl%00", None),
            ("GET", "acl;policy", None),
            ("GET", "acl%26policy", None),
            ("GET", "acl&policy", None),
            ("GET", "policy&acl", None),
            ("GET", "acl&someNewSetting", None),
            ("GET", "acl&uploadId=1", None),
            ("GET", "", None),
            ("GET", "prefix=acl", None),
            ("HEAD", "acl", None),
            ("DELETE", "acl", None),
            ("get", "acl", None),
            ("POST", "metaQuery", None),
            ("POST", "comp", None),
            ("PUT", "tagging", Some(3)),
            ("PUT", "tagging&uploadId=1&partNumber=1", None),
        ] {
            assert_eq!(find(method, query, &none), expected, "{method} {query}");
        }
        let mut acl = HeaderMap::new();
        acl.insert("x-oss-acl", "public-read".parse().unwrap());
        assert_eq!(find("PUT", "acl", &acl), Some(1));
        assert_eq!(find("PUT", "tagging", &acl), None);
        assert_eq!(find_allowed(&[], &Method::GET, "acl", &none), None);
    }
}
