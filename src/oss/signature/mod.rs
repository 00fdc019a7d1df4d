//! OSS's own signatures, V1 and V4, in the header and in the query.
//!
//! The canonical forms are public, so that signing and verifying code uses the same functions. Clock and
//! keys are arguments. Header values and object keys are bytes, because old clients sign raw UTF-8 and
//! bytes that are not UTF-8 at all. S3 signatures are not parsed here.

mod bound;
mod failure;
mod time;
mod v1;
mod v4;

use std::fmt;

use aws_lc_rs::hmac;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

/// The maximum difference between a client's clock and OSS's, in seconds.
pub const MAX_SKEW: u64 = 15 * 60;

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The public part of the key.
    pub access_key_id: String,
    /// The secret part of the key.
    pub access_key_secret: String,
    /// The security token of a temporary key.
    pub security_token: Option<String>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// The resource of a request, as a signature names it.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// The bucket. `None` stands for the service itself.
    pub bucket: Option<&'a str>,
    /// The bytes of the object key, decoded. Empty for the bucket itself.
    pub key: &'a [u8],
}

/// The sender of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The request is not signed.
    Anonymous,
    /// The request is signed with this access key.
    Signed {
        /// The public part of the key.
        access_key_id: String,
    },
}

/// Verifies signatures of requests.
pub struct Verifier<'a> {
    /// Returns the access key for an access key id.
    pub keys: &'a dyn Fn(&str) -> Option<Keys>,
    /// The region that a V4 scope must name. `None` accepts any region.
    pub region: Option<&'a str>,
    /// The current time, in seconds since 1970.
    pub now: u64,
}

impl fmt::Debug for Verifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// The parts of a request that signatures cover.
#[derive(Debug)]
pub struct Signable<'a> {
    /// Method.
    pub method: &'a Method,
    /// Names and values of the query, decoded, in order.
    pub query: Vec<(Vec<u8>, Vec<u8>)>,
    /// Header fields.
    pub headers: &'a HeaderMap,
    /// Bucket and object key.
    pub resource: Resource<'a>,
}

impl<'a> Signable<'a> {
    /// Collects the parts of a request; the query is decoded.
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

    /// Returns the first value of a query name. `None` when there is no value, or when it is not UTF-8.
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
    /// Verifies the signature of a request and returns its sender.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when the request is signed, but the signature is not valid for it. Every variant can
    /// occur.
    pub fn verify(
        &self,
        method: &Method,
        raw_query: Option<&str>,
        headers: &HeaderMap,
        resource: Resource<'_>,
    ) -> Result<Identity, Failure> {
        let request = Signable::new(method, raw_query, headers, resource);
        // The presence of a name counts, whatever its value. A request whose signature cannot be parsed
        // must not be accepted as anonymous.
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

/// Returns the HMAC of `text` under `key`.
fn mac(algorithm: hmac::Algorithm, key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(algorithm, key), text)
}

/// Whether both texts are equal. The time of the comparison does not depend on their content.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}

pub use bound::Bound;
pub use failure::Failure;
pub use v1::{signature as v1_signature, string_to_sign as v1_string_to_sign};
pub use v4::{
    Scope, canonical_request as v4_canonical_request, credential as v4_credential,
    signature as v4_signature, string_to_sign as v4_string_to_sign,
};

#[cfg(test)]
mod tests;
