//! Detects HTTP/1 request targets with a `#`. hyper cannot report them, because it removes the `#` and
//! the fragment.
//!
//! No target may have a `#` (RFC 9112 section 3.2). hyper parses a target into [`http::Uri`], which drops
//! the `#` and all that follows: `DELETE /dir/#1.jpg` would become `DELETE /dir/`. So this module inspects
//! the bytes from the socket before hyper parses them, and keeps each line that could be a request line
//! with a `#`. If hyper then returns a request with the method and the target of a kept line, the target
//! of that request counts as one with a `#`. Bytes without `#` cost one memchr call.
//!
//! Two kinds of bytes are not inspected: bodies, and a request head that arrived together with the end of
//! a body.
//!
//! This module can be removed when hyper returns the target as received or refuses a `#` in it, or when
//! the proxy has its own parser.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::uri::PathAndQuery;
use http_body::Body;
use memchr::{memchr, memrchr};

/// The maximum number of lines kept. If there are more such lines, every request without a body is
/// refused.
const KEPT: usize = 64;
/// The maximum length of an incomplete line in bytes. This length suffices for a method and the longest
/// target that hyper can parse (65 534 bytes).
const LONGEST: usize = 68 * 1024;

/// The lines of one connection that could be request lines with a `#`. Only the connection's worker thread
/// locks them, so the lock is never contended.
#[derive(Debug, Default)]
pub struct HiddenFragments {
    /// Whether `state` contains anything.
    is_used: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The received part of the last line, whose end has not arrived.
    line: Vec<u8>,
    /// The lines with a `#` that are not header fields, in the order in which they arrived.
    suspects: Vec<Suspect>,
    /// Whether more than [`KEPT`] lines were found.
    is_full: bool,
    /// The number of heads that have ended.
    heads: usize,
    /// Whether another head has begun after the last one that ended.
    is_in_head: bool,
    /// The number of requests that were checked.
    checked: usize,
}

/// A line with a `#`.
#[derive(Debug)]
struct Suspect {
    /// The number of heads that ended before this line.
    heads: usize,
    /// The bytes before the `#`.
    before: Box<[u8]>,
}

impl HiddenFragments {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Inspects `bytes`, which hyper is about to read as a request head or as a part of a head. Bytes of a
    /// body may follow the head.
    #[inline]
    pub fn inspect(&self, bytes: &[u8]) {
        let is_whole = bytes.last().is_none_or(|last| *last == b'\n');
        if is_whole && !self.is_used.load(Relaxed) && memchr(b'#', bytes).is_none() {
            return;
        }
        self.inspect_lines(bytes);
    }

    #[cold]
    fn inspect_lines(&self, bytes: &[u8]) {
        let mut state = self.state();
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            state.end_line(line);
            rest = after;
        }
        if state.line.len() + rest.len() <= LONGEST {
            state.line.extend_from_slice(rest);
        }
        let is_used = !state.line.is_empty() || !state.suspects.is_empty();
        if !is_used {
            // Requests are not counted while nothing is kept, so heads must not be counted either.
            *state = State::default();
        }
        self.is_used.store(is_used, Relaxed);
    }

    /// Whether the target of `request` had a `#`. Must be called once for each request, in the order of
    /// the requests.
    #[must_use]
    pub fn is_hidden_in<B: Body>(&self, request: &http::Request<B>) -> bool {
        if !self.is_used.load(Relaxed) {
            return false;
        }
        let has_body = !request.body().is_end_stream();
        let mut state = self.state();
        let checked = state.checked;
        state.checked += 1;
        // If the request has a body, lines after its head may belong to the body, so they do not count.
        let is_hidden = state.suspects.iter().any(|suspect| {
            (!has_body || suspect.heads <= checked) && is_head_of(&suspect.before, request)
        }) || (state.is_full && !has_body);
        if has_body {
            // Lines kept after this head may belong to the body, so all kept lines are dropped.
            *state = State::default();
            self.is_used.store(false, Relaxed);
        }
        is_hidden
    }

    /// Drops all kept lines. Called before bytes that have already been inspected are inspected again.
    pub fn reset(&self) {
        if self.is_used.swap(false, Relaxed) {
            *self.state() = State::default();
        }
    }
}

impl State {
    /// Handles the end of the current line. `end` is the rest of the line, with its line feed.
    fn end_line(&mut self, end: &[u8]) {
        let begin = std::mem::take(&mut self.line);
        let joined;
        let line = if begin.is_empty() {
            end
        } else {
            joined = [&begin[..], end].concat();
            &joined
        };
        let is_blank = matches!(line, b"\n" | b"\r\n");
        self.heads += usize::from(is_blank && self.is_in_head);
        self.is_in_head = !is_blank;
        let Some(before) = memchr(b'#', line).and_then(|at| line.get(..at)) else {
            return;
        };
        // A request line has a blank after its method. A header field has a colon before its first blank.
        let is_field = memchr(b' ', before)
            .is_none_or(|blank| memchr(b':', before.get(..blank).unwrap_or_default()).is_some());
        if is_field {
            return;
        }
        if self.suspects.len() == KEPT {
            self.is_full = true;
        } else {
            self.suspects.push(Suspect {
                heads: self.heads,
                before: before.into(),
            });
        }
    }
}

