//! Between hyper and the service of a connection: the request types meet here, and what begins and
//! ends is told to the connection's [`Activity`].

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
use crate::http::body::{ClientBody, ClientStream};
use crate::http::framing::Malformed;
use crate::http::{Received, RequestBody};
use crate::listener::streams::{StreamState, Streams};

/// hyper's service for one connection.
#[derive(Debug)]
pub struct ConnectionService<S> {
    /// `RefCell`: hyper calls with `&self` and tower wants `&mut self`; a clone per request would
    /// touch reference counts that all workers share. hyper never calls while it is being called.
    inner: RefCell<S>,
    activity: Arc<Activity>,
    /// The streams of an HTTP/2 connection; absent on HTTP/1.1.
    streams: Option<Arc<Streams>>,
}

impl<S> ConnectionService<S> {
    /// Wraps the service of one HTTP/1.1 connection.
    pub fn http1(inner: S, activity: Arc<Activity>) -> Self {
        Self {
            inner: RefCell::new(inner),
            activity,
            streams: None,
        }
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner.into_inner()
    }

    /// Wraps the service of one HTTP/2 connection.
    pub fn http2(inner: S, activity: Arc<Activity>, streams: Arc<Streams>) -> Self {
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
        // RFC 9112 section 6.1: a connection that brought both Content-Length and chunked should
        // close after the answer. hyper has already dropped the length, so every chunked request
        // is treated so.
        let stream = self.streams.as_ref().map(|streams| streams.open());
        let closes = stream.is_none() && request.headers().contains_key(header::TRANSFER_ENCODING);
        let mut request = request.map(|body| {
            if body.is_end_stream() {
                RequestBody::Empty
            } else {
                let waits = stream.clone().map(|stream| stream as Arc<dyn ClientStream>);
                RequestBody::Incoming(ClientBody::new(body, Arc::clone(&self.activity), waits))
            }
        });
        if stream.is_some() {
            self.activity.earn(head_bytes(&request));
        } else {
            let has_body = !request.body().is_end_stream();
            self.activity.set_in_body(has_body);
            if self.activity.hidden_fragments.is_hidden_in(&request) {
                request.extensions_mut().insert(Malformed::Fragment);
            }
        }
        self.activity.begin_request();
        TrackedFuture {
            guard: Some(Guard(Arc::clone(&self.activity))),
            inner: self.inner.borrow_mut().call(request),
            stream,
            closes,
        }
    }
}

/// Bytes the head of a request may have taken on the wire: not compressed, in frames of its own.
fn head_bytes<B>(request: &http::Request<B>) -> usize {
    // The pseudo-fields, and a field's two lengths.
    const LEAST: usize = 128;
    const FIELD: usize = 8;
    let target = request.uri().path_and_query();
    let target = target.map_or(0, |target| target.as_str().len());
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD);
    LEAST + target + fields.sum::<usize>()
}

/// One request in flight; dropping it ends it.
#[derive(Debug)]
struct Guard(Arc<Activity>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.end_request();
    }
}

/// The answer on its way; its request is in flight until its body is dropped.
#[derive(Debug)]
pub struct TrackedFuture<F> {
    guard: Option<Guard>,
    inner: F,
    stream: Option<Arc<StreamState>>,
    closes: bool,
}

impl<F> Drop for TrackedFuture<F> {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            stream.note_given_up();
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
            stream.tie();
        }
        let Ok(mut response) = ready!(Pin::new(&mut this.inner).poll(cx));
        // Asked for here and not by hyper's own shutdown, which closes a connection whose first
        // request has not come yet.
        let is_http1 = this.stream.is_none();
        let is_last = this.guard.as_ref().is_some_and(|Guard(activity)| {
            // What of a body is still to come, hyper does not read: it closes behind the answer.
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
            // hyper asks for the body when the client has opened its window.
            stream.set_waits_for_client(true);
        }
        let stream = this.stream.take();
        let guard = this.guard.take();
        Poll::Ready(Ok(response.map(|inner| TrackedBody {
            inner,
            rest: Bytes::new(),
            stream,
            guard,
        })))
    }
}

/// Most bytes an HTTP/2 stream is given at a time. A stream shows that its client takes something when
/// it is asked for more, so each piece must be one that a slow client takes within the stall time.
const PIECE: usize = 16 * 1024;

/// An answer's body that keeps its request in flight.
#[derive(Debug)]
pub struct TrackedBody<B> {
    inner: B,
    /// What of the last frame is yet to be handed on.
    rest: Bytes,
    stream: Option<Arc<StreamState>>,
    guard: Option<Guard>,
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
            // After a frame the client has to take it before the next one is asked for.
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
        if let Some(guard) = &this.guard {
            // A client says again and again that it has taken something.
            guard.0.earn(piece.len() / 16 + 64);
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
    async fn a_stream_is_given_a_frame_in_pieces() {
        let sent: Vec<u8> = (0..40_000_u32)
            .map(|place| place.to_le_bytes()[0])
            .collect();
        let mut body = TrackedBody {
            inner: http_body_util::Full::new(Bytes::from(sent.clone())),
            rest: Bytes::new(),
            stream: Some(Streams::default().open()),
            guard: None,
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
