//! Hides an EOF or read error of an HTTP/2 client from h2 until the requests that arrived earlier have
//! ended.
//!
//! At an EOF or read error, h2 drops everything: requests that arrived just before it, complete uploads
//! that have not been read yet, and responses that a half-closed client still reads. A failed write has
//! the same effect. So while a request needs the connection, an EOF or read error is held back, and a
//! failed write is reported as successful. This module can be removed when h2 keeps streams whose
//! END_STREAM has arrived.

use std::io;
use std::task::{Context, Poll};

use crate::http::activity::Activity;
use crate::listener::tls_socket::is_closed_by_peer;

/// An EOF or read error that is not yet passed to h2, and whether writes to the client fail.
#[derive(Debug, Default)]
pub(super) struct HeldEnd {
    end: Option<io::Result<()>>,
    is_write_lost: bool,
    /// Whether no request needed the connection at the last poll.
    is_free: bool,
}

impl HeldEnd {
    /// Whether the client's input has reached an EOF or a read error.
    pub(super) fn is_held(&self) -> bool {
        self.end.is_some()
    }

    /// Stores an EOF (`Ok`) or a read error, and holds it back.
    pub(super) fn hold(&mut self, end: io::Result<()>, cx: &Context<'_>) {
        self.is_write_lost |= end.is_err();
        self.end = Some(end);
        // h2 does not pass on the requests that it has read until a read returns `Pending`. The caller
        // returns `Pending` for this read, and the waker causes the next poll.
        cx.waker().wake_by_ref();
    }

    /// Returns the EOF or read error if no request needs the connection. Otherwise returns `Pending`, and
    /// the next tick of the connection polls again.
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
            // h2 reads before it writes, so the last frames of a response are written after this read.
            // The next read returns the EOF or read error.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // The error can be moved out, because h2 does not read again after an EOF or an error.
        Poll::Ready(match &mut self.end {
            Some(end) => std::mem::replace(end, Ok(())),
            None => Ok(()),
        })
    }

    /// Whether a request still needs the connection after an EOF or read error.
    fn is_needed(&self, activity: &Activity) -> bool {
        if self.is_write_lost {
            return activity.has_untaken_body();
        }
        // After the EOF, an open body that still waits for bytes can never be completed. Its request must
        // fail at once.
        let is_in_flight =
            activity.in_flight() > 0 && (activity.has_untaken_body() || !activity.has_open_body());
        is_in_flight || activity.is_write_blocked()
    }

    /// Reports a failed write as successful, with the value of `written`, while input is left to read or a
    /// request needs the connection. After that, the error is returned.
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
