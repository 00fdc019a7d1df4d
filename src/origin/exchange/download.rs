//! The body of a response, read from OSS.
//!
//! The body owns the upstream connection. Polling the body also polls the connection, so no separate task is
//! needed. When the body is complete, the connection returns to the pool. When the body is dropped before its
//! end, the connection is closed. After a connection error, the body is resumed on another connection if
//! possible ([`super::resume`]). Otherwise the body ends with an error, so that the client never takes it for
//! complete.

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
use crate::origin::endpoint::address_health::Address;
use crate::origin::exchange::resume::{ResumePlan, Resuming};
use crate::origin::link::connection::Connection;
use crate::origin::link::pool;
use crate::origin::link::reuse::Age;
use crate::origin::link::upload::Upload;

/// How to handle a connection error inside the body.
enum Resume {
    /// The error is passed to the client.
    Never,
    /// The rest of the body can be requested.
    Ready(Box<ResumePlan>),
    /// The rest of the body is being requested after this error.
    Running(Resuming, BodyError),
}

/// The result of polling a body.
pub(super) type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// Returns the part of `body` that hyper read together with the head of the response; `Pending` if there is
/// none.
pub(super) fn poll_early(body: &mut Incoming) -> Polled {
    poll_data(Pin::new(body), &mut Context::from_waker(Waker::noop()))
}

/// The body of a response, with the connection that it is read from.
pub(crate) struct Download {
    /// The part of the body that arrived with the head, until it is passed on.
    early: Polled,
    inner: Incoming,
    connection: Option<Connection>,
    /// The id of the host whose pool the connection returns to.
    host_id: u64,
    /// The body of the request, if it was not sent completely when the response began.
    upload: Option<Arc<Upload>>,
    idle: Duration,
    /// The arrival time of the head. If the body had to wait for a frame, the arrival time of the last such
    /// frame.
    last_frame: Instant,
    /// The time of the first poll that did not find the next frame; `None` before such a poll. The body is
    /// polled only if the client can receive data, so the wait for a slow client is not counted.
    waits_since: Option<Instant>,
    has_failed: bool,
    /// The address of the connection, if the connection is new and the address is ejected. A complete
    /// response makes the address healthy again.
    doubted: Option<Arc<Address>>,
    resume: Resume,
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

impl Download {
    /// Creates the body. `early` is the result of [`poll_early`] for `inner`. `idle` is the idle timeout of
    /// the body. `plan` describes how to resume the body after a connection error.
    #[must_use]
    pub(super) fn new(
        (early, inner): (Polled, Incoming),
        connection: Connection,
        host_id: u64,
        upload: Option<Arc<Upload>>,
        idle: Duration,
        now: Instant,
        plan: Option<Box<ResumePlan>>,
    ) -> Self {
        let is_doubted = connection.age == Age::Fresh && connection.address.is_ejected();
        Self {
            early,
            inner,
            doubted: is_doubted.then(|| Arc::clone(&connection.address)),
            connection: Some(connection),
            host_id,
            upload,
            idle,
            last_frame: now,
            waits_since: None,
            has_failed: false,
            resume: plan.map_or(Resume::Never, Resume::Ready),
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Polled {
        if self.early.is_ready() {
            return std::mem::replace(&mut self.early, Poll::Pending);
        }
        let Some(connection) = &mut self.connection else {
            return poll_data(Pin::new(&mut self.inner), cx);
        };
        let mut driver = connection.driver.turn(cx);
        // The connection wakes this task, so hyper's channel from the connection to the body needs no waker.
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
        let due = *self.waits_since.get_or_insert_with(Instant::now) + self.idle;
        let timer = &mut connection.timer;
        loop {
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            // The timer was set for an earlier wait.
            timer.as_mut().reset(due);
        }
    }
}

impl Download {
    /// Handles a connection error: starts to request the rest, or ends the body with `error`.
    fn break_off(&mut self, error: BodyError) -> Result<(), BodyError> {
        self.connection = None;
        self.doubted = None;
        let error = match std::mem::replace(&mut self.resume, Resume::Never) {
            Resume::Ready(plan) => match plan.resume(Instant::now()) {
                Some(running) => {
                    self.resume = Resume::Running(running, error);
                    return Ok(());
                }
                None => error,
            },
            Resume::Never | Resume::Running(..) => error,
        };
        self.has_failed = true;
        Err(error)
    }

    /// If the rest of the body is being requested, waits until it begins.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let Resume::Running(running, _) = &mut self.resume else {
            return Poll::Ready(Ok(()));
        };
        let (plan, rest) = ready!(running.as_mut().poll(cx));
        if let Some((inner, connection)) = rest {
            self.inner = inner;
            self.connection = Some(connection);
            self.host_id = plan.host_id();
            self.last_frame = Instant::now();
            self.waits_since = None;
            self.resume = Resume::Ready(plan);
            return Poll::Ready(Ok(()));
        }
        self.has_failed = true;
        match std::mem::replace(&mut self.resume, Resume::Never) {
            Resume::Running(_, error) => Poll::Ready(Err(error)),
            Resume::Never | Resume::Ready(_) => Poll::Ready(Err(BodyError::OriginGone)),
        }
    }

    /// Converts the result of polling the current connection (a frame, EOF or an error) into the result for
    /// the whole body. Starts a resume if the body broke off early.
    fn take(
        &mut self,
        frame: Option<Result<Frame<Bytes>, BodyError>>,
    ) -> Option<Result<Frame<Bytes>, BodyError>> {
        if self.waits_since.take().is_some() {
            self.last_frame = Instant::now();
        }
        match frame {
            Some(Ok(frame)) => {
                if let (Resume::Ready(plan), Some(data)) = (&mut self.resume, frame.data_ref()) {
                    plan.note(data.len());
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => self.break_off(error).err().map(Err),
            None if matches!(&self.resume, Resume::Ready(plan) if plan.is_short()) => {
                self.break_off(BodyError::OriginGone).err().map(Err)
            }
            None => {
                // The connection is not returned to the pool here, but when the [`Download`] is dropped. If
                // the connection ended together with the body, there is nothing to return.
                if let Some(address) = self.doubted.take() {
                    address.note_success();
                }
                None
            }
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        loop {
            if let Err(error) = ready!(this.poll_rest(cx)) {
                return Poll::Ready(Some(Err(error)));
            }
            let frame = match this.poll_body(cx) {
                Poll::Ready(frame) => this.take(frame),
                Poll::Pending => {
                    ready!(this.poll_silence(cx));
                    this.take(Some(Err(BodyError::OriginStalled)))
                }
            };
            if !matches!(this.resume, Resume::Running(..)) {
                return Poll::Ready(frame);
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
            && self.early.is_pending()
            && !self.has_failed
            && !matches!(self.resume, Resume::Running(..))
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.inner.size_hint();
        match (left.exact(), &self.early) {
            (Some(left), Poll::Ready(Some(Ok(frame)))) => {
                let early = frame.data_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(left.saturating_add(u64::try_from(early).unwrap_or(u64::MAX)))
            }
            _ => left,
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if let Some(address) = self.doubted.take()
            && self.inner.is_end_stream()
            && !self.has_failed
        {
            address.note_success();
        }
        let is_upload_over = self.upload.as_ref().is_none_or(|upload| upload.is_done());
        if let Some(connection) = self.connection.take()
            && self.inner.is_end_stream()
            && is_upload_over
            && !self.has_failed
        {
            pool::check_in(self.host_id, connection, self.last_frame);
        }
    }
}
