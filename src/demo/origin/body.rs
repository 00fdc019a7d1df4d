//! The bytes of objects: kept, made up, or measured and dropped; and the body that sends them.
//!
//! A made-up object is a fixed block repeated. The block's length is a prime below 1 MiB, so bytes
//! at the same place of different parts or pages of an object differ.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use http_body::{Body, Frame, SizeHint};

/// CRC-64/XZ, which OSS calls crc64ecma.
pub(super) const CRC: CrcAlgorithm = CrcAlgorithm::Crc64Xz;
/// A prime below 1 MiB.
const BLOCK_LENGTH: usize = 1_048_573;
/// Largest frame a body yields, so that a slow reader holds little.
const FRAME: usize = 64 * 1024;

static BLOCK: LazyLock<Bytes> = LazyLock::new(|| {
    // xorshift64: any fixed sequence without short periods does.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = Vec::with_capacity(BLOCK_LENGTH + 8);
    while block.len() < BLOCK_LENGTH {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    block.truncate(BLOCK_LENGTH);
    Bytes::from(block)
});

/// The bytes of an object.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Kept as they came.
    Kept(Vec<Bytes>),
    /// Made up.
    Generated,
    /// Measured and dropped.
    Dropped,
}

/// The size that a key such as `gen/64KiB` or `gen/1GiB/name` asks for.
pub(super) fn generated_length(key: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(key).ok()?.strip_prefix("gen/")?;
    let size = text.split('/').next()?;
    let digits = size.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit: u64 = match size.strip_prefix(digits)? {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// CRC-64 of a made-up object, in time that grows with the number of digits of its length.
pub(super) fn generated_crc(length: u64) -> u64 {
    let block = BLOCK_LENGTH as u64;
    let mut whole = length / block;
    let mut power = (crc_fast::checksum(CRC, &BLOCK), block);
    let mut sum = (crc_fast::checksum(CRC, b""), 0_u64);
    while whole > 0 {
        if whole & 1 == 1 {
            sum = join(sum, power);
        }
        whole >>= 1;
        if whole > 0 {
            power = join(power, power);
        }
    }
    let rest = usize::try_from(length % block).unwrap_or(0);
    let rest = BLOCK.get(..rest).unwrap_or_default();
    join(sum, (crc_fast::checksum(CRC, rest), rest.len() as u64)).0
}

/// CRC and length of one thing after another.
pub(super) fn join(first: (u64, u64), second: (u64, u64)) -> (u64, u64) {
    (
        crc_fast::checksum_combine(CRC, first.0, second.0, second.1),
        first.1 + second.1,
    )
}

/// `length` bytes of the made-up stream from `offset`; for tests that compare what they received.
#[must_use]
pub fn generated_bytes(offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    let mut position = offset;
    while bytes.len() < length {
        let piece = generated_piece(position, (length - bytes.len()) as u64);
        position += piece.len() as u64;
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// A piece of the made-up stream: at least one byte, at most `left`.
fn generated_piece(position: u64, left: u64) -> Bytes {
    let start = usize::try_from(position % BLOCK_LENGTH as u64).unwrap_or(0);
    let end = (start + FRAME).min(BLOCK_LENGTH);
    let end = usize::try_from(left).map_or(end, |left| end.min(start.saturating_add(left)));
    BLOCK.slice(start..end)
}

/// Why an answer's body ended early: the script wanted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("body broken off by the script")
    }
}

impl std::error::Error for BrokenOff {}

/// The body of an answer.
#[derive(Debug, Default)]
pub struct OriginBody {
    pieces: VecDeque<Bytes>,
    generated: std::ops::Range<u64>,
    left: u64,
    sent: u64,
    stall_at: Option<u64>,
    reset_at: Option<u64>,
    hides_length: bool,
}

impl OriginBody {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// One piece.
    #[must_use]
    pub fn full(bytes: Bytes) -> Self {
        Self {
            left: bytes.len() as u64,
            pieces: VecDeque::from([bytes]),
            ..Self::default()
        }
    }

    /// `length` bytes of `content` from `first`; `None` when they were dropped.
    pub(super) fn part(content: &Content, first: u64, length: u64) -> Option<Self> {
        let mut body = Self {
            left: length,
            ..Self::default()
        };
        match content {
            Content::Generated => body.generated = first..first + length,
            Content::Kept(pieces) => {
                let mut skip = first;
                for piece in pieces {
                    let size = piece.len() as u64;
                    if let Ok(start) = usize::try_from(skip.min(size)) {
                        body.pieces.push_back(piece.slice(start..));
                    }
                    skip = skip.saturating_sub(size);
                }
            }
            Content::Dropped if length == 0 => {}
            Content::Dropped => return None,
        }
        Some(body)
    }

    /// How many bytes will be sent if nothing breaks.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.left
    }

    pub(super) fn stall_at(&mut self, byte: u64) {
        self.stall_at = Some(byte);
        self.hides_length = true;
    }

    pub(super) fn reset_at(&mut self, byte: u64) {
        self.reset_at = Some(byte);
        self.hides_length = true;
    }

    pub(super) fn hide_length(&mut self) {
        self.hides_length = true;
    }

    /// At most `limit` further bytes.
    fn next_piece(&mut self, limit: u64) -> Option<Bytes> {
        if !self.generated.is_empty() {
            let left = (self.generated.end - self.generated.start).min(limit);
            let piece = generated_piece(self.generated.start, left);
            self.generated.start += piece.len() as u64;
            return Some(piece);
        }
        while let Some(mut piece) = self.pieces.pop_front() {
            if piece.is_empty() {
                continue;
            }
            let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(FRAME);
            if piece.len() > limit {
                let rest = piece.split_off(limit);
                self.pieces.push_front(rest);
            }
            return Some(piece);
        }
        None
    }
}

impl Body for OriginBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = &mut *self;
        let mut limit = this.left;
        for (at, is_reset) in [(this.reset_at, true), (this.stall_at, false)] {
            if let Some(at) = at {
                if this.sent >= at {
                    // A stall has no waker on purpose: only the connection's end ends it.
                    return if is_reset {
                        Poll::Ready(Some(Err(BrokenOff)))
                    } else {
                        Poll::Pending
                    };
                }
                limit = limit.min(at - this.sent);
            }
        }
        if limit == 0 {
            return Poll::Ready(None);
        }
        let Some(piece) = this.next_piece(limit) else {
            return Poll::Ready(None);
        };
        let size = piece.len() as u64;
        this.left = this.left.saturating_sub(size);
        this.sent += size;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && !self.hides_length
    }

    fn size_hint(&self) -> SizeHint {
        if self.hides_length {
            SizeHint::default()
        } else {
            SizeHint::with_exact(self.left)
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn crc_is_the_one_of_the_sdks() {
        for (text, crc) in [
            ("123456789", 11_051_210_869_376_104_954),
            ("hello world", 5_981_764_153_023_615_706),
            ("", 0),
        ] {
            assert_eq!(crc_fast::checksum(CRC, text.as_bytes()), crc, "{text}");
        }
        let first = (crc_fast::checksum(CRC, b"1234"), 4);
        let second = (crc_fast::checksum(CRC, b"56789"), 5);
        assert_eq!(join(first, second), (11_051_210_869_376_104_954, 9));
    }

    #[test]
    fn keys_name_sizes() {
        for (key, length) in [
            ("gen/0", Some(0)),
            ("gen/12", Some(12)),
            ("gen/64KiB", Some(65_536)),
            ("gen/1GiB/a/b", Some(1 << 30)),
            ("gen/", None),
            ("gen/1XB", None),
            ("gen/99999999999999TiB", None),
            ("generated/1", None),
        ] {
            assert_eq!(generated_length(key.as_bytes()), length, "{key}");
        }
    }

    #[tokio::test]
    async fn made_up_bytes_agree_with_their_crc_and_with_every_part_of_them() {
        let length = 3 * BLOCK_LENGTH + 77;
        let whole = generated_bytes(0, length);
        assert_eq!(
            generated_crc(length as u64),
            crc_fast::checksum(CRC, &whole)
        );
        let first = BLOCK_LENGTH - 5;
        let body = OriginBody::part(&Content::Generated, first as u64, 100_000).unwrap();
        let part = body.collect().await.unwrap().to_bytes();
        assert_eq!(part, whole[first..first + 100_000]);
    }

    #[tokio::test]
    async fn kept_pieces_are_cut_where_a_part_begins_and_ends() {
        let kept = Content::Kept(vec![
            Bytes::from_static(b"abc"),
            Bytes::new(),
            Bytes::from_static(b"defg"),
        ]);
        for first in 0..7_u64 {
            for length in 0..=7 - first {
                let body = OriginBody::part(&kept, first, length).unwrap();
                let bytes = body.collect().await.unwrap().to_bytes();
                let start = usize::try_from(first).unwrap();
                let end = usize::try_from(first + length).unwrap();
                assert_eq!(bytes, b"abcdefg"[start..end]);
            }
        }
    }

    #[tokio::test]
    async fn a_reset_comes_after_exactly_the_scripted_bytes() {
        let mut body = OriginBody::part(&Content::Generated, 0, 1 << 20).unwrap();
        body.reset_at(70_000);
        let mut received = 0;
        let error = loop {
            match body.frame().await.unwrap() {
                Ok(frame) => received += frame.into_data().unwrap().len(),
                Err(error) => break error,
            }
        };
        assert_eq!((received, error), (70_000, BrokenOff));
    }
}
