//! The header fields that a client has chosen for its signature. Every signature also covers some fixed fields,
//! which depend on its version.
//!
//! The client lists the chosen fields in `AdditionalHeaders` (OSS V2 and V4) or `SignedHeaders` (S3 V4). OSS V1
//! and S3 V2 have no such list. Signatures are not verified here.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;

use super::claim::{SignedIn, signed_in};

/// Calls `each` with every field name that the signature of a request lists. The signature is in the header or
/// in the query. A name may have any letter case, may be invalid and may be repeated. An unsigned request lists
/// no names.
pub fn for_each_listed_field(
    headers: &HeaderMap,
    raw_query: Option<&str>,
    mut each: impl FnMut(&str),
) {
    let mut split = |names: &str| names.split(';').map(str::trim).for_each(&mut each);
    match signed_in(headers, raw_query) {
        None => {}
        Some(SignedIn::Header) => {
            for value in headers.get_all(AUTHORIZATION) {
                // A value that is not text is not a signature.
                let value = value.to_str().unwrap_or_default().trim_start();
                let list = match value.split_once(' ') {
                    Some(("OSS4-HMAC-SHA256" | "OSS2", _)) => "AdditionalHeaders",
                    Some(("AWS4-HMAC-SHA256", _)) => "SignedHeaders",
                    Some(_) | None => continue,
                };
                let (_, fields) = value.split_once(' ').unwrap_or_default();
                for field in fields.split(',') {
                    // `OSS2` separates name and value with a colon.
                    match field.split_once(['=', ':']) {
                        Some((name, names)) if name.trim() == list => split(names),
                        Some(_) | None => {}
                    }
                }
            }
        }
        Some(SignedIn::Query) => {
            let pairs = || {
                let pairs = raw_query.unwrap_or_default().split('&');
                pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            };
            // OSS decodes the names before it compares them.
            let is = |name: &str, wanted: &str| percent_decode_str(name).eq(wanted.bytes());
            let has = |wanted: &str| pairs().any(|(name, _)| is(name, wanted));
            // A V1 signature does not cover the parameters with these lists. So anybody who has a URL with a
            // V1 signature could add a list, and therefore lists in such a URL are ignored.
            if has("Signature") && has("OSSAccessKeyId") {
                return;
            }
            for (list, signature) in [
                ("x-oss-additional-headers", "x-oss-signature"),
                ("X-Amz-SignedHeaders", "X-Amz-Signature"),
            ] {
                for (_, names) in pairs().filter(|(name, _)| is(name, list)) {
                    if has(signature) {
                        split(&percent_decode_str(names).decode_utf8_lossy());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn listed(authorization: &[&str], query: Option<&str>) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        let mut names = Vec::new();
        for_each_listed_field(&headers, query, |name| names.push(name.to_owned()));
        names
    }

    #[test]
    fn the_lists_of_all_signatures_in_the_header_are_read() {
        for (values, expected) in [
            (
                &["OSS4-HMAC-SHA256 Credential=a,AdditionalHeaders=host;User-Agent,Signature=0"][..],
                &["host", "User-Agent"][..],
            ),
            (
                &[
                    "  OSS4-HMAC-SHA256 Credential=a, AdditionalHeaders = referer ; x-a , Signature=0",
                ],
                &["referer", "x-a"],
            ),
            (
                &["OSS2 AccessKeyId:a,AdditionalHeaders:range,Signature:0"],
                &["range"],
            ),
            (
                &["AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host;user-agent, Signature=0"],
                &["host", "user-agent"],
            ),
            (
                &[
                    "OSS4-HMAC-SHA256 AdditionalHeaders=a",
                    "OSS4-HMAC-SHA256 AdditionalHeaders=b",
                ],
                &["a", "b"],
            ),
            (&["AWS4-HMAC-SHA256 AdditionalHeaders=a"], &[]),
            (&["OSS4-HMAC-SHA256 SignedHeaders=a"], &[]),
            (&["OSS a:b"], &[]),
            (&["AWS a:b"], &[]),
            (&["Basic AdditionalHeaders=a"], &[]),
            (&["OSS4-HMAC-SHA256 AdditionalHeaders=a", "Basic b"], &[]),
            (&[], &[]),
        ] {
            assert_eq!(listed(values, None), expected, "{values:?}");
        }
    }

    #[test]
    fn the_lists_in_the_query_are_decoded() {
        for (query, expected) in [
            (
                "x-oss-signature=0&x-oss-additional-headers=host%3BUser-Agent",
                &["host", "User-Agent"][..],
            ),
            (
                "x%2Doss-additional-headers=%72eferer&x-oss-signature=0",
                &["referer"],
            ),
            (
                "X-Amz-Signature=0&X-Amz-SignedHeaders=host%3buser-agent",
                &["host", "user-agent"],
            ),
            ("x-oss-signature=0&x-oss-additional-headers", &[""]),
            ("x-oss-signature=0", &[]),
            // A list is ignored beside a V1 signature, because anybody can add it to the URL. A list is also
            // ignored if it belongs to another kind of signature.
            (
                "Signature=1&OSSAccessKeyId=2&x-oss-additional-headers=x&x-oss-signature=3",
                &[],
            ),
            ("x-oss-signature=0&X-Amz-SignedHeaders=x", &[]),
            // Without a signature the lists have no effect.
            ("x-oss-additional-headers=referer", &[]),
            ("X-Amz-SignedHeaders=referer", &[]),
        ] {
            assert_eq!(listed(&[], Some(query)), expected, "{query}");
        }
        // If the header has a signature, OSS does not read the signature in the query.
        let query = "x-oss-signature=0&x-oss-additional-headers=referer";
        assert_eq!(listed(&["OSS a:b"], Some(query)), [""; 0]);
    }
}
