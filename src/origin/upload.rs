//! The request body on its way to OSS.
//!
//! Frames pass through one by one, when the upstream connection can take them. The gate keeps a body
//! back while the client waits for `100 Continue`: hyper tells the client to go on when the body is
//! first asked for, so the body must not be asked for before OSS has said so. The body itself stays
//! in [`Upload`], so that a request none of whose body was read can be sent again.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::http::{BodyError, RequestBody};

const OPEN: u8 = 0;
const HELD: u8 = 1;
const FROZEN: u8 = 2;

/// One request's body and how far it has come.
#[derive(Debug)]
pub struct Upload {
    body: Mutex<RequestBody>,
    gate: AtomicU8,
    sent: AtomicU64,
    has_yielded: AtomicBool,
    is_done: AtomicBool,
    has_failed: AtomicBool,
    waits_for_client: AtomicBool,
}

impl Upload {
    /// Takes the body; `is_held` keeps it back until [`Upload::open_gate`].
    #[must_use]
    pub fn new(body: RequestBody, is_held: bool) -> Arc<Self> {
        Arc::new(Self {
            body: Mutex::new(body),
            gate: AtomicU8::new(if is_held { HELD } else { OPEN }),
            sent: AtomicU64::new(0),
            has_yielded: AtomicBool::new(false),
            is_done: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            waits_for_client: AtomicBool::new(false),
        })
    }

    /// Lets a held body go. Whoever calls this must poll the connection again.
    pub fn open_gate(&self) {
        if self.is_held() {
            self.gate.store(OPEN, Relaxed);
        }
    }

    /// Whether the body is still held back.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.gate.load(Relaxed) == HELD
    }

    /// Stops the body for good: OSS has answered and will not read the rest.
    pub fn freeze(&self) {
        self.gate.store(FROZEN, Relaxed);
    }

    /// Bytes handed to the upstream connection.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Whether the whole body has been handed over.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_done.load(Relaxed)
    }

    /// Whether the client's body broke off.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Relaxed)
    }

    /// Whether nothing of the body has been read.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        !self.has_yielded.load(Relaxed)
    }

    /// Whether the next bytes are the client's to send.
    #[must_use]
    pub fn waits_for_client(&self) -> bool {
        self.waits_for_client.load(Relaxed)
    }
}

/// The body type of the upstream connection.
#[derive(Debug)]
pub enum UploadBody {
    /// No body.
    Empty,
    /// A body read through its [`Upload`].
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
        if upload.gate.load(Relaxed) != OPEN {
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
