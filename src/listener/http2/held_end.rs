//! The end of what an HTTP/2 client sends, held back from h2 until the requests before it are done.
//!
//! h2 drops everything at the end of the connection's input: requests that came just before it, uploads
//! that came whole and were not taken yet, and answers that a half-closed client still reads. A failed
//! write has the same effect. So the end is held back while requests need the connection. This module
//! can go when h2 keeps streams whose END_STREAM has come.

use std::io;
use std::task::{Context, Poll};

use crate::http::activity::Activity;
use crate::listener::tls_socket::is_closed_by_peer;

/// The end of the input, and whether the client still takes bytes.
#[derive(Debug, Default)]
pub(super) struct HeldEnd {
    end: Option<io::Result<()>>,
    is_write_lost: bool,
    /// Whether no request needed the connection at the last poll.
    is_free: bool,
}

impl HeldEnd {
    /// Whether the input has ended.
    pub(super) fn is_held(&self) -> bool {
        self.end.is_some()
    }

    /// Takes the end of the input, an error or `Ok`, and holds it back.
    pub(super) fn hold(&mut self, end: io::Result<()>, cx: &Context<'_>) {
        self.is_write_lost |= end.is_err();
        self.end = Some(end);
        // h2 hands on the requests that it has read only when it finds nothing more to read.
        cx.waker().wake_by_ref();
    }

    /// Returns the end when no request needs the connection any more. The connection's tick polls again.
    pub(super) fn poll_end(
        &mut self,
        activity: &Activity,
        cx: &Context<'_>,
    ) -> Poll<io::Result<()>> {
        let is_free = !self.is_needed(activity);
        let was_free = std::mem::replace(&mut self.is_free, is_free);
        if !is_free {
            return Poll::Pending;
        }
        if !was_free {
            // h2 reads before it writes: the last frames of an answer are written after this poll.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // h2 reads no more after the end.
        Poll::Ready(match &mut self.end {
            Some(end) => std::mem::replace(end, Ok(())),
            None => Ok(()),
        })
    }

    /// Whether a request needs the connection although nothing more comes on it.
    fn is_needed(&self, activity: &Activity) -> bool {
        if self.is_write_lost {
            return activity.has_untaken_body();
        }
        // A body that waits for bytes has broken off: it must learn that at once.
        let is_in_flight =
            activity.in_flight() > 0 && (activity.has_untaken_body() || !activity.has_open_body());
        is_in_flight || activity.is_write_blocked()
    }

    /// Takes a failed write for done until the input has been read to its end and taken. Returns `written`
    /// then.
    pub(super) fn lose<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        written: impl FnOnce() -> T,
    ) -> Poll<io::Result<T>> {
        match polled {
            Poll::Ready(Err(error)) if is_closed_by_peer(&error) => {
                self.is_write_lost = true;
                if self.is_free {
                    Poll::Ready(Err(error))
                } else {
                    Poll::Ready(Ok(written()))
                }
            }
            polled => polled,
        }
    }
}
