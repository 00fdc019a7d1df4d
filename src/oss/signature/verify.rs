//! Verifies the signature of a request with any scheme.

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};

use super::failure::Failure;
use super::request::{Resource, Signable};
use super::verifier::Verifier;
use super::{v1, v4};

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

impl Verifier<'_> {
    /// Verifies the signature of a request and returns its sender.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when the request is signed but its signature is not valid. Every variant can occur.
    pub fn verify(
        &self,
        method: &Method,
        raw_query: Option<&str>,
        headers: &HeaderMap,
        resource: Resource<'_>,
    ) -> Result<Identity, Failure> {
        let request = Signable::new(method, raw_query, headers, resource);
        // A request with one of these query names counts as signed, even if the value is invalid. A request
        // whose signature cannot be parsed must not be accepted as anonymous.
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
}
