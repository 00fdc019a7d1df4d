//! Query names that OSS's V1 signature covers, and whether a request is signed.
//!
//! Signatures are not verified here. A request with a malformed, expired or wrong signature is signed.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;

/// The prefix of the query names in S3 signatures.
const AMZ: &str = "X-Amz-";

/// Query names that a V1 signature covers, sorted by their bytes.
const SUBRESOURCES: [&str; 88] = [
    "accessPoint",
    "accessPointPolicy",
    "acl",
    "append",
    "asyncFetch",
    "bucketArchiveDirectRead",
    "bucketInfo",
    "callback",
    "callback-var",
    "cloudboxes",
    "cname",
    "comp",
    "continuation-token",
    "cors",
    "delete",
    "encryption",
    "endTime",
    "group",
    "httpsConfig",
    "img",
    "inventory",
    "inventoryId",
    "lifecycle",
    "link",
    "live",
    "location",
    "logging",
    "metaQuery",
    "objectInfo",
    "objectMeta",
    "partNumber",
    "policy",
    "position",
    "publicAccessBlock",
    "qos",
    "qosInfo",
    "qosRequester",
    "redundancyTransition",
    "referer",
    "regionList",
    "replication",
    "replicationLocation",
    "replicationProgress",
    "requestPayment",
    "requesterQosInfo",
    "resourceGroup",
    "resourcePool",
    "resourcePoolBuckets",
    "resourcePoolInfo",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "security-token",
    "sequential",
    "startTime",
    "stat",
    "status",
    "style",
    "styleName",
    "symlink",
    "tagging",
    "transferAcceleration",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "vod",
    "website",
    "worm",
    "wormExtend",
    "wormId",
    "x-oss-ac-forward-allow",
    "x-oss-ac-source-ip",
    "x-oss-ac-subnet-mask",
    "x-oss-ac-vpc-id",
    "x-oss-access-point-name",
    "x-oss-async-process",
    "x-oss-process",
    "x-oss-redundancy-transition-taskid",
    "x-oss-request-payer",
    "x-oss-target-redundancy-type",
    "x-oss-traffic-limit",
    "x-oss-write-get-object-response",
];

/// Whether a V1 signature covers the query name `name`.
#[must_use]
pub fn is_subresource(name: impl AsRef<[u8]>) -> bool {
    SUBRESOURCES
        .binary_search_by(|known| known.as_bytes().cmp(name.as_ref()))
        .is_ok()
}

/// Whether a request is signed, in a header field or in its query.
#[must_use]
pub fn is_signed(headers: &HeaderMap, raw_query: Option<&str>) -> bool {
    let by_header = headers.get(AUTHORIZATION).is_some_and(|value| {
        ["OSS ", "OSS2 ", "OSS4-HMAC-SHA256", "AWS"]
            .iter()
            .any(|scheme| value.as_bytes().starts_with(scheme.as_bytes()))
    });
    let (mut has_key_id, mut has_signature) = (false, false);
    let mut is_by_query = false;
    for pair in raw_query.unwrap_or_default().split('&') {
        let name = pair.split('=').next().unwrap_or_default();
        // OSS decodes names, so `Signat%75re` is a signature as well.
        let is = |wanted: &str| percent_decode_str(name).eq(wanted.bytes());
        has_key_id |= is("OSSAccessKeyId");
        has_signature |= is("Signature");
        is_by_query |= is("x-oss-signature-version")
            || is("x-oss-signature")
            || percent_decode_str(name).take(AMZ.len()).eq(AMZ.bytes());
    }
    by_header || is_by_query || (has_key_id && has_signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(SUBRESOURCES.is_sorted());
    }

    #[test]
    fn names_are_compared_whole_and_with_case() {
        for (name, expected) in [
            ("acl", true),
            ("x-oss-write-get-object-response", true),
            ("ACL", false),
            ("acls", false),
            ("prefix", false),
            ("", false),
        ] {
            assert_eq!(is_subresource(name), expected, "{name}");
        }
    }

    #[test]
    fn signed_requests_are_distinguished_from_anonymous_ones() {
        for (query, expected) in [
            ("OSSAccessKeyId=a&Expires=1&Signature=b", true),
            ("OSSAccessKeyId=a&Signat%75re=b", true),
            ("Signature=b", false),
            ("OSSAccessKeyId=a", false),
            ("signature=b&ossaccesskeyid=a", false),
            ("x-oss-signature-version=OSS4-HMAC-SHA256", true),
            ("x-oss-signature=b", true),
            ("a=b&X-Amz-Credential=c", true),
            ("a=x-oss-signature", false),
            ("prefix=a", false),
            ("", false),
        ] {
            assert_eq!(
                is_signed(&HeaderMap::new(), Some(query)),
                expected,
                "{query}"
            );
        }
        assert!(!is_signed(&HeaderMap::new(), None));
        for (value, expected) in [
            ("OSS a:b", true),
            ("OSS2 a", true),
            ("OSS4-HMAC-SHA256 Credential=a", true),
            ("AWS4-HMAC-SHA256 Credential=a", true),
            ("Basic a", false),
            ("OSSIFY a", false),
        ] {
            let value_of_header = http::HeaderValue::from_static(value);
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value_of_header)]);
            assert_eq!(is_signed(&headers, None), expected, "{value}");
        }
    }
}
