//! The encoding of object keys in XML documents.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// The ASCII characters that OSS percent-encodes: all except the unreserved characters of RFC 3986.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The encoding of keys in a response (`encoding-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyEncoding {
    /// Keys are written as text. Bytes that are not UTF-8 are replaced.
    Plain,
    /// Keys are percent-encoded (`encoding-type=url`).
    Url,
}

impl KeyEncoding {
    /// Returns `key` in this encoding.
    pub(super) fn show(self, key: &[u8]) -> String {
        match self {
            Self::Plain => String::from_utf8_lossy(key).into_owned(),
            Self::Url => percent_encode(key, KEPT).to_string(),
        }
    }
}
