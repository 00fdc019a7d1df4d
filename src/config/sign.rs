//! `[route.sign]`: which requests ossgate signs with the credentials of the route's origin.

use http::Method;
use serde::{Serialize, Serializer};

use crate::config::origin::Origin;
use crate::config::reader::Reader;

/// The version of the signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SignVersion {
    /// HMAC-SHA256, with a key for one day and one region.
    V4,
    /// HMAC-SHA1, for endpoints that do not support V4.
    V1,
}

/// `[route.sign]`. A route whose origin has credentials has these settings even without the table.
///
/// **Defaults**: unsigned GET and HEAD requests are signed with V4, for the region of the endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct Sign {
    /// The methods of the unsigned requests that ossgate signs: GET and HEAD, one of them, or none. Unsigned
    /// requests with another method are refused. Default: GET and HEAD.
    #[serde(serialize_with = "serialize_methods")]
    pub anonymous: Vec<Method>,
    /// The version of the signatures. Default V4.
    pub version: SignVersion,
    /// The region of the bucket. Default: the region of the endpoint, or of the first fallback endpoint whose
    /// region is known. Empty only for V1, whose signatures name no region.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
}

fn serialize_methods<S: Serializer>(methods: &[Method], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(methods.iter().map(Method::as_str))
}

fn parse_method(text: &str) -> Result<Method, &'static str> {
    match text {
        "GET" => Ok(Method::GET),
        "HEAD" => Ok(Method::HEAD),
        _ => {
            Err("is neither `GET` nor `HEAD`: only reads are signed for clients that did not sign")
        }
    }
}

impl Sign {
    /// Reads the table `sign` of a `[[route]]` with this origin. Returns `None` when the origin has no
    /// credentials.
    pub(crate) fn read(route: &Reader<'_>, origin: &Origin) -> Option<Self> {
        if origin.credentials.is_none() {
            if route.has("sign") {
                let hint = "add `credentials = { source = \"ecs-ram-role\" }` to `origin`, or remove `sign`";
                route.error("sign", "needs `origin.credentials`", Some(hint));
            }
            return None;
        }
        let reader = route.table("sign");
        let anonymous = if reader.has("anonymous") {
            let parsed = reader.parsed("anonymous", parse_method);
            parsed.into_iter().map(|(method, _)| method).collect()
        } else {
            vec![Method::GET, Method::HEAD]
        };
        let words = [("v4", SignVersion::V4), ("v1", SignVersion::V1)];
        let version = reader.word("version", &words).unwrap_or(SignVersion::V4);
        let written = reader.text("region");
        if let Some(text) = &written {
            let is_allowed =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if text.value.is_empty() || !text.value.bytes().all(is_allowed) {
                reader.error_at(
                    "region",
                    text,
                    "is not a region id, such as `cn-hangzhou`",
                    None,
                );
            } else if version == SignVersion::V1 {
                let message = "has no effect with `version = \"v1\"`";
                reader.error("region", message, Some("remove one of the two"));
            }
        }
        let mut endpoints = std::iter::once(&origin.endpoint).chain(&origin.fallback);
        let known = || endpoints.find_map(|endpoint| endpoint.region.clone());
        let region = match version {
            SignVersion::V1 => String::new(),
            SignVersion::V4 => written
                .map(|text| text.value)
                .or_else(known)
                .unwrap_or_default(),
        };
        if version == SignVersion::V4 && region.is_empty() && !reader.has("region") {
            let message = "is missing: V4 signatures name the region of the bucket, and the endpoint does not";
            let hint = "add `sign = { region = \"cn-hangzhou\" }` to the route";
            let place = if route.has("sign") { &reader } else { route };
            let key = if route.has("sign") { "region" } else { "sign" };
            place.error(key, message, Some(hint));
        }
        Some(Self {
            anonymous,
            version,
            region,
        })
    }
}
