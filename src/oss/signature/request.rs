//! The parts of a request that signatures cover.

use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

/// The resource of a request, in the form that a signature covers.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// The bucket. `None` stands for the service itself.
    pub bucket: Option<&'a str>,
    /// The bytes of the object key, decoded. Empty when the resource is a bucket or the service.
    pub key: &'a [u8],
}

/// The parts of a request that signatures cover.
#[derive(Debug)]
pub struct Signable<'a> {
    /// The method.
    pub method: &'a Method,
    /// The names and values of the query, decoded, in order.
    pub query: Vec<(Vec<u8>, Vec<u8>)>,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The bucket and the object key.
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

    pub(super) fn has(&self, name: &str) -> bool {
        self.query.iter().any(|(known, _)| known == name.as_bytes())
    }

    /// Returns the first value of a query name; `None` when there is no value, or when it is not UTF-8.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(known, _)| known == name.as_bytes())
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    pub(super) fn header(&self, name: &str) -> &[u8] {
        self.headers
            .get(name)
            .map_or(b"", |value| value.as_bytes().trim_ascii())
    }

    pub(super) fn header_text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.header(name))
            .ok()
            .filter(|text| !text.is_empty())
    }
}
