//! The answer's body on its way from OSS.
//!
//! It owns the upstream connection: polling the body polls the connection, so no task and no channel
//! stands between the two sockets. When the body has ended cleanly the connection goes back to the
//! pool; when it is dropped before, the connection is closed with it. A body that breaks ends with
//! an error, so that what the client receives never looks complete.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::http::BodyError;
use crate::http::body::poll_data;
use crate::origin::pool::{self, Connection};
use crate::origin::upload::Upload;

/// An answer's body together with the connection it is read from.
pub struct Download {
    inner: Incoming,
    connection: Option<Connection>,
    /// The upstream the connection goes back to.
    pool: u64,
    /// The request's body, if it was still on its way when the answer began.
    upload: Option<Arc<Upload>>,
    idle: Duration,
    /// When the head or the last frame came.
    last_frame: Instant,
    has_waited: bool,
    has_failed: bool,
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

impl Download {
    /// `idle`: longest silence inside the body.
    #[must_use]
    pub fn new(
        inner: Incoming,
        connection: Connection,
        pool: u64,
        upload: Option<Arc<Upload>>,
        idle: Duration,
        now: Instant,
    ) -> Self {
        Self {
            inner,
            connection: Some(connection),
            pool,
            upload,
            idle,
            last_frame: now,
            has_waited: false,
            has_failed: false,
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(connection) = &mut self.connection else {
            return poll_data(Pin::new(&mut self.inner), cx);
        };
        let mut driver = connection.driver.turn(cx);
        // The connection wakes this task; the channel between it and the body need not.
        let mut quiet = Context::from_waker(Waker::noop());
        if let Poll::Ready(frame) = poll_data(Pin::new(&mut self.inner), &mut quiet) {
            return Poll::Ready(frame);
        }
        if driver.poll() {
            drop(driver);
            self.connection = None;
            return poll_data(Pin::new(&mut self.inner), cx);
        }
        poll_data(Pin::new(&mut self.inner), &mut quiet)
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(connection) = &mut self.connection else {
            return Poll::Pending;
        };
        self.has_waited = true;
        let due = self.last_frame + self.idle;
        let timer = &mut connection.timer;
        loop {
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            // Set for an earlier wait.
            timer.as_mut().reset(due);
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match this.poll_body(cx) {
            Poll::Ready(frame) => {
                if this.has_waited {
                    this.last_frame = Instant::now();
                }
                this.has_failed |= matches!(frame, Some(Err(_)));
                Poll::Ready(frame)
            }
            Poll::Pending => {
                ready!(this.poll_silence(cx));
                this.has_failed = true;
                this.connection = None;
                Poll::Ready(Some(Err(BodyError::OriginStalled)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream() && !self.has_failed
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        let is_upload_over = self.upload.as_ref().is_none_or(|upload| upload.is_done());
        if let Some(connection) = self.connection.take()
            && self.inner.is_end_stream()
            && is_upload_over
            && !self.has_failed
        {
            pool::check_in(self.pool, connection, self.last_frame);
        }
    }
}
