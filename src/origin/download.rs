//! The answer's body on its way from OSS.
//!
//! It owns the upstream connection: polling the body polls the connection, so no task and no channel
//! stands between the two sockets. When the body has ended cleanly the connection goes back to the
//! pool; when it is dropped before, the connection is closed with it. A body that breaks ends with
//! an error, so that what the client receives never looks complete, unless the rest can be had on
//! another connection ([`super::resume`]).

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
use crate::origin::address::Address;
use crate::origin::pool::{self, Connection};
use crate::origin::resume::{Going, Plan};
use crate::origin::upload::Upload;

/// What becomes of the body when it breaks.
enum Resume {
    /// It stays broken.
    Never,
    /// It may go on.
    Ready(Box<Plan>),
    /// It has broken, and the rest is being asked for.
    Going(Going, BodyError),
}

/// What polling a body gives.
pub(super) type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// What of `body` came with the answer's head: hyper has read it by the time it gives the head out.
pub(super) fn poll_early(body: &mut Incoming) -> Polled {
    poll_data(Pin::new(body), &mut Context::from_waker(Waker::noop()))
}

/// An answer's body together with the connection it is read from.
pub struct Download {
    /// What came with the head and was not handed on yet.
    early: Polled,
    inner: Incoming,
    connection: Option<Connection>,
    /// The upstream the connection goes back to.
    pool: u64,
    /// The request's body, if it was still on its way when the answer began.
    upload: Option<Arc<Upload>>,
    idle: Duration,
    /// When the head came, or the last frame that was waited for.
    last_frame: Instant,
    /// Since when the next frame has been waited for: a client that does not take what is there is
    /// no silence of OSS.
    waits_since: Option<Instant>,
    has_failed: bool,
    /// The address, where it is set aside and a whole answer shows that it works again.
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
    /// `early`: what [`poll_early`] gave for `inner`. `idle`: longest silence inside the body.
    /// `plan`: how the body goes on when it breaks.
    #[must_use]
    pub(super) fn new(
        (early, inner): (Polled, Incoming),
        connection: Connection,
        pool: u64,
        upload: Option<Arc<Upload>>,
        idle: Duration,
        now: Instant,
        plan: Option<Box<Plan>>,
    ) -> Self {
        let is_doubted = !connection.is_reused && connection.address.is_ejected();
        Self {
            early,
            inner,
            doubted: is_doubted.then(|| Arc::clone(&connection.address)),
            connection: Some(connection),
            pool,
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
            // Set for an earlier wait.
            timer.as_mut().reset(due);
        }
    }
}

impl Download {
    /// The body has broken for `error`: looks for the rest, or lets it be broken.
    fn break_off(&mut self, error: BodyError) -> Result<(), BodyError> {
        self.connection = None;
        self.doubted = None;
        let error = match std::mem::replace(&mut self.resume, Resume::Never) {
            Resume::Ready(plan) => match plan.go_on(Instant::now()) {
                Ok(going) => {
                    self.resume = Resume::Going(going, error);
                    return Ok(());
                }
                Err(_pointless) => error,
            },
            Resume::Never | Resume::Going(..) => error,
        };
        self.has_failed = true;
        Err(error)
    }

    /// Waits for the rest, if it is being asked for.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let Resume::Going(going, _) = &mut self.resume else {
            return Poll::Ready(Ok(()));
        };
        let (plan, rest) = ready!(going.as_mut().poll(cx));
        if let Some((inner, connection)) = rest {
            self.inner = inner;
            self.connection = Some(connection);
            self.pool = plan.pool();
            self.last_frame = Instant::now();
            self.waits_since = None;
            self.resume = Resume::Ready(plan);
            return Poll::Ready(Ok(()));
        }
        self.has_failed = true;
        match std::mem::replace(&mut self.resume, Resume::Never) {
            Resume::Going(_, error) => Poll::Ready(Err(error)),
            Resume::Never | Resume::Ready(_) => Poll::Ready(Err(BodyError::OriginGone)),
        }
    }

    /// What a frame, an end or an error of the present connection means for the whole body.
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
                // It may have ended with its connection.
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
            if !matches!(this.resume, Resume::Going(..)) {
                return Poll::Ready(frame);
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
            && self.early.is_pending()
            && !self.has_failed
            && !matches!(self.resume, Resume::Going(..))
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
            pool::check_in(self.pool, connection, self.last_frame);
        }
    }
}
