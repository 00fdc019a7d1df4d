//! The body of a request on its way to OSS and the body of an answer on its way back.
//!
//! Nothing here buffers: a frame is handed on as it was received, and is asked for only when the
//! other side can take it. Trailers end here, because OSS has no use for them and a signature does
//! not cover them.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::http::activity::Activity;

/// Why a body ended before its end.
#[derive(Debug)]
pub enum BodyError {
    /// The peer's HTTP framing broke, or its connection did.
    Http(hyper::Error),
    /// OSS sent nothing for the origin's `idle` time.
    OriginStalled,
    /// The origin's connection ended before the announced length.
    OriginGone,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => write!(f, "body broke off: {error}"),
            Self::OriginStalled => f.write_str("origin stopped sending the body"),
            Self::OriginGone => f.write_str("origin closed the connection inside the body"),
        }
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Http(error) => Some(error),
            Self::OriginStalled | Self::OriginGone => None,
        }
    }
}

/// A frame's own bytes, and a few more.
const FRAME: usize = 16;

/// A client's request body.
#[derive(Debug, Default)]
pub enum RequestBody {
    /// No body at all.
    #[default]
    Empty,
    /// The body as hyper reads it from the client.
    Incoming(ClientBody),
}

/// Is told whether a request's body waits for its client.
pub trait Waits: Send + Sync + fmt::Debug {
    /// It does, or something has moved.
    fn set_waiting(&self, is: bool);

    /// Bytes of the body that may be on their way: the window of its stream.
    fn window(&self) -> usize;
}

/// A body read from a client's connection, which tells that connection when it waits for bytes.
#[derive(Debug)]
pub struct ClientBody {
    inner: Incoming,
    activity: Arc<Activity>,
    /// The stream it comes on; absent on HTTP/1.1.
    stream: Option<Arc<dyn Waits>>,
    is_waiting: bool,
}

impl ClientBody {
    /// Wraps hyper's body.
    #[must_use]
    pub fn new(inner: Incoming, activity: Arc<Activity>, stream: Option<Arc<dyn Waits>>) -> Self {
        if stream.is_some() {
            activity.open_body();
        }
        Self {
            inner,
            activity,
            stream,
            is_waiting: false,
        }
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            if self.is_waiting {
                stream.set_waiting(false);
            }
            let is_whole = self.inner.is_end_stream();
            let on_its_way = if is_whole { 0 } else { stream.window() };
            self.activity.close_body(on_its_way);
        }
        self.activity.set_body_waiting(&mut self.is_waiting, false);
        self.activity.set_in_body(false);
        if !self.inner.is_end_stream() {
            self.activity.note_unread_body();
        }
    }
}

impl From<Incoming> for RequestBody {
    fn from(body: Incoming) -> Self {
        Self::Incoming(ClientBody::new(body, Arc::default(), None))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Incoming(body) => {
                let polled = poll_data(Pin::new(&mut body.inner), cx);
                if body.inner.is_end_stream() || matches!(polled, Poll::Ready(None)) {
                    body.activity.set_in_body(false);
                }
                let was_waiting = body.is_waiting;
                body.activity
                    .set_body_waiting(&mut body.is_waiting, polled.is_pending());
                if let Some(stream) = &body.stream {
                    // Asked again in vain is not moved: whoever asks has timers of its own.
                    if !(was_waiting && body.is_waiting) {
                        stream.set_waiting(body.is_waiting);
                    }
                    if let Poll::Ready(Some(Ok(frame))) = &polled
                        && let Some(length @ 1..) = frame.data_ref().map(Bytes::len)
                    {
                        body.activity.earn(length.saturating_add(FRAME));
                    }
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Incoming(body) => body.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Incoming(body) => body.inner.size_hint(),
        }
    }
}

/// The next data frame of `body`; trailers are dropped.
#[inline]
pub(crate) fn poll_data(
    mut body: Pin<&mut Incoming>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    loop {
        return match body.as_mut().poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => Poll::Ready(Some(Ok(frame))),
            Poll::Ready(Some(Ok(_trailers))) => continue,
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::Http(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        };
    }
}

/// Reads the rest of a short body and drops it, so that its connection can be used again; a long one
/// is dropped as it is.
pub async fn discard(mut body: ResponseBody) {
    const LONG: usize = 64 * 1024;
    let mut length = 0;
    while length < LONG && !body.is_end_stream() {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        match frame {
            Some(Ok(frame)) => length += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => return,
        }
    }
}

/// A streamed body whose concrete type is known only to the part that made it.
pub type Stream = Pin<Box<dyn Body<Data = Bytes, Error = BodyError> + Send>>;

/// The body of an answer.
#[derive(Default)]
pub enum ResponseBody {
    /// No body.
    #[default]
    Empty,
    /// A body the proxy made itself, or one that came whole with its head.
    Full(Bytes),
    /// A body from the origin. Boxed: it carries the upstream connection it is read from, and the
    /// box keeps that type out of every layer's signature and out of their futures' size.
    Stream(Stream),
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Full(_) => "Full",
            Self::Stream(_) => "Stream",
        })
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Stream(stream) => stream.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => {
                SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}
