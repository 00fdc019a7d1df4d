//! The request body on its way to OSS.
//!
//! Frames pass one by one, as fast as the upstream connection accepts them. A gate holds the body while
//! the client waits for `100 Continue`: hyper sends `100 Continue` to the client when the body is first
//! polled, so the body must not be polled before OSS has sent its own. The body stays in [`Upload`], so
//! that a request can be sent again as long as none of its body was read.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::http::{BodyError, RequestBody};

/// Whether the body may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Gate {
    /// It may.
    Open,
    /// Not before OSS has sent `100 Continue`.
    Held,
    /// Never again: OSS has answered and does not read the rest.
    Frozen,
}

/// The body of one request, and how much of it was sent.
#[derive(Debug)]
pub(crate) struct Upload {
    body: Mutex<RequestBody>,
    gate: AtomicU8,
    sent: AtomicU64,
    has_yielded: AtomicBool,
    is_done: AtomicBool,
    has_failed: AtomicBool,
    waits_for_client: AtomicBool,
}

impl Upload {
    /// Takes the body. [`Gate::Held`] holds it until [`Upload::open_gate`].
    #[must_use]
    pub(crate) fn new(body: RequestBody, gate: Gate) -> Arc<Self> {
        Arc::new(Self {
            body: Mutex::new(body),
            gate: AtomicU8::new(gate as u8),
            sent: AtomicU64::new(0),
            has_yielded: AtomicBool::new(false),
            is_done: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            waits_for_client: AtomicBool::new(false),
        })
    }

    /// Releases a held body. The caller must poll the connection again.
    pub(crate) fn open_gate(&self) {
        if self.is_held() {
            self.gate.store(Gate::Open as u8, Relaxed);
        }
    }

    /// Whether the body is held.
    #[must_use]
    pub(crate) fn is_held(&self) -> bool {
        self.gate.load(Relaxed) == Gate::Held as u8
    }

    /// Stops the body for good: OSS has answered and does not read the rest.
    pub(crate) fn freeze(&self) {
        self.gate.store(Gate::Frozen as u8, Relaxed);
    }

    /// The number of bytes handed to the upstream connection.
    #[must_use]
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Whether the whole body was handed to the upstream connection.
    #[must_use]
    pub(crate) fn is_done(&self) -> bool {
        self.is_done.load(Relaxed)
    }

    /// Whether the body of the client broke off.
    #[must_use]
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Relaxed)
    }

    /// Whether no byte of the body was read.
    #[must_use]
    pub(crate) fn is_untouched(&self) -> bool {
        !self.has_yielded.load(Relaxed)
    }

    /// Whether the body waits for bytes from the client.
    #[must_use]
    pub(crate) fn waits_for_client(&self) -> bool {
        self.waits_for_client.load(Relaxed)
    }
}

/// The body type of the upstream connection.
#[derive(Debug)]
pub(crate) enum UploadBody {
    /// No body.
    Empty,
    /// A body, read through its [`Upload`].
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
        // One task polls the body, so the lock is never contended.
        let mut body = upload.body.lock().unwrap_or_else(PoisonError::into_inner);
        let polled = Pin::new(&mut *body).poll_frame(cx);
        upload.waits_for_client.store(polled.is_pending(), Relaxed);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                upload.has_yielded.store(true, Relaxed);
                upload
                    .sent
                    .fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Relaxed);
                if body.is_end_stream() {
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
            Self::Stream(upload) => {
                upload.is_done()
                    || upload
                        .body
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream(upload) => upload
                .body
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .size_hint(),
        }
    }
}
