//! The common implementation of `ip`, `guard`, `referer` and `https`: a layer that refuses a request or passes it
//! on.
//!
//! A policy implements [`Gate`]; [`GateService`] is its tower service. The service allocates nothing for a
//! request that passes: its future is an enum, and only a refusal is boxed.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{HeaderName, HeaderValue};
use tower::Service;

use crate::http::respond::{self, Reason};
use crate::http::{Request, Response};

/// A policy that refuses some requests and passes all others on unchanged.
pub trait Gate {
    /// Returns the refusal of `request`, or `None` when the request passes.
    fn refuse(&self, request: &Request) -> Option<Refusal>;
}

/// The response to a refused request.
#[derive(Debug)]
pub struct Refusal(
    /// Boxed, because a response is large and refusals are rare.
    Box<Response>,
);

impl Refusal {
    /// Creates a refusal with the error document for `reason`.
    #[must_use]
    pub fn error(request: &Request, reason: &Reason<'_>) -> Self {
        Self::from(respond::error(request.context(), reason))
    }

    /// Adds a header field to the response.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers_mut().insert(name, value);
        self
    }
}

impl From<Response> for Refusal {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

/// The service that applies a [`Gate`]. Without a policy every request passes.
#[derive(Debug)]
pub struct GateService<P, S> {
    policy: Option<Arc<P>>,
    inner: S,
}

impl<P, S> GateService<P, S> {
    /// Creates a service that applies `policy` and sends the requests on to `inner`.
    pub fn new(policy: Option<Arc<P>>, inner: S) -> Self {
        Self { policy, inner }
    }
}

// Not derived, because a derived `Clone` would also require `P: Clone`.
impl<P, S: Clone> Clone for GateService<P, S> {
    fn clone(&self) -> Self {
        Self {
            policy: self.policy.clone(),
            inner: self.inner.clone(),
        }
    }
}

impl<P, S> Service<Request> for GateService<P, S>
where
    P: Gate,
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = Infallible;
    type Future = GateFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self
            .policy
            .as_ref()
            .and_then(|policy| policy.refuse(&request))
        {
            Some(refusal) => GateFuture::refused(refusal),
            None => GateFuture::Passed(self.inner.call(request)),
        }
    }
}

/// The future of a layer that either refuses a request or passes it on.
#[derive(Debug)]
pub enum GateFuture<F> {
    /// The layer's own response; `None` once it has been taken.
    Refused(Option<Refusal>),
    /// The future of the inner service.
    Passed(F),
}

impl<F> GateFuture<F> {
    /// Creates a future that is ready with `refusal`.
    pub fn refused(refusal: impl Into<Refusal>) -> Self {
        Self::Refused(Some(refusal.into()))
    }
}

impl<F> Future for GateFuture<F>
where
    F: Future<Output = Result<Response, Infallible>> + Unpin,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            // A future is not polled again after it was ready, so the response is present.
            Self::Refused(refusal) => match refusal.take() {
                Some(Refusal(response)) => Poll::Ready(Ok(*response)),
                None => Poll::Pending,
            },
            Self::Passed(inner) => Pin::new(inner).poll(cx),
        }
    }
}
