//! Detects two properties of HTTP/1.1 requests that hyper hides. A request may have both `Content-Length`
//! and `Transfer-Encoding`, but hyper removes the length. A target may have a `#`, but hyper removes the
//! `#` and all that follows.
//!
//! After a request with both fields, RFC 9112 section 6.1 requires that the connection is closed, because
//! another proxy on the way may have used the length. So this module parses the framing of all bytes from
//! the socket, and reports for each chunked request whether its head had a length.
//!
//! The module must never attribute a length to the wrong request. So it accepts only the simplest form of
//! each element, called the plain form: lines end in CRLF; there are no folded lines, no blank lines
//! before a head and no chunk extensions; a length consists of digits and occurs once; the only coding is
//! `chunked`. hyper reads that form in the same way. After any other form, the framing is unknown for the
//! rest of the connection, and the connection closes after its next chunked request.
//!
//! Each line of a head costs two memchr calls (for LF and CR). This module can be removed when hyper
//! reports the `#`, and either reports the length or closes such connections.

use std::sync::{Mutex, MutexGuard, PoisonError};

use memchr::memchr;

/// The maximum number of bytes kept of an incomplete line. If the line becomes longer, a length or a
/// coding in it does not count as the plain form.
const KEPT: usize = 80;
/// The maximum number of chunked requests, and of requests with a `#` in the target, that have been read
/// but not yet served. If there are more, the framing is unknown.
const WAITING: usize = 64;

/// Whether the connection may stay open after the response to a chunked request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterChunked {
    /// The connection may stay open: the head had no `Content-Length`.
    KeepOpen,
    /// The connection must be closed: the head had a `Content-Length`, or the framing is unknown.
    Close,
}

/// The properties of a request that hyper hides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Whether the connection may stay open after the response. For a request that is not chunked, the
    /// value is [`AfterChunked::KeepOpen`].
    pub after_chunked: AfterChunked,
    /// Whether the target has a `#`. `None` if this module has not parsed the head of this request, or has
    /// parsed it differently from hyper.
    pub has_fragment: Option<bool>,
}

/// The framing of one connection's input. Only the connection's worker thread uses it, so the lock is
/// never contended.
#[derive(Debug, Default)]
pub struct InputFraming(Mutex<State>);

#[derive(Debug)]
struct State {
    place: Place,
    line: Line,
    head: Head,
    /// The number of heads that have ended.
    ended: u64,
    /// The number of requests that have been served.
    served: u64,
    /// The chunked requests that have been read but not yet served, each as the number of its head, and
    /// whether that head had a length.
    chunked: Vec<(u64, bool)>,
    /// The requests with a `#` in the target that have been read but not yet served, each as the number of
    /// its head.
    fragments: Vec<u64>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            place: Place::Head,
            line: Line::default(),
            head: Head::default(),
            ended: 0,
            served: 0,
            chunked: Vec::new(),
            fragments: Vec::new(),
        }
    }
}

/// The element to which the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    /// A body with this many bytes left.
    Body(u64),
    ChunkSize,
    /// The data of a chunk with this many bytes left.
    Chunk(u64),
    /// The CRLF after the data of a chunk, checked byte by byte. The value is true while both bytes are
    /// missing, and false when only the LF is missing.
    ChunkEnd(bool),
    Trailers,
    Lost,
}

/// The beginning of a line whose end has not arrived.
#[derive(Debug, Default)]
struct Line {
    bytes: Vec<u8>,
    length: usize,
    has_hash: bool,
}

/// The framing data in the lines of the current head.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    has_line: bool,
    length: Option<u64>,
    is_chunked: bool,
    has_fragment: bool,
}

impl InputFraming {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Parses `bytes`, which hyper is about to read.
    #[inline]
    pub fn follow(&self, bytes: &[u8]) {
        self.state().follow(bytes);
    }

    /// Marks the framing as unknown, because the next bytes passed to this parser do not continue the
    /// previous ones.
    pub fn lose(&self) {
        self.state().place = Place::Lost;
    }

    /// Returns the hidden properties of the next request. `is_chunked` is whether hyper has read the
    /// request as chunked. Must be called once for each request, in the order of the requests.
    pub fn take(&self, is_chunked: bool) -> Followed {
        let mut state = self.state();
        let number = state.served;
        state.served += 1;
        // If hyper has returned a request but this module has not parsed the end of that request's head,
        // the two parsers have read different requests.
        let is_known = state.ended > number;
        let found = state.chunked.iter().position(|(head, _)| *head == number);
        let found = found.map(|at| state.chunked.remove(at).1);
        if !is_known || found.is_some() != is_chunked {
            state.place = Place::Lost;
        }
        let has_fragment = state.fragments.contains(&number);
        state.fragments.retain(|head| *head > number);
        let is_certain = is_known && found.is_some() == is_chunked;
        Followed {
            after_chunked: match (is_chunked || found.is_some(), state.place, found) {
                (true, Place::Lost, _) | (true, _, Some(true)) => AfterChunked::Close,
                _ => AfterChunked::KeepOpen,
            },
            has_fragment: is_certain.then_some(has_fragment),
        }
    }
}

