//! One test object, and the responses of OSS for it.

use std::sync::Arc;

use super::origin::{Received, Reply};

/// The length of the object, in bytes.
pub(crate) const LENGTH: usize = 1_000_000;

/// Returns the bytes of the object. No long sequence of bytes occurs twice.
pub(crate) fn object() -> Arc<Vec<u8>> {
    let byte = |at: usize| u8::try_from((at * 31 + at / 251 + at / 65_521) % 256).unwrap();
    Arc::new((0..LENGTH).map(byte).collect())
}

/// Returns the offsets of the first and the last byte of the requested range.
pub(crate) fn range(request: &Received) -> Option<(usize, usize)> {
    range_in(request, LENGTH)
}

fn range_in(request: &Received, length: usize) -> Option<(usize, usize)> {
    let value = String::from_utf8(request.header("range").first()?.clone()).unwrap();
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let last = last.parse().unwrap_or(length - 1);
    Some((first.parse().unwrap(), last))
}

/// Returns the head and the body of the OSS response, with the header lines `more`.
pub(crate) fn answer(
    request: &Received,
    object: &[u8],
    etag: &str,
    more: &str,
) -> (String, Vec<u8>) {
    let length = object.len();
    let (line, first, last) = match range_in(request, length) {
        None => ("200 OK", 0, length - 1),
        Some((first, last)) => ("206 Partial Content", first, last),
    };
    let content_range = if line.starts_with("206") {
        format!("content-range: bytes {first}-{last}/{length}\r\n")
    } else {
        String::new()
    };
    let head = format!(
        "HTTP/1.1 {line}\r\ncontent-length: {}\r\n{content_range}etag: {etag}\r\n{more}\
         x-oss-request-id: 5C3D9175B6FC201293AD4B\r\n\r\n",
        last + 1 - first
    );
    (head, object[first..=last].to_vec())
}

/// Joins head and body to a response, with at most `cut` bytes of the body.
pub(crate) fn joined((head, body): (String, Vec<u8>), cut: usize) -> Vec<u8> {
    let cut = cut.min(body.len());
    [head.as_bytes(), &body[..cut]].concat()
}

/// The ETag of the object.
pub(crate) const TAG: &str = "\"5B3C1A2E053D763E1B002CC607C5A0FE\"";

/// Returns the complete response to `request`.
pub(crate) fn whole(request: &Received, object: &[u8]) -> Reply {
    Reply::Bytes(joined(answer(request, object, TAG, ""), LENGTH))
}