/// Whether `before`, the bytes before a `#`, are the method and the target of `request`.
fn is_head_of<B>(before: &[u8], request: &http::Request<B>) -> bool {
    let rest = before.strip_prefix(request.method().as_str().as_bytes());
    let Some(target) = rest.and_then(|rest| rest.strip_prefix(b" ")) else {
        return false;
    };
    let uri = request.uri();
    let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
    let Some(authority) = uri.authority() else {
        return target == path.as_bytes();
    };
    // The target has the absolute form (`http://host/path`), in which the path may be missing.
    let name = memrchr(b'/', target.get(..8).unwrap_or(target));
    let after = name.and_then(|slash| target.get(slash + 1..));
    let after = after.and_then(|after| after.strip_prefix(authority.as_str().as_bytes()));
    after.is_some_and(|after| after == path.as_bytes() || (after.is_empty() && path == "/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::Full;

    fn request(method: &str, target: &str, body: &'static [u8]) -> http::Request<Full<Bytes>> {
        let request = http::Request::builder().method(method).uri(target);
        request.body(Full::new(Bytes::from_static(body))).unwrap()
    }

    #[test]
    fn a_fragment_is_found_wherever_the_bytes_are_split() {
        let bytes = b"DELETE /dir/#1.jpg HTTP/1.1\r\nhost: x\r\n\r\n";
        for split in 0..bytes.len() {
            let fragments = HiddenFragments::default();
            fragments.inspect(&bytes[..split]);
            fragments.inspect(&bytes[split..]);
            // http::Uri drops the fragment.
            let parsed = request("DELETE", "/dir/#1.jpg", b"");
            assert_eq!(parsed.uri(), "/dir/");
            assert!(fragments.is_hidden_in(&parsed), "{split}");
            assert!(!fragments.is_hidden_in(&request("GET", "/dir/", b"")));
            assert!(!fragments.is_hidden_in(&request("DELETE", "/dir", b"")));
        }
    }

    #[test]
    fn fragments_are_found_in_every_form_of_target() {
        for target in [
            "/#",
            "/a?b=c#",
            "/a%23b#x y",
            "http://h#f",
            "HTTP://h:80/#",
            "http://h/a?b#",
        ] {
            let fragments = HiddenFragments::default();
            fragments.inspect(
                format!("GET /0 HTTP/1.1\r\n\r\nGET {target} HTTP/1.1\r\n\r\n").as_bytes(),
            );
            assert!(!fragments.is_hidden_in(&request("GET", "/0", b"")));
            let parsed = request("GET", &target.replace(' ', ""), b"");
            assert!(fragments.is_hidden_in(&parsed), "{target}");
        }
    }

    #[test]
    fn fields_and_bodies_are_not_taken_for_requests() {
        let fragments = HiddenFragments::default();
        fragments.inspect(b"GET /a HTTP/1.1\r\nreferer: GET /a#b\r\nx:y#\r\n\r\n");
        assert!(!fragments.is_hidden_in(&request("GET", "/a", b"")));
        // A body may contain text that looks like a request line with a `#`. It must not cause a refusal.
        for quoted in ["GET /a#b\n", "log:\nPUT /a#1\n", "\nPUT /a#1\n"] {
            let head = "\r\nPUT /a HTTP/1.1\r\ncontent-length: 9\r\n\r\n";
            fragments.inspect(format!("{head}{quoted}").as_bytes());
            assert!(
                !fragments.is_hidden_in(&request("PUT", "/a", b"x")),
                "{quoted:?}"
            );
        }
        fragments.inspect(b"PUT /a#b HTTP/1.1\r\ncontent-length: 1\r\n\r\nx");
        assert!(fragments.is_hidden_in(&request("PUT", "/a", b"x")));
        // The request with the `#` follows a head that arrived in two pieces.
        fragments.inspect(b"GET /0 HTTP/1.1\r\nhost: x");
        fragments.inspect(b"\r\n\r\n");
        assert!(!fragments.is_hidden_in(&request("GET", "/0", b"")));
        fragments.inspect(b"PUT /a#b HTTP/1.1\r\ncontent-length: 1\r\n\r\nx");
        assert!(fragments.is_hidden_in(&request("PUT", "/a", b"x")));
        // The body is a script with comments.
        let script = format!("PUT /a HTTP/1.1\r\n\r\n{}", "x # y\n".repeat(1000));
        fragments.inspect(script.as_bytes());
        assert!(!fragments.is_hidden_in(&request("PUT", "/a", b"x")));
        assert!(!fragments.is_hidden_in(&request("GET", "/a", b"")));
    }

    #[test]
    fn memory_is_bounded() {
        let fragments = HiddenFragments::default();
        fragments.inspect(&b"GET /a#b\n".repeat(1000));
        assert_eq!(fragments.state().suspects.len(), KEPT);
        assert!(
            fragments.is_hidden_in(&request("GET", "/c", b"")),
            "after too many suspects"
        );
        for _ in 0..1000 {
            fragments.inspect(&[b'#'; 1000]);
        }
        assert!(fragments.state().line.len() <= LONGEST);
    }
}
