//! The strings that a context owns: the request id, and copies of the request data for the log line.
//!
//! References into the request head would keep hyper's read buffer alive, and the next read would need an
//! allocation.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

/// The id of one request: `og-` and sixteen hex digits. Request ids of OSS never have this form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId([u8; 19]);

impl RequestId {
    /// Returns the next id of this process. The ids of one process do not repeat. `seed` makes the ids of
    /// two processes differ.
    #[must_use]
    pub fn next(seed: u64) -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        // The following lines are one step of SplitMix64. The step is a bijection, so different counters
        // give different ids.
        let mut z = seed.wrapping_add(
            COUNTER
                .fetch_add(1, Ordering::Relaxed)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15),
        );
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let mut id = *b"og-0000000000000000";
        for (place, digit) in id.iter_mut().skip(3).enumerate() {
            let nibble = (z >> (60 - 4 * place)) & 0xf;
            *digit = b"0123456789abcdef"[usize::try_from(nibble).unwrap_or(0)];
        }
        Self(id)
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Returns the id as a header value.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_bytes(&self.0).unwrap_or(HeaderValue::from_static("og-"));
        // Every id is different, so an entry in the compression table of HTTP/2 would be useless. A
        // sensitive value gets no entry.
        value.set_sensitive(true);
        value
    }
}

/// Copies of the parts of a request that its log line contains. The copies are stored one after another in
/// one allocation.
#[derive(Debug, Default)]
pub struct LineText {
    bytes: Vec<u8>,
    ends: [usize; 4],
}

impl LineText {
    /// Copies path and query, host, Referer and User-Agent, in this order.
    #[must_use]
    pub fn new(parts: [&[u8]; 4]) -> Self {
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        let mut ends = [0; 4];
        for (part, end) in parts.iter().zip(ends.iter_mut()) {
            bytes.extend_from_slice(part);
            *end = bytes.len();
        }
        Self { bytes, ends }
    }

    fn part(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        self.bytes.get(start..self.ends[index]).unwrap_or_default()
    }

    /// Returns path and query as received. Empty when requests are not recorded.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.part(0)
    }

    /// Returns a copy of [`Target::host_text`](crate::http::message::Target::host_text): the text that
    /// names the host, as received and unchecked.
    #[must_use]
    pub fn host(&self) -> &[u8] {
        self.part(1)
    }

    /// Returns the Referer field. Empty when the request has none or requests are not recorded.
    #[must_use]
    pub fn referer(&self) -> &[u8] {
        self.part(2)
    }

    /// Returns the User-Agent field. Empty when the request has none or requests are not recorded.
    #[must_use]
    pub fn user_agent(&self) -> &[u8] {
        self.part(3)
    }
}

/// A copy of a short header value, stored without an allocation. A reference to the value would keep
/// hyper's read buffer alive.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShortText {
    length: u8,
    bytes: [u8; 32],
}

impl ShortText {
    /// Copies up to 32 bytes of `value`; the rest is cut off.
    #[must_use]
    pub fn new(value: Option<&HeaderValue>) -> Self {
        let mut text = Self::default();
        for (place, byte) in text
            .bytes
            .iter_mut()
            .zip(value.map_or(&b""[..], HeaderValue::as_bytes))
        {
            *place = *byte;
            text.length += 1;
        }
        text
    }

    /// Returns the copied bytes. Empty when there was no value.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_differ_and_do_not_look_like_oss_ids() {
        let one = RequestId::next(7);
        let two = RequestId::next(7);
        assert_ne!(one, two);
        assert_eq!(one.as_str().len(), 19);
        assert!(one.as_str().starts_with("og-"));
    }

    #[test]
    fn line_text_returns_its_parts() {
        let text = LineText::new([b"/a?b", b"h", b"", b"curl"]);
        assert_eq!(text.path(), b"/a?b");
        assert_eq!(text.host(), b"h");
        assert_eq!(text.referer(), b"");
        assert_eq!(text.user_agent(), b"curl");
    }
}
