//! Lists of query names: the names that each kind of operation may have, and the names that never select an
//! operation.

/// The query names that are allowed when an object is read.
pub(super) const READING: [&str; 7] = [
    "objectMeta",
    "symlink",
    "versionId",
    "x-oss-process",
    "x-oss-traffic-limit",
    "x-oss-request-payer",
    "security-token",
];
/// The query names that are allowed in a listing.
pub(super) const LISTING: [&str; 2] = ["continuation-token", "versions"];
/// The query names that are allowed when an object is written.
pub(super) const WRITING: [&str; 16] = [
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
/// The names in `WRITING` that are also allowed when an object is read, but only if the preset allows
/// writing.
pub(super) const READ_BY_WRITERS: [&str; 3] = ["tagging", "uploadId", "uploads"];

/// Whether a query name is part of a signature (V1, V4 or S3).
pub(super) fn is_of_signature(name: &str) -> bool {
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

/// Whether a query name is a harmless parameter, which may have an empty value. Nearly all are parameters of
/// listings.
pub(super) fn is_plain(name: &str) -> bool {
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
        // The S3 SDKs send the name of the operation under this query name.
        "x-id",
    ]
    .contains(&name)
}

/// The query names that are allowed in any operation, whatever the preset.
const COMMON: [&str; 3] = [
    "x-oss-request-payer",
    "security-token",
    "x-oss-traffic-limit",
];

/// Whether the query name is allowed in any operation.
pub(super) fn is_common(name: &str) -> bool {
    name.starts_with("response-") || COMMON.contains(&name)
}

/// Whether a query name only qualifies an operation that another name selects: the version of an object, or
/// the position at which a listing continues.
pub(super) fn is_qualifier(name: &str) -> bool {
    ["continuation-token", "versionId"].contains(&name)
}
