//! Request targets with a `#`, on HTTP/1.
//!
//! No target may have one (RFC 9112 section 3.2), and the type for targets drops it with all that
//! follows: `DELETE /dir/#1.jpg` would become `DELETE /dir/`. So the bytes are looked at as they come
//! from the socket, and lines that could be such a request are kept until requests with the same
//! method and target come out of the parser. A chunk without `#` costs one search.
//!
//! Bodies are not looked at, nor is a request that came in one piece with the end of a body.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::uri::PathAndQuery;
use memchr::{memchr, memrchr};

/// Lines kept at a time; a request behind more than these is refused, too.
const KEPT: usize = 64;
/// Longest line kept: as long as a target can be read, with its method.
const LONGEST: usize = 68 * 1024;

/// What has come on one connection. Used by its worker's thread only, so never contended.
#[derive(Debug, Default)]
pub struct Fragments {
    /// Whether there is anything in `inner`.
    is_used: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The last line, as far as it has come.
    line: Vec<u8>,
    /// What stands before a `#`, in lines that are no header fields; with the heads that ended before
    /// it.
    suspects: Vec<(usize, Box<[u8]>)>,
    /// Whether there were more than are kept.
    is_full: bool,
    /// Heads that have ended, and whether one has begun since.
    heads: usize,
    is_in_head: bool,
    /// Requests that were asked about.
    asked: usize,
}

impl Fragments {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at `bytes` that are, or begin with, the head of a request or a part of it.
    #[inline]
    pub fn look(&self, bytes: &[u8]) {
        let is_whole = bytes.last().is_none_or(|last| *last == b'\n');
        if is_whole && !self.is_used.load(Relaxed) && memchr(b'#', bytes).is_none() {
            return;
        }
        self.look_closely(bytes);
    }

    #[cold]
    fn look_closely(&self, bytes: &[u8]) {
        let mut inner = self.inner();
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            inner.take(line);
            rest = after;
        }
        if inner.line.len() + rest.len() <= LONGEST {
            inner.line.extend_from_slice(rest);
        }
        let is_used = !inner.line.is_empty() || !inner.suspects.is_empty();
        if !is_used {
            // Requests are not counted from here on, so heads must not be either.
            *inner = Inner::default();
        }
        self.is_used.store(is_used, Relaxed);
    }

    /// Whether `request` had a `#` in its target. Called once for each, in their order.
    #[must_use]
    pub fn had<B>(&self, request: &http::Request<B>, has_body: bool) -> bool {
        if !self.is_used.load(Relaxed) {
            return false;
        }
        let mut inner = self.inner();
        let asked = inner.asked;
        inner.asked += 1;
        // What stands behind the head of a request with a body is in the body.
        let had =
            inner.suspects.iter().any(|(heads, suspect)| {
                (!has_body || *heads <= asked) && is_head_of(suspect, request)
            }) || (inner.is_full && !has_body);
        if has_body {
            // What came behind the head is no request.
            *inner = Inner::default();
            self.is_used.store(false, Relaxed);
        }
        had
    }

    /// What has come will come again.
    pub fn forget(&self) {
        if self.is_used.swap(false, Relaxed) {
            *self.inner() = Inner::default();
        }
    }
}

impl Inner {
    /// The end of a line has come.
    fn take(&mut self, end: &[u8]) {
        let whole = std::mem::take(&mut self.line);
        let joined;
        let line = if whole.is_empty() {
            end
        } else {
            joined = [&whole[..], end].concat();
            &joined
        };
        let is_blank = matches!(line, b"\n" | b"\r\n");
        self.heads += usize::from(is_blank && self.is_in_head);
        self.is_in_head = !is_blank;
        let Some(before) = memchr(b'#', line).and_then(|at| line.get(..at)) else {
            return;
        };
        // A field's name ends with a colon and has no blank before it.
        let is_field = memchr(b' ', before)
            .is_none_or(|blank| memchr(b':', before.get(..blank).unwrap_or_default()).is_some());
        if !is_field {
            if self.suspects.len() == KEPT {
                self.is_full = true;
            } else {
                self.suspects.push((self.heads, before.into()));
            }
        }
    }
}

