//! How an XML document writes keys.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// The bytes that OSS leaves as they are: RFC 3986's unreserved characters.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The encoding of keys in an answer (`encoding-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyEncoding {
    /// As text. Bytes that are not UTF-8 are replaced.
    Plain,
    /// Percent-encoded (`encoding-type=url`).
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
