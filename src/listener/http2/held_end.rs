//! Hides the end of an HTTP/2 client's input from h2 until the requests before it have ended.
//!
//! At the end of the input, h2 drops everything: requests that arrived just before it, complete uploads
//! that have not been read yet, and responses that a half-closed client still reads. A failed write has
//! the same effect. So the end is held back while a request needs the connection. This module can be
//! removed when h2 keeps streams whose END_STREAM has arrived.

use std::io;
use std::task::{Context, Poll};

use crate::http::activity::Activity;
use crate::listener::tls_socket::is_closed_by_peer;

/// The held-back end of the input, and whether writes to the client fail.
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

    /// Stores the end of the input, an error or `Ok`, and holds it back.
    pub(super) fn hold(&mut self, end: io::Result<()>, cx: &Context<'_>) {
        self.is_write_lost |= end.is_err();
        self.end = Some(end);
        // h2 passes on the requests that it has read only when it finds nothing more to read, so it is
        // polled again.
        cx.waker().wake_by_ref();
    }

    /// Returns the end of the input once no request needs the connection. Until then the connection's
    /// tick polls again.
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
            // h2 reads before it writes. The last frames of a response are written after this poll.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // h2 does not read again after the end.
        Poll::Ready(match &mut self.end {
            Some(end) => std::mem::replace(end, Ok(())),
            None => Ok(()),
        })
    }

    /// Whether a request still needs the connection after the end of its input.
    fn is_needed(&self, activity: &Activity) -> bool {
        if self.is_write_lost {
            return activity.has_untaken_body();
        }
        // A body that still waits for bytes is incomplete. Its request must fail at once.
        let is_in_flight =
            activity.in_flight() > 0 && (activity.has_untaken_body() || !activity.has_open_body());
        is_in_flight || activity.is_write_blocked()
    }

    /// Reports a failed write as successful, with the value of `written`, until all of the input has been
    /// read. After that the error is returned.
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
