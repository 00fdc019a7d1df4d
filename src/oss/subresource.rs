//! Query names that OSS's V1 signature covers, and how to tell a signed request.

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Names covered by a V1 signature, sorted by their bytes.
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
pub fn is_subresource(name: &[u8]) -> bool {
    SUBRESOURCES
        .binary_search_by(|known| known.as_bytes().cmp(name))
        .is_ok()
}

/// Whether a request brings a signature of its own, in a header or in its query.
#[must_use]
pub fn is_signed(headers: &HeaderMap, raw_query: Option<&str>) -> bool {
    let by_header = headers.get(AUTHORIZATION).is_some_and(|value| {
        ["OSS ", "OSS2 ", "OSS4-HMAC-SHA256", "AWS"]
            .iter()
            .any(|scheme| value.as_bytes().starts_with(scheme.as_bytes()))
    });
    let names = || {
        raw_query
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split('=').next())
    };
    let has = |wanted: &str| names().any(|name| name == wanted);
    by_header
        || (has("Signature") && has("OSSAccessKeyId"))
        || has("x-oss-signature-version")
        || has("x-oss-signature")
        || has("X-Amz-Signature")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(SUBRESOURCES.is_sorted());
    }

    #[test]
    fn signed_requests_are_told_from_anonymous_ones() {
        let none = HeaderMap::new();
        assert!(is_signed(
            &none,
            Some("OSSAccessKeyId=a&Expires=1&Signature=b")
        ));
        assert!(is_signed(
            &none,
            Some("x-oss-signature-version=OSS4-HMAC-SHA256")
        ));
        assert!(!is_signed(&none, Some("Signature=b")));
        assert!(!is_signed(&none, None));
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, http::HeaderValue::from_static("OSS a:b"));
        assert!(is_signed(&headers, None));
        headers.insert(AUTHORIZATION, http::HeaderValue::from_static("Basic a"));
        assert!(!is_signed(&headers, None));
    }
}
