//! Query names that select an operation or change its effect.

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

/// Query names of settings that a V1 signature does not cover, as the official SDKs write them.
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
/// Whether a V1 signature covers the query name `name`.
#[must_use]
pub fn is_subresource(name: impl AsRef<[u8]>) -> bool {
    SUBRESOURCES
        .binary_search_by(|known| known.as_bytes().cmp(name.as_ref()))
        .is_ok()
}

/// Whether the query name `name` is a setting that a V1 signature does not cover.
#[must_use]
pub fn is_setting(name: impl AsRef<[u8]>) -> bool {
    let name = name.as_ref();
    SETTINGS.iter().any(|known| known.as_bytes() == name)
}

/// Returns every known query name that selects or changes an operation.
pub fn known() -> impl Iterator<Item = &'static str> {
    SUBRESOURCES.into_iter().chain(SETTINGS)
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
}
