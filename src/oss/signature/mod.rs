//! OSS's own signatures, V1 and V4, in the header and in the query.
//!
//! The canonical forms are public, so that whoever signs and whoever verifies uses the same ones.
//! Clock and keys are arguments. Header values and keys are bytes: old clients sign raw UTF-8 and
//! worse. S3-style signatures are not read here.

mod bound;
mod v1;
mod v4;

use std::fmt;

use aws_lc_rs::hmac;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

/// A client's clock may differ from OSS's by this many seconds.
pub const MAX_SKEW: u64 = 15 * 60;

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub access_key_secret: String,
    /// The token that comes with a temporary key.
    pub security_token: Option<String>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// What a request is about, as a signature names it.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// The bucket; `None` for the service itself.
    pub bucket: Option<&'a str>,
    /// The key's bytes, decoded; empty for the bucket itself.
    pub key: &'a [u8],
}

/// Who a request is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nobody in particular.
    Anonymous,
    /// The owner of this access key.
    Signed {
        /// Its public half.
        access_key_id: String,
    },
}

/// Why a signature is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `Authorization` or the query has not the form of a signature.
    Malformed(&'static str),
    /// A signature in the header and one in the query.
    Twice,
    /// Something a signature needs is missing.
    Missing(&'static str),
    /// Nobody has this access key.
    UnknownKey,
    /// The date is too far from now.
    Skewed,
    /// The signature in the query has expired.
    Expired,
    /// The list of additional headers is empty.
    NoAdditional,
    /// An additional header is absent, or no header can have its name.
    Additional,
    /// The payload hash is not `UNSIGNED-PAYLOAD`.
    PayloadHash,
    /// The security token is not the key's.
    Token,
    /// The scope names another region or product.
    Scope,
    /// It is not the signature of this request.
    Mismatch {
        /// What should have been signed.
        string_to_sign: Vec<u8>,
    },
}

impl Failure {
    /// HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_)
            | Self::Twice
            | Self::NoAdditional
            | Self::Additional
            | Self::PayloadHash => 400,
            Self::Missing(_)
            | Self::UnknownKey
            | Self::Skewed
            | Self::Expired
            | Self::Token
            | Self::Scope
            | Self::Mismatch { .. } => 403,
        }
    }

    /// `Code` of the error document.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_)
            | Self::Twice
            | Self::NoAdditional
            | Self::Additional
            | Self::PayloadHash => "InvalidArgument",
            Self::Missing(_) | Self::Expired | Self::Scope => "AccessDenied",
            Self::UnknownKey => "InvalidAccessKeyId",
            Self::Skewed => "RequestTimeTooSkewed",
            Self::Token => "InvalidSecurityToken",
            Self::Mismatch { .. } => "SignatureDoesNotMatch",
        }
    }

    /// `EC` of the error document, where it is known.
    #[must_use]
    pub fn ec(&self) -> Option<&'static str> {
        match self {
            Self::Malformed(_) => Some("0002-00000061"),
            Self::Missing(_) => Some("0002-00000503"),
            Self::Skewed => Some("0002-00000504"),
            Self::Expired => Some("0002-00000069"),
            Self::NoAdditional => Some("0002-00000076"),
            Self::Additional => Some("0002-00000077"),
            Self::PayloadHash => Some("0002-00000214"),
            Self::Mismatch { .. } => Some("0002-00000201"),
            Self::Twice | Self::UnknownKey | Self::Token | Self::Scope => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "the signature is malformed: {what}"),
            Self::Twice => f.write_str("the request is signed both in its header and in its query"),
            Self::Missing(what) => write!(f, "the signature needs {what}"),
            Self::UnknownKey => f.write_str("the access key id does not exist"),
            Self::Skewed => f.write_str("the request time is too far from the server's"),
            Self::Expired => f.write_str("Request has expired."),
            Self::NoAdditional => f.write_str("the list of additional headers is empty"),
            Self::Additional => f.write_str("an additional header is absent"),
            Self::PayloadHash => f.write_str("x-oss-content-sha256 must be UNSIGNED-PAYLOAD"),
            Self::Token => f.write_str("the security token is invalid"),
            Self::Scope => f.write_str("the credential scope is not of this service"),
            Self::Mismatch { .. } => f.write_str("the signature does not match the request"),
        }
    }
}

impl std::error::Error for Failure {}