impl State {
    fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.place {
                Place::Lost => return,
                Place::Body(left) => self.skip(bytes, left, Place::Body, Place::Head),
                Place::Chunk(left) => self.skip(bytes, left, Place::Chunk, Place::ChunkEnd(true)),
                Place::ChunkEnd(is_first) => {
                    let (expected, next) = if is_first {
                        (b'\r', Place::ChunkEnd(false))
                    } else {
                        (b'\n', Place::ChunkSize)
                    };
                    let is_there = bytes.first() == Some(&expected);
                    self.place = if is_there { next } else { Place::Lost };
                    bytes.get(1..).unwrap_or_default()
                }
                Place::Head | Place::ChunkSize | Place::Trailers => self.follow_line(bytes),
            };
        }
    }

    /// Skips up to `left` bytes. If `left` bytes were skipped, the next element is `after`. Returns the
    /// bytes that were not skipped.
    fn skip<'b>(
        &mut self,
        bytes: &'b [u8],
        left: u64,
        rest: impl Fn(u64) -> Place,
        after: Place,
    ) -> &'b [u8] {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - u64::try_from(here).unwrap_or(left);
        self.place = if left == 0 { after } else { rest(left) };
        bytes.get(here..).unwrap_or_default()
    }

    /// Parses the next line, or a part of it. Returns the bytes after it.
    fn follow_line<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let Some(end) = memchr(b'\n', bytes) else {
            self.line.push(bytes);
            return &[];
        };
        let (line, rest) = bytes.split_at(end + 1);
        if self.line.length == 0 {
            self.end_line(line, line.len());
        } else {
            self.line.push(line);
            let Line {
                bytes,
                length,
                has_hash,
            } = std::mem::take(&mut self.line);
            self.head.has_fragment |= has_hash && !self.head.has_line;
            self.end_line(&bytes, length);
        }
        rest
    }

    /// Parses a whole line of `length` bytes. If the line arrived in several reads and is longer than
    /// [`KEPT`], `line` contains only the beginning and the end of it.
    fn end_line(&mut self, line: &[u8], length: usize) {
        // The CR before the LF must be the only CR.
        let Some(text) = line
            .strip_suffix(b"\r\n")
            .filter(|text| memchr(b'\r', text).is_none())
        else {
            self.place = Place::Lost;
            return;
        };
        let is_whole = line.len() == length;
        let place = match self.place {
            Place::Head if text.is_empty() => self.end_head(),
            Place::Head => self.take_field(text, is_whole),
            Place::ChunkSize => chunk_size(text, is_whole),
            Place::Trailers if text.is_empty() => Some(Place::Head),
            Place::Trailers => Some(Place::Trailers),
            Place::Body(_) | Place::Chunk(_) | Place::ChunkEnd(_) | Place::Lost => None,
        };
        self.place = place.unwrap_or(Place::Lost);
    }

    fn take_field(&mut self, text: &[u8], is_whole: bool) -> Option<Place> {
        if !std::mem::replace(&mut self.head.has_line, true) {
            // The line is the request line.
            self.head.has_fragment |= memchr(b'#', text).is_some();
            return Some(Place::Head);
        }
        if matches!(text.first(), Some(b' ' | b'\t')) {
            return None;
        }
        let value = |name: &[u8]| {
            let (start, rest) = text.split_at_checked(name.len())?;
            let value = rest.trim_ascii_start().strip_prefix(b":")?;
            start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
        };
        if let Some(value) = value(b"content-length") {
            let is_number = value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(value).ok()?.parse().ok()?;
            if !is_whole || !is_number || self.head.length.replace(number).is_some() {
                return None;
            }
        } else if let Some(value) = value(b"transfer-encoding") {
            let is_plain = is_whole && value.eq_ignore_ascii_case(b"chunked");
            if !is_plain || std::mem::replace(&mut self.head.is_chunked, true) {
                return None;
            }
        }
        Some(Place::Head)
    }

    fn end_head(&mut self) -> Option<Place> {
        let head = std::mem::take(&mut self.head);
        // A blank line before a head is allowed (RFC 9112 section 2.2), but it is not the plain form.
        if !head.has_line || self.chunked.len().max(self.fragments.len()) >= WAITING {
            return None;
        }
        let number = self.ended;
        self.ended += 1;
        if head.has_fragment {
            self.fragments.push(number);
        }
        if head.is_chunked {
            self.chunked.push((number, head.length.is_some()));
            return Some(Place::ChunkSize);
        }
        Some(match head.length {
            Some(length @ 1..) => Place::Body(length),
            Some(0) | None => Place::Head,
        })
    }
}

/// Parses a chunk size without extensions. Returns `None` when the size does not have the plain form.
fn chunk_size(text: &[u8], is_whole: bool) -> Option<Place> {
    let is_plain =
        is_whole && (1..=15).contains(&text.len()) && text.iter().all(u8::is_ascii_hexdigit);
    let size = std::str::from_utf8(text).ok().filter(|_| is_plain)?;
    Some(match u64::from_str_radix(size, 16).ok()? {
        0 => Place::Trailers,
        size => Place::Chunk(size),
    })
}

impl Line {
    /// Appends bytes. If the line is longer than [`KEPT`], only its beginning and its line end are kept. A
    /// CR between these two parts is also kept, so that `end_line` detects it.
    fn push(&mut self, bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len());
        self.has_hash |= memchr(b'#', bytes).is_some();
        for byte in bytes {
            if self.bytes.len() < KEPT || matches!(byte, b'\r' | b'\n') {
                if self.bytes.len() > KEPT + 2 {
                    return;
                }
                self.bytes.push(*byte);
            }
        }
    }
}

#[cfg(test)]
mod tests;
