//! The body of a request on its way to OSS, and the body of a response on its way to the client.
//!
//! A body is not collected: a frame is passed on as it was received, and the next frame is polled only
//! when the receiver can accept it. Only the last frame of an HTTP/2 upload is held back until the stream
//! has ended. Trailers are dropped, because OSS does not use them and a signature does not cover them.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::http::activity::Activity;
use crate::http::context::{RequestContext, UploadState};

/// The reason why a body ended early.
#[derive(Debug)]
pub enum BodyError {
    /// The HTTP framing of the peer is broken, or its connection failed.
    Http(hyper::Error),
    /// The client reset its HTTP/2 stream before the end of the request body.
    StreamReset,
    /// OSS sent no bytes for the origin's `idle` time.
    OriginStalled,
    /// OSS closed the connection before the announced length was reached.
    OriginGone,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => write!(f, "body broke off: {error}"),
            Self::StreamReset => f.write_str("client reset the stream inside the body"),
            Self::OriginStalled => f.write_str("origin stopped sending the body"),
            Self::OriginGone => f.write_str("origin closed the connection inside the body"),
        }
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Http(error) => Some(error),
            Self::StreamReset | Self::OriginStalled | Self::OriginGone => None,
        }
    }
}

/// An upper bound of the bytes that one HTTP/2 DATA frame has on the wire in addition to the body bytes:
/// the 9 bytes of the frame header, rounded up.
const FRAME: usize = 16;

/// A client's request body.
#[derive(Debug, Default)]
pub enum RequestBody {
    /// No body.
    #[default]
    Empty,
    /// A body that is read from the client's connection.
    Incoming(ClientBody),
}

/// The HTTP/2 stream of a request body. The body reports its progress to the stream, so that the listener
/// can find stalled streams.
pub trait ClientStream: Send + Sync + fmt::Debug {
    /// Records that the body waits for bytes from the client.
    fn note_body_waiting(&self);

    /// Records that the body made progress or no longer waits for the client.
    fn note_body_progress(&self);

    /// Returns the flow-control window of the stream: the maximum number of body bytes in flight.
    fn window(&self) -> usize;
}

/// A body read from a client's connection. The body records in the connection's [`Activity`] when it waits
/// for bytes.
#[derive(Debug)]
pub struct ClientBody {
    inner: Incoming,
    activity: Arc<Activity>,
    /// The HTTP/2 stream; `None` on HTTP/1.1.
    stream: Option<Arc<dyn ClientStream>>,
    is_waiting: bool,
    /// How the body has ended; [`UploadState::Open`] before its end.
    end: UploadState,
    /// The last frame of an HTTP/2 body whose length was announced. The frame is held back until the
    /// stream has ended.
    last_frame: Option<Bytes>,
    /// The request's context; `None` until the access layer has created it.
    context: Option<Arc<RequestContext>>,
}

impl ClientBody {
    /// Wraps hyper's body. `stream` is `None` on HTTP/1.1.
    #[must_use]
    pub fn new(
        inner: Incoming,
        activity: Arc<Activity>,
        stream: Option<Arc<dyn ClientStream>>,
    ) -> Self {
        if stream.is_some() {
            activity.open_body();
        }
        Self {
            inner,
            activity,
            stream,
            is_waiting: false,
            end: UploadState::Open,
            last_frame: None,
            context: None,
        }
    }

    /// Whether the body has been read to its end. The end of a chunked body is known only after a poll has
    /// returned no further frame.
    fn is_whole(&self) -> bool {
        self.last_frame.is_none() && (self.end == UploadState::Whole || self.inner.is_end_stream())
    }