/// Whether `before`, what stands before a `#` in a line, is method and target of `request`.
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
    // The absolute form; its path may be missing.
    let name = memrchr(b'/', target.get(..8).unwrap_or(target));
    let after = name.and_then(|slash| target.get(slash + 1..));
    let after = after.and_then(|after| after.strip_prefix(authority.as_str().as_bytes()));
    after.is_some_and(|after| after == path.as_bytes() || (after.is_empty() && path == "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, target: &str) -> http::Request<()> {
        let request = http::Request::builder().method(method).uri(target);
        request.body(()).unwrap()
    }

    #[test]
    fn a_fragment_is_found_wherever_the_bytes_are_split() {
        let bytes = b"DELETE /dir/#1.jpg HTTP/1.1\r\nhost: x\r\n\r\n";
        for split in 0..bytes.len() {
            let fragments = Fragments::default();
            fragments.look(&bytes[..split]);
            fragments.look(&bytes[split..]);
            // As http::Uri reads it.
            let parsed = request("DELETE", "/dir/#1.jpg");
            assert_eq!(parsed.uri(), "/dir/");
            assert!(fragments.had(&parsed, false), "{split}");
            assert!(!fragments.had(&request("GET", "/dir/"), false));
            assert!(!fragments.had(&request("DELETE", "/dir"), false));
        }
    }

    #[test]
    fn every_form_of_target_is_known() {
        for target in [
            "/#",
            "/a?b=c#",
            "/a%23b#x y",
            "http://h#f",
            "HTTP://h:80/#",
            "http://h/a?b#",
        ] {
            let fragments = Fragments::default();
            fragments
                .look(format!("GET /0 HTTP/1.1\r\n\r\nGET {target} HTTP/1.1\r\n\r\n").as_bytes());
            assert!(!fragments.had(&request("GET", "/0"), false));
            let parsed = request("GET", &target.replace(' ', ""));
            assert!(fragments.had(&parsed, false), "{target}");
        }
    }

    #[test]
    fn fields_and_bodies_are_no_requests() {
        let fragments = Fragments::default();
        fragments.look(b"GET /a HTTP/1.1\r\nreferer: GET /a#b\r\nx:y#\r\n\r\n");
        assert!(!fragments.had(&request("GET", "/a"), false));
        // Neither another method nor the request's own line, quoted.
        for quoted in ["GET /a#b\n", "log:\nPUT /a#1\n", "\nPUT /a#1\n"] {
            let head = "\r\nPUT /a HTTP/1.1\r\ncontent-length: 9\r\n\r\n";
            fragments.look(format!("{head}{quoted}").as_bytes());
            assert!(!fragments.had(&request("PUT", "/a"), true), "{quoted:?}");
        }
        fragments.look(b"PUT /a#b HTTP/1.1\r\ncontent-length: 1\r\n\r\nx");
        assert!(fragments.had(&request("PUT", "/a"), true));
        // A head that came in two pieces before it.
        fragments.look(b"GET /0 HTTP/1.1\r\nhost: x");
        fragments.look(b"\r\n\r\n");
        assert!(!fragments.had(&request("GET", "/0"), false));
        fragments.look(b"PUT /a#b HTTP/1.1\r\ncontent-length: 1\r\n\r\nx");
        assert!(fragments.had(&request("PUT", "/a"), true));
        // Comments in a script.
        let script = format!("PUT /a HTTP/1.1\r\n\r\n{}", "x # y\n".repeat(1000));
        fragments.look(script.as_bytes());
        assert!(!fragments.had(&request("PUT", "/a"), true));
        assert!(!fragments.had(&request("GET", "/a"), false));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let fragments = Fragments::default();
        fragments.look(&b"GET /a#b\n".repeat(1000));
        assert_eq!(fragments.inner().suspects.len(), KEPT);
        assert!(fragments.had(&request("GET", "/c"), false), "not looked at");
        for _ in 0..1000 {
            fragments.look(&[b'#'; 1000]);
        }
        assert!(fragments.inner().line.len() <= LONGEST);
    }
}
