//! Reads the body of a request: either the bytes of an object with their digests, or a small document.

use std::fmt;
use std::pin::Pin;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;
use md5::{Digest, Md5};

use crate::demo::origin::content::{CRC, Content};
use crate::demo::origin::error::OssError;
use crate::demo::origin::seen::SeenEntry;

/// The maximum length of an XML body, in bytes.
pub(super) const DOCUMENT_LIMIT: usize = 2 * 1024 * 1024;

/// The error of a request body that ended early.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyCutShort;

impl fmt::Display for BodyCutShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("body ended early")
    }
}

impl std::error::Error for BodyCutShort {}

/// The body of a request, with the same type for every transport.
pub(super) type RequestBody<'a> =
    Pin<Box<dyn Body<Data = Bytes, Error = BodyCutShort> + Send + 'a>>;

/// Received object bytes with their length and digests. The bytes may have been dropped.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) content: Content,
    pub(super) length: u64,
    pub(super) md5: [u8; 16],
    pub(super) crc: u64,
}

impl Received {
    /// Returns the MD5 as an ETag without quotes.
    pub(super) fn etag(&self) -> String {
        hex(&self.md5)
    }

    /// Returns the MD5 as a value of `Content-MD5`.
    pub(super) fn content_md5(&self) -> String {
        STANDARD.encode(self.md5)
    }

    /// Returns `bytes` with their length and digests.
    pub(super) fn of(bytes: Bytes) -> Self {
        Self {
            length: bytes.len() as u64,
            md5: Md5::digest(&bytes).into(),
            crc: crc_fast::checksum(CRC, &bytes),
            content: Content::Kept(vec![bytes]),
        }
    }
}

/// Returns `bytes` in upper-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _written = write!(text, "{byte:02X}");
        text
    })
}

/// Checks that the request has a body, `Content-Length` or `Transfer-Encoding`. In HTTP/1.1, a request
/// without a body may omit both fields, but OSS requires one of them.
///
/// # Errors
///
/// [`OssError::MissingContentLength`] if none of the three is present.
pub(super) fn demand_framing(headers: &HeaderMap, body: &RequestBody<'_>) -> Result<(), OssError> {
    let is_framed = headers.contains_key(header::CONTENT_LENGTH)
        || headers.contains_key(header::TRANSFER_ENCODING)
        || !body.is_end_stream();
    if is_framed {
        Ok(())
    } else {
        Err(OssError::MissingContentLength)
    }
}

/// Reads the bytes of an object and compares their MD5 with `Content-MD5`. A body longer than `sink_above`
/// bytes is not stored. If `sink_above` is `None`, every body is stored.
///
/// # Errors
///
/// [`OssError::InvalidDigest`] if `Content-MD5` is not valid or does not match, [`OssError::IncompleteBody`]
/// if the body ends early.
pub(super) async fn receive(
    mut body: RequestBody<'_>,
    headers: &HeaderMap,
    sink_above: Option<u64>,
    entry: &SeenEntry,
) -> Result<Received, OssError> {
    let expected = match headers.get("content-md5") {
        None => None,
        Some(value) => Some(
            STANDARD
                .decode(value.as_bytes())
                .ok()
                .filter(|digest| digest.len() == 16)
                .ok_or(OssError::InvalidDigest)?,
        ),
    };
    let mut md5 = Md5::new();
    let mut crc = crc_fast::Digest::new(CRC);
    let mut length = 0_u64;
    let mut kept = Some(Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| OssError::IncompleteBody)?.into_data() else {
            continue;
        };
        entry.add(data.len());
        md5.update(&data);
        crc.update(&data);
        length += data.len() as u64;
        if sink_above.is_some_and(|limit| length > limit) {
            kept = None;
        }
        if let Some(kept) = &mut kept {
            // The data is copied, because the frame may be a view of a much larger read buffer.
            kept.push(Bytes::copy_from_slice(&data));
        }
    }
    entry.complete();
    let digest: [u8; 16] = md5.finalize().into();
    if expected.is_some_and(|expected| expected != digest) {
        return Err(OssError::InvalidDigest);
    }
    Ok(Received {
        content: kept.map_or(Content::Dropped, Content::Kept),
        length,
        md5: digest,
        crc: crc.finalize(),
    })
}

/// Reads a whole body of at most `limit` bytes.
///
/// # Errors
///
/// [`OssError::EntityTooLarge`] if the body is longer than `limit`, [`OssError::IncompleteBody`] if it ends
/// early.
pub(super) async fn read(
    mut body: RequestBody<'_>,
    limit: usize,
    entry: &SeenEntry,
) -> Result<Bytes, OssError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| OssError::IncompleteBody)?.into_data() else {
            continue;
        };
        entry.add(data.len());
        if bytes.len() + data.len() > limit {
            return Err(OssError::EntityTooLarge);
        }
        bytes.extend_from_slice(&data);
    }
    entry.complete();
    Ok(bytes.freeze())
}

/// Reads an XML body and compares its MD5 with `Content-MD5`.
///
/// # Errors
///
/// The errors of [`read`]; [`OssError::InvalidDigest`] if the MD5 does not match.
pub(super) async fn document(
    body: RequestBody<'_>,
    headers: &HeaderMap,
    entry: &SeenEntry,
) -> Result<Bytes, OssError> {
    let bytes = read(body, DOCUMENT_LIMIT, entry).await?;
    if let Some(expected) = headers.get("content-md5")
        && STANDARD.encode(Md5::digest(&bytes)).as_bytes() != expected.as_bytes()
    {
        return Err(OssError::InvalidDigest);
    }
    Ok(bytes)
}
