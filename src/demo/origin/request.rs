//! One request without its body: the input of every handler.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, Method};

use crate::demo::origin::error::OssError;
use crate::demo::origin::keys::KeyEncoding;
use crate::demo::origin::seen::SeenEntry;
use crate::demo::origin::state::OriginState;
use crate::demo::origin::target::Query;

/// The maximum length of a key, in bytes.
const KEY_LIMIT: usize = 1023;

/// A request to the origin, without its body.
pub(super) struct OssRequest<'a> {
    pub(super) state: &'a OriginState,
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    pub(super) raw_query: Option<&'a str>,
    pub(super) query: Query,
    pub(super) host: &'a str,
    pub(super) bucket: Option<String>,
    /// The key, percent-decoded once. Empty if the request is for the bucket itself.
    pub(super) key: Vec<u8>,
    /// The record of this request in [`RequestLog`](super::seen::RequestLog).
    pub(super) entry: &'a SeenEntry,
    pub(super) now: SystemTime,
}

impl OssRequest<'_> {
    /// Returns the value of header field `name` as text. Bytes that are not UTF-8 are replaced.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// Returns the value of header field `name` as bytes.
    pub(super) fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name).map(HeaderValue::as_bytes)
    }

    /// Checks that an object with this key may be written.
    ///
    /// # Errors
    ///
    /// [`OssError::InvalidObjectName`] for a key that is empty, longer than 1023 bytes or not UTF-8, or that
    /// begins with `/` or `\`.
    pub(super) fn check_key(&self) -> Result<(), OssError> {
        let is_good = !self.key.is_empty()
            && self.key.len() <= KEY_LIMIT
            && !matches!(self.key.first(), Some(b'/' | b'\\'))
            && std::str::from_utf8(&self.key).is_ok();
        if is_good {
            Ok(())
        } else {
            Err(OssError::InvalidObjectName)
        }
    }

    /// Returns the encoding of keys in the response, from the query parameter `encoding-type`.
    pub(super) fn key_encoding(&self) -> KeyEncoding {
        match self.query.get("encoding-type") {
            Some("url") => KeyEncoding::Url,
            _ => KeyEncoding::Plain,
        }
    }

    /// Returns the key in the encoding of the response.
    pub(super) fn shown_key(&self) -> String {
        self.key_encoding().show(&self.key)
    }

    /// Whether the request must not overwrite an existing object (`x-oss-forbid-overwrite`).
    pub(super) fn forbids_overwrite(&self) -> bool {
        self.header("x-oss-forbid-overwrite")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}
