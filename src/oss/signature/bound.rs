//! The host and the region to which a client's signature binds its request.
//!
//! V1 covers neither host nor region. V4 covers the region in its credential. It covers the host only if the
//! client lists `host` among the additional headers. S3 V4 signatures always cover the host. Signatures are
//! not verified here.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;

use super::claim::{SignedIn, signed_in};
use super::v4::credential;

/// The query names of an S3 V4 signature.
const S3_V4: [&str; 3] = ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"];

/// The host and the region that a signed request must keep, because its signature covers them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound<'a> {
    /// Whether the signature covers `Host`.
    pub has_host: bool,
    /// The region that the signature names, if any.
    pub region: Option<Cow<'a, str>>,
}

impl<'a> Bound<'a> {
    /// Reads the signature in the header or in the query of a request. An unsigned request is not bound.
    #[must_use]
    pub fn of(headers: &'a HeaderMap, raw_query: Option<&'a str>) -> Self {
        let mut bound = Self::default();
        match signed_in(headers, raw_query) {
            None => {}
            Some(SignedIn::Header) => {
                for value in headers.get_all(AUTHORIZATION) {
                    // A value that is not text is not a signature.
                    bound.read_header(value.to_str().unwrap_or_default().trim_start());
                }
            }
            Some(SignedIn::Query) => {
                for pair in raw_query.unwrap_or_default().split('&') {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    bound.read_parameter(name, value);
                }
            }
        }
        bound
    }

    fn read_header(&mut self, value: &'a str) {
        match value.split_once(' ') {
            Some(("OSS4-HMAC-SHA256" | "OSS2", fields)) => {
                for field in fields.split(',') {
                    // `OSS2` separates name and value with a colon.
                    let Some((name, value)) = field.split_once(['=', ':']) else {
                        continue;
                    };
                    match name.trim() {
                        "Credential" => self.read_credential(Cow::Borrowed(value.trim())),
                        "AdditionalHeaders" => self.read_names(value),
                        _ => {}
                    }
                }
            }
            Some(("AWS4-HMAC-SHA256", _)) => self.has_host = true,
            Some(_) | None => {}
        }
    }

    fn read_parameter(&mut self, name: &str, value: &'a str) {
        // OSS decodes the names before it compares them.
        let is = |wanted: &str| percent_decode_str(name).eq(wanted.bytes());
        if is("x-oss-additional-headers") {
            self.read_names(&percent_decode_str(value).decode_utf8_lossy());
        } else if is("x-oss-credential") {
            self.read_credential(percent_decode_str(value).decode_utf8_lossy());
        } else if S3_V4.iter().any(|wanted| is(wanted)) {
            self.has_host = true;
        }
    }

    fn read_names(&mut self, names: &str) {
        self.has_host |= names
            .split(';')
            .any(|name| name.trim().eq_ignore_ascii_case("host"));
    }

    fn read_credential(&mut self, value: Cow<'a, str>) {
        self.region = match value {
            Cow::Borrowed(value) => credential(value)
                .ok()
                .map(|(_, scope)| Cow::Borrowed(scope.region)),
            Cow::Owned(value) => credential(&value)
                .ok()
                .map(|(_, scope)| Cow::Owned(scope.region.to_owned())),
        };
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn hosts_and_regions_are_found_in_headers() {
        let v4 = "OSS4-HMAC-SHA256 Credential=id/20261125/cn-hangzhou/oss/aliyun_v4_request";
        for (value, has_host, region) in [
            ("OSS id:c2ln", false, None),
            (&*format!("{v4},Signature=00"), false, Some("cn-hangzhou")),
            (
                &*format!("{v4}, AdditionalHeaders=host;range, Signature=00"),
                true,
                Some("cn-hangzhou"),
            ),
            (
                &*format!("{v4},Signature=00,AdditionalHeaders=range;Host"),
                true,
                Some("cn-hangzhou"),
            ),
            ("OSS4-HMAC-SHA256 Credential=broken", false, None),
            (
                "OSS2 AccessKeyId:id,AdditionalHeaders:host,Signature:00",
                true,
                None,
            ),
            (
                &*format!("{v4}, AdditionalHeaders = range; HOST ,Signature=00"),
                true,
                Some("cn-hangzhou"),
            ),
            (
                &*format!("{v4},AdditionalHeaders=x-host;hosts,Signature=00"),
                false,
                Some("cn-hangzhou"),
            ),
            ("AWS4-HMAC-SHA256 Credential=a", true, None),
            ("AWS a:b", false, None),
            ("Basic AdditionalHeaders=host", false, None),
        ] {
            let headers =
                HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())]);
            let bound = Bound::of(&headers, None);
            assert_eq!(bound.has_host, has_host, "{value}");
            assert_eq!(bound.region.as_deref(), region, "{value}");
        }
    }

    #[test]
    fn hosts_and_regions_are_found_in_queries() {
        let credential = "x-oss-signature=0&x-oss-credential=id%2F20261125%2Fcn-hangzhou%2Foss%2Faliyun_v4_request";
        for (query, has_host, region) in [
            ("OSSAccessKeyId=a&Expires=1&Signature=b", false, None),
            (credential, false, Some("cn-hangzhou")),
            (
                "x-oss-additional-headers=range%3Bhost&x-oss-signature=0",
                true,
                None,
            ),
            (
                "x-oss-signature=0&x%2Doss-additional-headers=HOST",
                true,
                None,
            ),
            (
                "x-oss-signature=0&x-oss-additional-headers=%68ost",
                true,
                None,
            ),
            (
                "x-oss-signature=0&x-oss-additional-headers=range",
                false,
                None,
            ),
            ("X-Amz-Algorithm=AWS4-HMAC-SHA256", true, None),
            ("%58-Amz-Signature=a", true, None),
            ("AWSAccessKeyId=a&Signature=b", false, None),
            ("x-oss-additional-headers=host", false, None),
            ("X-Amz-SignedHeaders=host", false, None),
            ("host=host", false, None),
        ] {
            let headers = HeaderMap::new();
            let bound = Bound::of(&headers, Some(query));
            assert_eq!(bound.has_host, has_host, "{query}");
            assert_eq!(bound.region.as_deref(), region, "{query}");
        }
    }

    #[test]
    fn only_the_signature_that_counts_is_read() {
        let value = HeaderValue::from_static("OSS id:c2ln");
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        let query = "x-oss-signature=0&x-oss-additional-headers=host";
        assert!(!Bound::of(&headers, Some(query)).has_host);
        assert!(Bound::of(&HeaderMap::new(), Some(query)).has_host);
    }
}
