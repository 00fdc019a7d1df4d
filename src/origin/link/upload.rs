//! The request body that is sent to OSS.
//!
//! Frames are forwarded one at a time, as fast as the upstream connection accepts them. A gate holds the body
//! while the client waits for `100 Continue`. hyper sends `100 Continue` to the client when the body is first
//! polled. Therefore the body must not be polled before OSS has sent its own `100 Continue`.
//!
//! [`Upload`] owns the body. It keeps a small body until the response begins ([`super::retained`]), so that
//! the request can be sent again.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::http::{BodyError, RequestBody};
use crate::origin::link::retained::{MOST, Retained};

/// Whether the body may be read from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Gate {
    /// The body may be read.
    Open,
    /// The body must not be read before OSS has sent `100 Continue`.
    Held,
    /// The body must not be read any more: OSS has sent its response and does not read the rest.
    Frozen,
}

/// Whether the bytes of a body are kept until the response begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retention {
    /// The bytes are kept, up to the limits of [`retained`](super::retained).
    Kept,
    /// The bytes are not kept, because the request must not be sent twice.
    Discarded,
}

/// The body of one request, and its progress.
#[derive(Debug)]
pub(crate) struct Upload {
    /// The source of the frames. Only one task polls the body, so the lock is never contended.
    source: Mutex<Source>,
    gate: AtomicU8,
    /// The number of bytes read from the client.
    received: AtomicU64,
    /// The number of bytes sent in the current attempt.
    sent: AtomicU64,
    is_done: AtomicBool,
    has_failed: AtomicBool,
    waits_for_client: AtomicBool,
    /// The length of the body if the client announced it; otherwise `None`.
    length: Option<u64>,
}

/// The source of the frames of a body: the kept frames first, then the client.
#[derive(Debug)]
struct Source {
    body: RequestBody,
    /// The frames read up to now; `None` if they are not kept.
    retained: Option<Retained>,
    /// The index in `retained` of the next frame to send again. After the last kept frame, `body` is read.
    next: usize,
    is_untouched: bool,
}

impl Upload {
    /// Wraps `body`. With [`Gate::Held`], the body is held until [`Upload::open_gate`] is called.
    #[must_use]
    pub(crate) fn new(body: RequestBody, gate: Gate, retention: Retention) -> Arc<Self> {
        let length = body.size_hint().exact();
        let is_small = length.is_none_or(|length| length <= MOST as u64);
        let is_kept = retention == Retention::Kept && is_small;
        Arc::new(Self {
            source: Mutex::new(Source {
                body,
                retained: is_kept.then(Retained::default),
                next: 0,
                is_untouched: true,
            }),
            gate: AtomicU8::new(gate as u8),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            is_done: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            waits_for_client: AtomicBool::new(false),
            length,
        })
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client announced the length 0. An [`Upload`] is created only for a body that has not
    /// ended, so this occurs only with HTTP/2, where the client may still reset the stream.
    #[must_use]
    pub(crate) fn is_announced_empty(&self) -> bool {
        self.length == Some(0)
    }

    /// Reads a body of the announced length 0 to its end. Returns false if the client resets the stream or
    /// sends bytes.
    pub(crate) async fn reads_empty(&self) -> bool {
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut self.source().body).poll_frame(cx)).await;
            match frame {
                None => return true,
                Some(Ok(frame)) if frame.data_ref().is_none_or(Bytes::is_empty) => {}
                Some(Ok(_) | Err(_)) => return false,
            }
        }
    }

    /// Releases a held body. The caller must poll the connection again.
    pub(crate) fn open_gate(&self) {
        if self.is_held() {
            self.gate.store(Gate::Open as u8, Relaxed);
        }
    }

    /// Whether the body is held until OSS sends `100 Continue`.
    #[must_use]
    pub(crate) fn is_held(&self) -> bool {
        self.gate.load(Relaxed) == Gate::Held as u8
    }

    /// Stops the body permanently: OSS has sent its response and does not read the rest.
    pub(crate) fn freeze(&self) {
        self.gate.store(Gate::Frozen as u8, Relaxed);
    }

    /// Prepares another attempt, which sends the body from its beginning.
    pub(crate) fn rewind(&self) {
        self.source().next = 0;
        self.sent.store(0, Relaxed);
        self.is_done.store(false, Relaxed);
    }

    /// Drops the kept frames, because the response has begun.
    pub(crate) fn release(&self) {
        self.source().retained = None;
    }

    /// Returns the number of bytes read from the client.
    #[must_use]
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Returns the number of bytes passed to the upstream connection in the current attempt.
    #[must_use]
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Whether the whole body was passed to the upstream connection.
    #[must_use]
    pub(crate) fn is_done(&self) -> bool {
        self.is_done.load(Relaxed)
    }

    /// Whether the client's body ended with an error.
    #[must_use]
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Relaxed)
    }

    /// Whether the body can be sent from its beginning: no byte of it was read, or all bytes read are kept.
    #[must_use]
    pub(crate) fn is_repeatable(&self) -> bool {
        let source = self.source();
        (source.is_untouched || source.retained.is_some()) && !self.has_failed()
    }

    /// Whether the body waits for bytes from the client.
    #[must_use]
    pub(crate) fn waits_for_client(&self) -> bool {
        self.waits_for_client.load(Relaxed)
    }

    fn note_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }
}

