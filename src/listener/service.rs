//! The adapter between hyper and the service of a connection. It converts the request type and records
//! the beginning and the end of each request in the connection's [`Activity`].

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{self, HeaderValue};
use http_body::Body;
use hyper::body::Incoming;
use tower::Service;

use crate::http::activity::Activity;
use crate::http::body::{ClientBody, ClientStream};
use crate::http::input_framing::AfterChunked;
use crate::http::malformed::Malformed;
use crate::http::{Received, RequestBody};
use crate::listener::streams::{StreamState, Streams};
use crate::listener::tls::ServerName;
use crate::listener::tracked_body::{InFlight, TrackedBody};

/// The service that hyper calls for one connection.
#[derive(Debug)]
pub(super) struct ConnectionService<S> {
    /// The wrapped service. It is in a `RefCell`, because hyper calls with `&self` and tower requires
    /// `&mut self`. A clone for each request would change reference counts that all workers share. hyper
    /// makes no nested calls, so the borrow never fails.
    inner: RefCell<S>,
    activity: Arc<Activity>,
    /// The streams of an HTTP/2 connection; `None` on HTTP/1.1.
    streams: Option<Arc<Streams>>,
    server_name: Option<ServerName>,
}

impl<S> ConnectionService<S> {
    /// Wraps the service of one connection.
    pub(super) fn new(inner: S, activity: Arc<Activity>, server_name: Option<ServerName>) -> Self {
        Self {
            inner: RefCell::new(inner),
            activity,
            streams: None,
            server_name,
        }
    }

    /// Returns the activity record of the connection.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Returns the wrapped service.
    pub(super) fn into_inner(self) -> S {
        self.inner.into_inner()
    }

    /// Sets the streams of an HTTP/2 connection.
    pub(super) fn with_streams(self, streams: Arc<Streams>) -> Self {
        Self {
            streams: Some(streams),
            ..self
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
        let stream = self.streams.as_ref().map(|streams| streams.open());
        // If a chunked request also had a Content-Length, its connection must be closed after the response
        // (RFC 9112 section 6.1). hyper has already removed the length, so `input_framing` reports it.
        let is_chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        let followed = match stream {
            None => Some(self.activity.input_framing.take(is_chunked)),
            Some(_) => None,
        };
        let closes = followed.is_some_and(|followed| followed.after_chunked == AfterChunked::Close);
        let mut request = request.map(|body| {
            if body.is_end_stream() {
                RequestBody::Empty
            } else {
                let stream = stream.clone().map(|stream| stream as Arc<dyn ClientStream>);
                RequestBody::Incoming(ClientBody::new(body, Arc::clone(&self.activity), stream))
            }
        });
        if let Some(server_name) = &self.server_name
            && server_name.is_misdirected(&request)
        {
            request.extensions_mut().insert(Malformed::Misdirected);
        }
        if stream.is_some() {
            self.activity.earn(head_bytes(&request));
        } else {
            let has_body = !request.body().is_end_stream();
            self.activity.set_in_body(has_body);
            // `hidden_fragments` searches bytes without knowing the framing, so it can mistake a line of a
            // body for a request line. Its result is used only if the framing is unknown.
            let is_hidden = self.activity.hidden_fragments.is_hidden_in(&request);
            let known = followed.and_then(|followed| followed.has_fragment);
            if known.unwrap_or(is_hidden) {
                request.extensions_mut().insert(Malformed::Fragment);
            }
        }
        TrackedFuture {
            in_flight: Some(InFlight::begin(&self.activity)),
            inner: self.inner.borrow_mut().call(request),
            stream,
            closes,
        }
    }
}

/// Returns the maximum size of a request head on the wire, in bytes. The size includes the frame header and
/// assumes no header compression.
fn head_bytes<B>(request: &http::Request<B>) -> usize {
    // `LEAST` covers the frame header and the pseudo-header fields. `FIELD` covers the two length
    // prefixes of a field.
    const LEAST: usize = 128;
    const FIELD: usize = 8;
    let target = request.uri().path_and_query();
    let target = target.map_or(0, |target| target.as_str().len());
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD);
    LEAST + target + fields.sum::<usize>()
}

/// The future of the response to a request. The request is in flight until the response body is dropped.
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
        // A `Connection: close` field makes hyper close the connection after this response. hyper's
        // graceful shutdown is not used for HTTP/1.1, because it would also close a connection whose first
        // request has not arrived yet.
        let is_http1 = this.stream.is_none();
        let is_last = this.in_flight.as_ref().is_some_and(|InFlight(activity)| {
            // If the request body has not been read to its end, hyper closes the connection after the
            // response.
            let has_rest = || activity.is_in_body() || activity.has_unread_body();
            activity.is_leaving() || (is_http1 && has_rest())
        });
        if this.closes || is_last {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(stream) = &this.stream {
            // HTTP/2 has no `Connection` field (RFC 9113 section 8.2.2).
            response.headers_mut().remove(header::CONNECTION);
            // From now on the stream waits for the client: hyper polls the body only when the client has
            // opened the window of the stream.
            stream.set_waits_for_client(true);
        }
        let stream = this.stream.take();
        let in_flight = this.in_flight.take();
        Poll::Ready(Ok(
            response.map(|inner| TrackedBody::new(inner, stream, in_flight))
        ))
    }
}