/// Checks requests against access keys.
pub struct Verifier<'a> {
    /// Finds the keys of an access key id.
    pub keys: &'a dyn Fn(&str) -> Option<Keys>,
    /// The region a V4 scope must name; `None` accepts any.
    pub region: Option<&'a str>,
    /// Now, in seconds since 1970.
    pub now: u64,
}

impl fmt::Debug for Verifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// A request as signatures see it.
#[derive(Debug)]
pub struct Signable<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its query, decoded, in order.
    pub query: Vec<(Vec<u8>, Vec<u8>)>,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What it is about.
    pub resource: Resource<'a>,
}

impl<'a> Signable<'a> {
    /// Reads the query of a request.
    #[must_use]
    pub fn new(
        method: &'a Method,
        raw_query: Option<&str>,
        headers: &'a HeaderMap,
        resource: Resource<'a>,
    ) -> Self {
        let query = raw_query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (
                    percent_decode_str(name).collect(),
                    percent_decode_str(value).collect(),
                )
            })
            .collect();
        Self {
            method,
            query,
            headers,
            resource,
        }
    }

    fn has(&self, name: &str) -> bool {
        self.query.iter().any(|(known, _)| known == name.as_bytes())
    }

    /// The first value of a query name, as text; absent as well when it is none.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(known, _)| known == name.as_bytes())
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    fn header(&self, name: &str) -> &[u8] {
        self.headers
            .get(name)
            .map_or(b"", |value| value.as_bytes().trim_ascii())
    }

    fn header_text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.header(name))
            .ok()
            .filter(|text| !text.is_empty())
    }
}

impl Verifier<'_> {
    /// Who the request is from.
    ///
    /// # Errors
    ///
    /// When it is signed, and not validly.
    pub fn verify(
        &self,
        method: &Method,
        raw_query: Option<&str>,
        headers: &HeaderMap,
        resource: Resource<'_>,
    ) -> Result<Identity, Failure> {
        let request = Signable::new(method, raw_query, headers, resource);
        // Presence counts, whatever the value: a signature that cannot be read is no reason to take
        // the request for an anonymous one.
        let is_v4_query = request.has("x-oss-signature-version") || request.has("x-oss-signature");
        let is_v1_query = request.has("Signature") || request.has("OSSAccessKeyId");
        let mut authorizations = headers.get_all(AUTHORIZATION).iter();
        let authorization = authorizations
            .next()
            .map(|value| value.as_bytes().trim_ascii())
            .filter(|value| !value.is_empty());
        let id = if let Some(value) = authorization {
            if request.has("Signature") || request.has("x-oss-signature") {
                return Err(Failure::Twice);
            }
            if authorizations.next().is_some() {
                return Err(Failure::Malformed("more than one Authorization"));
            }
            let text = std::str::from_utf8(value).map_err(|_| Failure::Malformed("no text"))?;
            match text.split_once(' ') {
                Some(("OSS4-HMAC-SHA256", fields)) => v4::verify_header(self, &request, fields)?,
                Some(("OSS", pair)) => v1::verify_header(self, &request, pair)?,
                Some(_) | None => return Err(Failure::Malformed("unknown scheme")),
            }
        } else if is_v4_query {
            v4::verify_query(self, &request)?
        } else if is_v1_query {
            v1::verify_query(self, &request)?
        } else {
            return Ok(Identity::Anonymous);
        };
        Ok(Identity::Signed { access_key_id: id })
    }

    fn find(&self, id: &str) -> Result<Keys, Failure> {
        (self.keys)(id).ok_or(Failure::UnknownKey)
    }

    fn check_time(&self, time: u64) -> Result<(), Failure> {
        if time.abs_diff(self.now) > MAX_SKEW {
            return Err(Failure::Skewed);
        }
        Ok(())
    }
}

fn check_token(keys: &Keys, token: Option<&str>) -> Result<(), Failure> {
    let is_right = match (&keys.security_token, token) {
        (Some(known), Some(token)) => is_same(known.as_bytes(), token.as_bytes()),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if is_right {
        Ok(())
    } else {
        Err(Failure::Token)
    }
}

/// HMAC of `text` under `key`.
fn mac(algorithm: hmac::Algorithm, key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(algorithm, key), text)
}

/// Compares in constant time.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}

pub use bound::Bound;
pub use v1::{signature as v1_signature, string_to_sign as v1_string_to_sign};
pub use v4::{
    Scope, canonical_request as v4_canonical_request, credential as v4_credential,
    signature as v4_signature, string_to_sign as v4_string_to_sign,
};

#[cfg(test)]
mod tests;
