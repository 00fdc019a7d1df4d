//! Reading a request's body: object bytes with their digests, and small documents.

use std::fmt;
use std::pin::Pin;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;
use md5::{Digest, Md5};

use crate::demo::origin::body::{CRC, Content};
use crate::demo::origin::refusal::Refusal;
use crate::demo::origin::seen::Entry;

/// The largest XML body that is read.
pub(super) const DOCUMENT_LIMIT: usize = 2 * 1024 * 1024;

/// The request's body ended before its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("body ended early")
    }
}

impl std::error::Error for Gone {}

/// A request's body, whatever carries it.
pub(super) type Incoming<'a> = Pin<Box<dyn Body<Data = Bytes, Error = Gone> + Send + 'a>>;

/// Object bytes as received.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) content: Content,
    pub(super) length: u64,
    pub(super) md5: [u8; 16],
    pub(super) crc: u64,
}

impl Received {
    /// The MD5 as an ETag without quotes.
    pub(super) fn etag(&self) -> String {
        hex(&self.md5)
    }

    /// The MD5 as `Content-MD5`.
    pub(super) fn content_md5(&self) -> String {
        STANDARD.encode(self.md5)
    }

    /// Measures bytes that are there already.
    pub(super) fn of(bytes: Bytes) -> Self {
        Self {
            length: bytes.len() as u64,
            md5: Md5::digest(&bytes).into(),
            crc: crc_fast::checksum(CRC, &bytes),
            content: Content::Kept(vec![bytes]),
        }
    }
}

/// Upper-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _written = write!(text, "{byte:02X}");
        text
    })
}

/// Whether the request says how long its body is, or that it is chunked. A body that is known to
/// be empty without saying so is what a client sends that forgot the header.
pub(super) fn demand_framing(headers: &HeaderMap, body: &Incoming<'_>) -> Result<(), Refusal> {
    let is_framed = headers.contains_key(header::CONTENT_LENGTH)
        || headers.contains_key(header::TRANSFER_ENCODING)
        || !body.is_end_stream();
    if is_framed {
        Ok(())
    } else {
        Err(Refusal::MissingContentLength)
    }
}

/// Reads object bytes, keeps up to `sink_above` of them if that is set, and compares `Content-MD5`.
pub(super) async fn receive(
    mut body: Incoming<'_>,
    headers: &HeaderMap,
    sink_above: Option<u64>,
    entry: &Entry,
) -> Result<Received, Refusal> {
    let expected = match headers.get("content-md5") {
        None => None,
        Some(value) => Some(
            STANDARD
                .decode(value.as_bytes())
                .ok()
                .filter(|digest| digest.len() == 16)
                .ok_or(Refusal::InvalidDigest)?,
        ),
    };
    let mut md5 = Md5::new();
    let mut crc = crc_fast::Digest::new(CRC);
    let mut length = 0_u64;
    let mut kept = Some(Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::IncompleteBody)?.into_data() else {
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
            // Copied: a frame may be a view of a much larger read buffer.
            kept.push(Bytes::copy_from_slice(&data));
        }
    }
    entry.complete();
    let digest: [u8; 16] = md5.finalize().into();
    if expected.is_some_and(|expected| expected != digest) {
        return Err(Refusal::InvalidDigest);
    }
    Ok(Received {
        content: kept.map_or(Content::Dropped, Content::Kept),
        length,
        md5: digest,
        crc: crc.finalize(),
    })
}

/// Reads a whole body of at most `limit` bytes.
pub(super) async fn read(
    mut body: Incoming<'_>,
    limit: usize,
    entry: &Entry,
) -> Result<Bytes, Refusal> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::IncompleteBody)?.into_data() else {
            continue;
        };
        entry.add(data.len());
        if bytes.len() + data.len() > limit {
            return Err(Refusal::EntityTooLarge);
        }
        bytes.extend_from_slice(&data);
    }
    entry.complete();
    Ok(bytes.freeze())
}

/// Reads an XML body, comparing `Content-MD5`.
pub(super) async fn document(
    body: Incoming<'_>,
    headers: &HeaderMap,
    entry: &Entry,
) -> Result<Bytes, Refusal> {
    let bytes = read(body, DOCUMENT_LIMIT, entry).await?;
    if let Some(expected) = headers.get("content-md5")
        && STANDARD.encode(Md5::digest(&bytes)).as_bytes() != expected.as_bytes()
    {
        return Err(Refusal::InvalidDigest);
    }
    Ok(bytes)
}