impl Source {
    /// Returns the next kept frame that was not sent in this attempt.
    fn repeated(&mut self) -> Option<Bytes> {
        let frame = self.retained.as_ref()?.frame(self.next)?.clone();
        self.next += 1;
        Some(frame)
    }

    fn has_repeated(&self) -> bool {
        let retained = self.retained.as_ref();
        retained.is_some_and(|retained| retained.frame(self.next).is_some())
    }

    /// Keeps a frame that was read from the client, unless a limit is exceeded.
    fn retain(&mut self, data: &Bytes) {
        self.is_untouched = false;
        if let Some(retained) = self.retained.take() {
            self.retained = retained.push(data.clone());
            self.next += 1;
        }
    }

    fn is_over(&self) -> bool {
        !self.has_repeated() && self.body.is_end_stream()
    }
}

/// The body type of upstream requests.
#[derive(Debug)]
pub(crate) enum UploadBody {
    /// A request without a body.
    Empty,
    /// A body that is read through its [`Upload`].
    Stream(Arc<Upload>),
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self::Stream(upload) = self.get_mut() else {
            return Poll::Ready(None);
        };
        if upload.gate.load(Relaxed) != Gate::Open as u8 {
            return Poll::Pending;
        }
        let mut source = upload.source();
        if let Some(frame) = source.repeated() {
            upload.note_sent(frame.len());
            upload.is_done.store(source.is_over(), Relaxed);
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        let polled = Pin::new(&mut source.body).poll_frame(cx);
        upload.waits_for_client.store(polled.is_pending(), Relaxed);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    upload.received.fetch_add(data.len() as u64, Relaxed);
                    upload.note_sent(data.len());
                    source.retain(data);
                }
                if source.is_over() {
                    upload.is_done.store(true, Relaxed);
                }
            }
            Poll::Ready(None) => upload.is_done.store(true, Relaxed),
            Poll::Ready(Some(Err(_))) => upload.has_failed.store(true, Relaxed),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(upload) => upload.is_done() || upload.source().is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            // The size is exact only if the client sent `Content-Length`. A chunked body that has already
            // arrived completely also has a known size. But with an exact size, hyper would replace the
            // chunked encoding by `Content-Length`.
            Self::Stream(upload) => match upload.length {
                Some(length) => SizeHint::with_exact(length.saturating_sub(upload.sent())),
                None => SizeHint::default(),
            },
        }
    }
}
