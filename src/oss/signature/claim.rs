//! Decides whether a request is signed, in the same way as OSS. Nothing is verified.
//!
//! A request with a malformed, expired or wrong signature counts as signed: OSS responds to it with an
//! error and never treats it as anonymous. An `Authorization` with a scheme that OSS does not support is
//! not a signature. Schemes and query names are compared with case, because OSS defines them with case
//! and every SDK writes them so.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;

/// The schemes of `Authorization` that OSS supports: its own V1, V2 and V4, and the schemes of S3.
const SCHEMES: [&[u8]; 5] = [
    b"OSS",
    b"OSS2",
    b"OSS4-HMAC-SHA256",
    b"AWS",
    b"AWS4-HMAC-SHA256",
];

/// The query names of V4, V2 and S3 V4 signatures. Each of them alone marks a request as signed. OSS
/// responds to an incomplete set with an error.
const MARKS: [&str; 5] = [
    "x-oss-signature",
    "x-oss-signature-version",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
];

/// The part of a request that carries its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedIn {
    /// The header field `Authorization`.
    Header,
    /// The query, in a presigned URL.
    Query,
}

/// Returns the part of a request that carries its signature; `None` for an anonymous request. `raw_query` is
/// the query as received.
#[must_use]
pub fn signed_in(headers: &HeaderMap, raw_query: Option<&str>) -> Option<SignedIn> {
    if is_signed_in_header(headers) {
        return Some(SignedIn::Header);
    }
    raw_query
        .is_some_and(is_signed_in_query)
        .then_some(SignedIn::Query)
}

/// Whether `Authorization` has a signature. If there are several fields, each must have one: it is not
/// documented which of them OSS reads, and a signature that OSS ignores must not exempt a request from a rule.
#[must_use]
pub fn is_signed_in_header(headers: &HeaderMap) -> bool {
    let mut fields = headers.get_all(AUTHORIZATION).iter().peekable();
    fields.peek().is_some() && fields.all(|field| has_known_scheme(field.as_bytes()))
}

/// Whether a field value begins with a scheme that OSS supports, a space, and at least one more byte.
fn has_known_scheme(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let end = value.iter().position(|byte| *byte == b' ');
    end.and_then(|end| value.get(..end))
        .is_some_and(|scheme| SCHEMES.contains(&scheme))
}

fn is_signed_in_query(raw_query: &str) -> bool {
    let (mut has_key_id, mut has_signature) = (false, false);
    for pair in raw_query.split('&') {
        let name = pair.split('=').next().unwrap_or_default();
        // OSS decodes names, so `Signat%75re` is also a signature.
        let is = |wanted: &str| percent_decode_str(name).eq(wanted.bytes());
        if MARKS.iter().any(|mark| is(mark)) {
            return true;
        }
        has_key_id |= is("OSSAccessKeyId") || is("AWSAccessKeyId");
        has_signature |= is("Signature");
    }
    has_key_id && has_signature
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_query_is_signed_when_oss_reads_a_signature_in_it() {
        for (query, expected) in [
            ("OSSAccessKeyId=a&Expires=1&Signature=b", true),
            ("OSSAccessKeyId=a&Signature=b", true),
            ("OSSAccessKeyId&Signature", true),
            ("AWSAccessKeyId=a&Expires=1&Signature=b", true),
            ("OSSAccessKeyId=a&Signat%75re=b", true),
            ("%4fSSAccessKeyId=a&Signature=b", true),
            ("Signature=b", false),
            ("OSSAccessKeyId=a", false),
            ("AWSAccessKeyId=a", false),
            ("signature=b&ossaccesskeyid=a", false),
            ("x-oss-signature-version=OSS4-HMAC-SHA256", true),
            ("x-oss-signature=b", true),
            ("x%2Doss-signature=b", true),
            ("x%252Doss-signature=b", false),
            ("X-Oss-Signature=b", false),
            ("x-oss-signatur", false),
            ("x-oss-credential=b", false),
            ("a=b&X-Amz-Credential=c", true),
            ("X-Amz-Algorithm=AWS4-HMAC-SHA256", true),
            ("X-Amz-Signature=c", true),
            ("%58-Amz-Signature=c", true),
            ("x-amz-signature=c", false),
            ("X-Amz-Date=c", false),
            ("X-Amz-", false),
            ("a=x-oss-signature", false),
            ("prefix=a", false),
            ("", false),
        ] {
            let expected = expected.then_some(SignedIn::Query);
            let none = HeaderMap::new();
            assert_eq!(signed_in(&none, Some(query)), expected, "{query}");
        }
        assert_eq!(signed_in(&HeaderMap::new(), None), None);
    }

    #[test]
    fn a_header_is_signed_by_a_scheme_of_oss() {
        for (values, expected) in [
            (&["OSS a:b"][..], true),
            (&["OSS  a:b"], true),
            (&["OSS a"], true),
            (&["OSS2 a"], true),
            (&["OSS4-HMAC-SHA256 Credential=a"], true),
            (&["AWS a:b"], true),
            (&["AWS4-HMAC-SHA256 Credential=a"], true),
            (&["  OSS a:b  "], true),
            (&["OSS a:b", "OSS a:b"], true),
            (&[""], false),
            (&[" "], false),
            (&["OSS"], false),
            (&["OSS "], false),
            (&["OSS\ta:b"], false),
            (&["oss a:b"], false),
            (&["Oss4-Hmac-Sha256 Credential=a"], false),
            (&["OSSIFY a"], false),
            (&["OSS4-HMAC-SHA256,Credential=a"], false),
            (&["AWS3 a"], false),
            (&["aws4-hmac-sha256 Credential=a"], false),
            (&["Basic OSS a:b"], false),
            (&["Bearer a"], false),
            (&["OSS a:b", "Basic a"], false),
            (&["Basic a", "OSS a:b"], false),
            (&["", "OSS a:b"], false),
            (&[], false),
        ] {
            let fields = values
                .iter()
                .map(|value| (AUTHORIZATION, HeaderValue::from_static(value)));
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(name, value);
            }
            assert_eq!(is_signed_in_header(&headers), expected, "{values:?}");
            let place = expected.then_some(SignedIn::Header);
            assert_eq!(signed_in(&headers, None), place, "{values:?}");
            let place = place.or(Some(SignedIn::Query));
            let query = Some("x-oss-signature=a");
            assert_eq!(signed_in(&headers, query), place, "{values:?}");
        }
    }
}
