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
use crate::http::body::ClientBody;
use crate::http::{Received, RequestBody};

/// hyper's service for one connection.
#[derive(Debug)]
pub struct ConnectionService<S> {
    /// `RefCell`: hyper calls with `&self` and tower wants `&mut self`; a clone per request would
    /// touch reference counts that all workers share. hyper never calls while it is being called.
    inner: RefCell<S>,
    activity: Arc<Activity>,
    is_http1: bool,
}

impl<S> ConnectionService<S> {
    /// Wraps the service of one connection.
    pub fn new(inner: S, activity: Arc<Activity>, is_http1: bool) -> Self {
        Self {
            inner: RefCell::new(inner),
            activity,
            is_http1,
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
        let closes = self.is_http1 && request.headers().contains_key(header::TRANSFER_ENCODING);
        let request = request.map(|body| {
            if body.is_end_stream() {
                RequestBody::Empty
            } else {
                RequestBody::Incoming(ClientBody::new(body, Arc::clone(&self.activity)))
            }
        });
        self.activity.begin();
        TrackedFuture {
            guard: Some(Guard(Arc::clone(&self.activity))),
            inner: self.inner.borrow_mut().call(request),
            is_http1: self.is_http1,
            closes,
        }
    }
}

/// One request in flight; dropping it ends it.
#[derive(Debug)]
struct Guard(Arc<Activity>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The answer on its way; its request is in flight until its body is dropped.
#[derive(Debug)]
pub struct TrackedFuture<F> {
    guard: Option<Guard>,
    inner: F,
    is_http1: bool,
    closes: bool,
}

impl<F, B> Future for TrackedFuture<F>
where
    F: Future<Output = Result<http::Response<B>, Infallible>> + Unpin,
{
    type Output = Result<http::Response<TrackedBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Ok(mut response) = ready!(Pin::new(&mut this.inner).poll(cx));
        if this.closes {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        } else if !this.is_http1 {
            // HTTP/2 has no such field (RFC 9113 section 8.2.2).
            response.headers_mut().remove(header::CONNECTION);
        }
        let guard = this.guard.take();
        Poll::Ready(Ok(response.map(|inner| TrackedBody {
            inner,
            _guard: guard,
        })))
    }
}

/// An answer's body that keeps its request in flight.
#[derive(Debug)]
pub struct TrackedBody<B> {
    inner: B,
    _guard: Option<Guard>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrackedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
