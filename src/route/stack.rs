//! THE ORDER: what a request goes through on a route, outermost first, and why there.
//!
//! This is the only file that joins policies and origin, and [`rescue`] is the only place where an
//! error becomes a response. Above it every service is infallible.

#![deny(clippy::wildcard_enum_match_arm)]

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tower::{Service, ServiceBuilder, ServiceExt};

use crate::http::respond::{self, Reason};
use crate::http::{Request, Response};
use crate::origin::{Failed, Origin};

/// The answer of a stack.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// One route's stack, erased to one type.
#[derive(Clone)]
pub struct Stack {
    call: Arc<dyn Fn(Request) -> Answer + Send + Sync>,
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").finish_non_exhaustive()
    }
}

impl Stack {
    /// Builds the stack of a route.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        let service = ServiceBuilder::new()
            // Below the policies, so that an answer about a failed origin gets what they add to
            // every other answer.
            .layer_fn(Rescue::new)
            // Innermost: nothing may change the request after it has been rewritten for OSS.
            .service(origin);
        Self::erase(service)
    }

    /// Erases any infallible service; each call is made on a clone, driven to readiness first.
    fn erase<S>(service: S) -> Self
    where
        S: Service<Request, Response = Response, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
    {
        Self {
            call: Arc::new(move |request| {
                let mut service = service.clone();
                let mut quiet = Context::from_waker(Waker::noop());
                match service.poll_ready(&mut quiet) {
                    // Always, unless a layer limits how much runs at a time.
                    Poll::Ready(Ok(())) => Box::pin(service.call(request)),
                    Poll::Pending => Box::pin(service.oneshot(request)),
                }
            }),
        }
    }

    /// Sends a request through the stack.
    #[must_use]
    pub fn call(&self, request: Request) -> Answer {
        (self.call)(request)
    }
}

/// Applies [`rescue`] to an origin.
///
/// An origin is always ready: it waits for its places inside the call, where there is a request to
/// answer for.
#[derive(Clone, Debug)]
struct Rescue<S>(S);

impl<S> Rescue<S> {
    fn new(inner: S) -> Self {
        Self(inner)
    }
}

impl<S> Service<Request> for Rescue<S>
where
    S: Service<Request, Response = Response, Error = Failed>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Rescued<S::Future>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Rescued(self.0.call(request))
    }
}

/// The future of [`Rescue`].
struct Rescued<F>(F);

impl<F: Future<Output = Result<Response, Failed>> + Unpin> Future for Rescued<F> {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(rescue)
    }
}

/// Turns a failed origin into an answer.
fn rescue(result: Result<Response, Failed>) -> Result<Response, Infallible> {
    match result {
        Ok(response) => Ok(response),
        Err(Failed { error, context }) => {
            let status = error.status();
            let reason = Reason {
                status,
                code: error.code(),
                kind: error.kind(),
                message: &error.message(),
                retry_after: (status == http::StatusCode::SERVICE_UNAVAILABLE).then_some(1),
                closes: false,
            };
            Ok(respond::error(&context, &reason))
        }
    }
}
