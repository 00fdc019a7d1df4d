//! The body of a response: it yields an object's bytes and applies the scripted faults.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::demo::origin::content::{Content, PIECE_LIMIT, generated_piece};

/// The error of a response body that a scripted fault ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("body cut short by the script")
    }
}

impl std::error::Error for BrokenOff {}

/// The body of a response.
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
    /// Returns a body without bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Returns a body of one piece.
    #[must_use]
    pub fn full(bytes: Bytes) -> Self {
        Self {
            left: bytes.len() as u64,
            pieces: VecDeque::from([bytes]),
            ..Self::default()
        }
    }

    /// Returns a body of `length` bytes of `content` that starts at offset `first`, or `None` if the bytes
    /// were not kept.
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

    /// Returns the number of bytes left to send, as if there were no scripted faults.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.left
    }

    /// Makes the body send `byte` bytes and then nothing.
    pub(super) fn stall_at(&mut self, byte: u64) {
        self.stall_at = Some(byte);
        self.hides_length = true;
    }

    /// Makes the body send `byte` bytes and then fail.
    pub(super) fn reset_at(&mut self, byte: u64) {
        self.reset_at = Some(byte);
        self.hides_length = true;
    }

    /// Hides the length of the body from hyper, because hyper would compare it with the scripted
    /// `Content-Length`.
    pub(super) fn hide_length(&mut self) {
        self.hides_length = true;
    }

    /// Removes and returns the next piece, of at most `limit` bytes.
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
            let limit = usize::try_from(limit)
                .unwrap_or(usize::MAX)
                .min(PIECE_LIMIT);
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
                    // A stalled body registers no waker, so it waits until the connection ends.
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
    use crate::demo::origin::content::{BLOCK_LENGTH, generated_bytes};

    #[tokio::test]
    async fn a_part_of_a_generated_object_has_the_bytes_of_the_whole() {
        let whole = generated_bytes(0, 3 * BLOCK_LENGTH + 77);
        let first = BLOCK_LENGTH - 5;
        let body = OriginBody::part(&Content::Generated, first as u64, 100_000).unwrap();
        let part = body.collect().await.unwrap().to_bytes();
        assert_eq!(part, whole[first..first + 100_000]);
    }

    #[tokio::test]
    async fn kept_pieces_are_cut_at_both_ends_of_a_part() {
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