    /// Polls hyper's body. The frame that completes the announced length of an HTTP/2 body is held back
    /// until the stream ends. If that frame were passed on at once, the receiver would treat the body as
    /// complete although END_STREAM is still missing.
    #[inline]
    fn poll_inner(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = poll_data(Pin::new(&mut self.inner), cx);
        if self.stream.is_none() {
            return polled;
        }
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                let is_last = self.inner.size_hint().exact() == Some(0);
                if !is_last || self.inner.is_end_stream() || self.last_frame.is_some() {
                    return Poll::Ready(Some(Ok(frame)));
                }
                self.last_frame = frame.into_data().ok();
                self.poll_inner(cx)
            }
            // hyper also reports the end of the body when the client has reset the stream with NO_ERROR.
            Poll::Ready(None) if !self.inner.is_end_stream() => {
                Poll::Ready(Some(Err(BodyError::StreamReset)))
            }
            Poll::Ready(None) => {
                let last = self.last_frame.take();
                Poll::Ready(last.map(|data| Ok(Frame::data(data))))
            }
            other => other,
        }
    }

    /// Records the end of the body if the poll that returned `polled` has reached the end.
    fn note_end(&mut self, polled: &Poll<Option<Result<Frame<Bytes>, BodyError>>>) {
        let state = match polled {
            Poll::Ready(Some(Err(_))) => UploadState::BrokenOff,
            Poll::Ready(None) => UploadState::Whole,
            Poll::Ready(Some(Ok(_))) if self.is_whole() => UploadState::Whole,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => return,
        };
        if std::mem::replace(&mut self.end, state) != UploadState::Open {
            return;
        }
        if state == UploadState::Whole {
            self.activity.set_in_body(false);
        }
        if let Some(context) = &self.context {
            context.set_upload(state);
        }
        if let Some(stream) = &self.stream {
            let in_flight = if state == UploadState::Whole {
                0
            } else {
                stream.window()
            };
            self.activity.close_body(in_flight);
        }
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            if self.is_waiting {
                stream.note_body_progress();
            }
            if self.end == UploadState::Open {
                let in_flight = if self.is_whole() { 0 } else { stream.window() };
                self.activity.close_body(in_flight);
            }
        }
        if self.is_waiting {
            self.activity.end_body_wait();
        }
        self.activity.set_in_body(false);
        if !self.is_whole() {
            self.activity.note_unread_body();
        }
    }
}

impl From<Incoming> for RequestBody {
    fn from(body: Incoming) -> Self {
        Self::Incoming(ClientBody::new(body, Arc::default(), None))
    }
}

impl RequestBody {
    /// Sets the context in which the body records whether it was read to its end or broke off.
    pub(super) fn set_context(&mut self, context: &Arc<RequestContext>) {
        if let Self::Incoming(body) = self {
            context.set_upload(UploadState::Open);
            body.context = Some(Arc::clone(context));
        }
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
                let polled = body.poll_inner(cx);
                let was_waiting = body.is_waiting;
                body.is_waiting = polled.is_pending();
                match (was_waiting, body.is_waiting) {
                    (false, true) => body.activity.begin_body_wait(),
                    (true, false) => body.activity.end_body_wait(),
                    (true, true) | (false, false) => {}
                }
                body.note_end(&polled);
                if let Some(stream) = &body.stream {
                    match (was_waiting, body.is_waiting) {
                        (_, false) => stream.note_body_progress(),
                        (false, true) => stream.note_body_waiting(),
                        // The receiver may poll because of its own timer. Such a poll must not reset the
                        // stall deadline.
                        (true, true) => {}
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
            Self::Incoming(body) => body.is_whole(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            // The size does not include a last frame that is held back. The receiver asks for the size
            // only before its first poll, when no frame is held back yet.
            Self::Incoming(body) => body.inner.size_hint(),
        }
    }
}

/// Polls the next data frame of `body`. Trailers are dropped.
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

/// Reads a short body to its end and drops it, so that its connection can be reused. A longer body is
/// dropped after about 64 KiB. Cancel-safe: the body is dropped with the future.
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

/// A body from the origin in a box, which hides the type of the body from the layers.
pub type BoxedBody = Pin<Box<dyn Body<Data = Bytes, Error = BodyError> + Send>>;

/// The body of a response.
#[derive(Default)]
pub enum ResponseBody {
    /// No body.
    #[default]
    Empty,
    /// A body made by the proxy, or a body that was already complete when the response head was read.
    Full(Bytes),
    /// A body from the origin. It owns the upstream connection from which it is read. The box keeps the
    /// type of the body out of the signature of every layer, and keeps the futures of the layers small.
    Stream(BoxedBody),
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
