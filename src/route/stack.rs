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
use crate::policy::cors::{Cors, CorsService};
use crate::policy::guard::{Guard, GuardService};
use crate::policy::https::{Https, HttpsService};
use crate::policy::preview::{Preview, PreviewService};
use crate::policy::referer::{Referer, RefererService};
use crate::policy::website::{Website, WebsiteService};

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

/// The rules of a route, compiled; what is absent does nothing. `ossgate explain` asks them, too.
#[derive(Clone, Debug)]
pub struct Policies {
    /// HTTPS enforcement.
    pub https: Option<Arc<Https>>,
    /// Cross-origin rules.
    pub cors: Option<Arc<Cors>>,
    /// Methods and operations.
    pub guard: Option<Arc<Guard>>,
    /// Hotlink protection.
    pub referer: Option<Arc<Referer>>,
    /// Index and error documents.
    pub website: Option<Arc<Website>>,
    /// Forced downloads.
    pub preview: Arc<Preview>,
}

impl Stack {
    /// Builds the stack of a route.
    #[must_use]
    pub fn new(policies: Policies, origin: Origin) -> Self {
        Self::over(policies, origin)
    }

    /// The same stack over any service in the place of the origin.
    #[must_use]
    pub fn over<S>(policies: Policies, origin: S) -> Self
    where
        S: Service<Request, Response = Response, Error = Failed> + Clone + Send + Sync + 'static,
        S::Future: Send + Unpin,
    {
        let Policies {
            https,
            cors,
            guard,
            referer,
            website,
            preview,
        } = policies;
        let above = cors.clone();
        let service = ServiceBuilder::new()
            // Nothing else may answer over clear text.
            .layer_fn(move |inner| HttpsService::new(https.clone(), above.clone(), inner))
            // A preflight is answered without the rules below, and their refusals still get the
            // headers that let a script read them.
            .layer_fn(move |inner| CorsService::new(cors.clone(), inner))
            // What the route does not serve costs nothing more.
            .layer_fn(move |inner| GuardService::new(guard.clone(), inner))
            // Refuses before anything is asked for.
            .layer_fn(move |inner| RefererService::new(referer.clone(), inner))
            // Turns a directory into a key and a 404 into a document.
            .layer_fn(move |inner| WebsiteService::new(website.clone(), inner))
            // Looks at what OSS answered, document by document.
            .layer_fn(move |inner| PreviewService::new(Arc::clone(&preview), inner))
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
                ec: None,
                retry_after: (status == http::StatusCode::SERVICE_UNAVAILABLE).then_some(1),
                closes: false,
            };
            Ok(respond::error(&context, &reason))
        }
    }
}
