//! The adapter between hyper and the service of a connection. It converts the request type and records
//! the beginning and the end of each request in the connection's [`Activity`].

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower::Service;

use crate::http::activity::Activity;
use crate::http::body::{ClientBody, Waits};
use crate::http::framing::Malformed;
use crate::http::{Received, RequestBody};
use crate::listener::http2::streams::{StreamState, Streams};

/// The service that hyper calls for one connection.
#[derive(Debug)]
pub(super) struct ConnectionService<S> {
    /// `RefCell`: hyper calls with `&self` and tower requires `&mut self`; a clone per request would
    /// touch reference counts that all workers share. hyper makes no nested calls.
    inner: RefCell<S>,
    activity: Arc<Activity>,
    /// The streams of an HTTP/2 connection; absent on HTTP/1.1.
    streams: Option<Arc<Streams>>,
}

impl<S> ConnectionService<S> {
    /// Wraps the service of one HTTP/1.1 connection.
    pub(super) fn http1(inner: S, activity: Arc<Activity>) -> Self {
        Self {
            inner: RefCell::new(inner),
            activity,
            streams: None,
        }
    }

    /// Returns the wrapped service.
    pub(super) fn into_inner(self) -> S {
        self.inner.into_inner()
    }

    /// Wraps the service of one HTTP/2 connection.
    pub(super) fn http2(inner: S, activity: Arc<Activity>, streams: Arc<Streams>) -> Self {
        Self {
            inner: RefCell::new(inner),
            activity,
            streams: Some(streams),
        }
    }
}

impl<S, B> hyper::service::Service<http::Request<Incoming>> for ConnectionService<S>
where
    S: Service<Received, Response = http::Response<B>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = http::Response<TrackedBody<B>>;
    type Error = Infallible;
    type Future = TrackedFuture<S::Future>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        // RFC 9112 section 6.1: after a request with both Content-Length and chunked the connection
        // should be closed. hyper has already removed the length, so the connection is closed after
        // every chunked request. With access to the original fields only the former would close it.
        let stream = self.streams.as_ref().map(|streams| streams.open());
        let closes = stream.is_none() && request.headers().contains_key(header::TRANSFER_ENCODING);
        let mut request = request.map(|body| {
            if body.is_end_stream() {
                RequestBody::Empty
            } else {
                let waits = stream.clone().map(|stream| stream as Arc<dyn Waits>);
                RequestBody::Incoming(ClientBody::new(body, Arc::clone(&self.activity), waits))
            }
        });
        if stream.is_some() {
            self.activity.earn(head_bytes(&request));
        } else {
            let has_body = !request.body().is_end_stream();
            self.activity.set_in_body(has_body);
            if self.activity.fragments.had(&request, has_body) {
                request.extensions_mut().insert(Malformed::Fragment);
            }
        }
        self.activity.begin();
        TrackedFuture {
            in_flight: Some(InFlight(Arc::clone(&self.activity))),
            inner: self.inner.borrow_mut().call(request),
            stream,
            closes,
        }
    }
}

/// Returns the maximum number of bytes that the head of a request has taken on the wire: without
/// compression, in frames of its own.
fn head_bytes<B>(request: &http::Request<B>) -> usize {
    // `LEAST` stands for the frame and the pseudo-header fields, `FIELD` for the two lengths of a field.
    const LEAST: usize = 128;
    const FIELD: usize = 8;
    let target = request.uri().path_and_query();
    let target = target.map_or(0, |target| target.as_str().len());
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD);
    LEAST + target + fields.sum::<usize>()
}

/// One request in flight. Dropping it ends the request.
#[derive(Debug)]
struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The future answer of a request. The request is in flight until the body of the answer is dropped.
#[derive(Debug)]
pub(super) struct TrackedFuture<F> {
    in_flight: Option<InFlight>,
    inner: F,
    stream: Option<Arc<StreamState>>,
    closes: bool,
}

impl<F> Drop for TrackedFuture<F> {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            stream.note_cancelled();
        }
    }
}

impl<F, B> Future for TrackedFuture<F>
where
    F: Future<Output = Result<http::Response<B>, Infallible>> + Unpin,
{
    type Output = Result<http::Response<TrackedBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(stream) = &this.stream {
            stream.set_task();
        }
        let Ok(mut response) = ready!(Pin::new(&mut this.inner).poll(cx));
        // The close is requested by a header field and not by hyper's graceful shutdown, which would
        // also close a connection whose first request has not come yet.
        let is_http1 = this.stream.is_none();
        let is_last = this.in_flight.as_ref().is_some_and(|InFlight(activity)| {
            // hyper does not read the rest of a body: it closes the connection after the answer.
            let has_rest = || activity.is_in_body() || activity.has_unread_body();
            activity.is_leaving() || (is_http1 && has_rest())
        });
        if this.closes || is_last {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(stream) = &this.stream {
            // HTTP/2 has no such field (RFC 9113 section 8.2.2).
            response.headers_mut().remove(header::CONNECTION);
            // hyper polls the body when the client has opened its window.
            stream.set_waits_for_client(true);
        }
        let stream = this.stream.take();
        let in_flight = this.in_flight.take();
        Poll::Ready(Ok(response.map(|inner| TrackedBody {
            inner,
            rest: Bytes::new(),
            stream,
            in_flight,
        })))
    }
}

/// The maximum number of bytes passed to an HTTP/2 stream at a time. hyper polls for more when the
/// client has taken a piece, so a slow client must be able to take one within the stall time.
const PIECE: usize = 16 * 1024;

/// The body of an answer, which keeps its request in flight.
#[derive(Debug)]
pub(super) struct TrackedBody<B> {
    inner: B,
    /// The rest of the last frame.
    rest: Bytes,
    stream: Option<Arc<StreamState>>,
    in_flight: Option<InFlight>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrackedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            let polled = Pin::new(&mut this.inner).poll_frame(cx);
            let Some(stream) = &this.stream else {
                return polled;
            };
            // The client has to take a frame before hyper polls for the next one.
            stream.set_waits_for_client(polled.is_ready());
            match polled {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return other,
            }
        } else if let Some(stream) = &this.stream {
            stream.set_waits_for_client(true);
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        if let Some(InFlight(activity)) = &this.in_flight {
            // A client sends WINDOW_UPDATE frames for what it has taken.
            activity.earn(piece.len() / 16 + 64);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (
            self.inner.size_hint(),
            u64::try_from(self.rest.len()).unwrap_or(u64::MAX),
        );
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(inner.lower().saturating_add(rest));
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_gets_a_frame_in_pieces() {
        let sent: Vec<u8> = (0..40_000_u32)
            .map(|place| place.to_le_bytes()[0])
            .collect();
        let mut body = TrackedBody {
            inner: http_body_util::Full::new(Bytes::from(sent.clone())),
            rest: Bytes::new(),
            stream: Some(Streams::default().open()),
            in_flight: None,
        };
        let (mut came, mut pieces) = (Vec::new(), 0);
        while !body.is_end_stream() {
            assert_eq!(body.size_hint().exact(), Some(40_000 - came.len() as u64));
            let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            let data = frame.unwrap().unwrap().into_data().unwrap();
            assert!(!data.is_empty() && data.len() <= PIECE);
            came.extend_from_slice(&data);
            pieces += 1;
        }
        assert!(came == sent && pieces == 3);
    }
}
