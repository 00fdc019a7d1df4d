//! The layers that a request passes on a route, in their order, outermost first. A comment at each layer
//! gives the reason for its position.
//!
//! This is the only file that combines policies and origin. Only [`rescue`] turns an error into a
//! response; every service above it is infallible.

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
use crate::policy::gate::GateService;
use crate::policy::guard::Guard;
use crate::policy::headers::{Headers, HeadersService};
use crate::policy::hsts::{Hsts, HstsService};
use crate::policy::https::Https;
use crate::policy::ip::Ip;
use crate::policy::preview::{Preview, PreviewService};
use crate::policy::referer::Referer;
use crate::policy::website::{Website, WebsiteService};

/// The future of a stack's response.
pub type StackFuture = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// The stack of one route. Its type does not depend on the layers.
#[derive(Clone)]
pub struct Stack {
    call: Arc<dyn Fn(Request) -> StackFuture + Send + Sync>,
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").finish_non_exhaustive()
    }
}

/// The compiled policies of a route, in the order of the stack. A policy that is `None` does nothing.
///
/// `ossgate explain` calls the same policies.
#[derive(Clone, Debug)]
pub struct Policies {
    /// The client addresses that are served.
    pub ip: Option<Arc<Ip>>,
    /// The policy that adds `Strict-Transport-Security`.
    pub hsts: Option<Arc<Hsts>>,
    /// The header fields that are changed in responses.
    pub headers: Option<Arc<Headers>>,
    /// The cross-origin rules.
    pub cors: Option<Arc<Cors>>,
    /// HTTPS enforcement.
    pub https: Option<Arc<Https>>,
    /// The methods and operations that the route serves.
    pub guard: Option<Arc<Guard>>,
    /// Hotlink protection.
    pub referer: Option<Arc<Referer>>,
    /// The index and error documents.
    pub website: Option<Arc<Website>>,
    /// The handling of forced downloads.
    pub preview: Arc<Preview>,
}

impl Stack {
    /// Builds the stack of a route in front of its origin.
    #[must_use]
    pub fn new(policies: Policies, origin: Origin) -> Self {
        Self::over(policies, origin)
    }

    /// Builds the same stack in front of any service instead of the origin.
    #[must_use]
    pub fn over<S>(policies: Policies, origin: S) -> Self
    where
        S: Service<Request, Response = Response, Error = Failed> + Clone + Send + Sync + 'static,
        S::Future: Send + Unpin,
    {
        let Policies {
            ip,
            hsts,
            headers,
            cors,
            https,
            guard,
            referer,
            website,
            preview,
        } = policies;
        let service = ServiceBuilder::new()
            // Outermost, so that a refused client costs nothing more and learns nothing about the route. Its
            // refusal is therefore the only response without the header fields of `hsts` and `cors`.
            .layer_fn(move |inner| GateService::new(ip.clone(), inner))
            // Above all policies except `ip`, so that every response over TLS that is not a refusal of `ip`
            // has the field, including the responses to preflights and the refusals of other policies.
            .layer_fn(move |inner| HstsService::new(hsts.clone(), inner))
            // Above all layers that respond themselves, so that their responses are changed as well.
            .layer_fn(move |inner| HeadersService::new(headers.clone(), inner))
            // A preflight gets its response here and does not reach the policies below. This also applies to
            // a preflight without TLS, because browsers do not follow a redirect of a preflight. Every other
            // response, including redirects and refusals, gets the CORS headers, which allow a page to read
            // the response.
            .layer_fn(move |inner| CorsService::new(cors.clone(), inner))
            // Above all layers that must not respond without TLS.
            .layer_fn(move |inner| GateService::new(https.clone(), inner))
            // Early, so that a refused operation causes no further work.
            .layer_fn(move |inner| GateService::new(guard.clone(), inner))
            // Above `website`, so that a refused request causes no lookup.
            .layer_fn(move |inner| GateService::new(referer.clone(), inner))
            // Replaces the path of a directory with the key of its index document, and a 404 response with
            // the error document.
            .layer_fn(move |inner| WebsiteService::new(website.clone(), inner))
            // Below `website`, so that this layer handles the response to each lookup.
            .layer_fn(move |inner| PreviewService::new(Arc::clone(&preview), inner))
            // Below the policies, so that the response after an error of the origin gets the same headers
            // as every other response.
            .layer_fn(Rescue::new)
            // Innermost: no layer may change the request after it has been rewritten for OSS.
            .service(origin);
        Self::erase(service)
    }

    /// Hides the type of an infallible service. Each call uses a clone of the service, and first waits until
    /// the clone is ready.
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
                    // The usual case. Only a layer that limits concurrency would return `Pending`.
                    Poll::Ready(Ok(())) => Box::pin(service.call(request)),
                    Poll::Pending => Box::pin(service.oneshot(request)),
                }
            }),
        }
    }

    /// Sends a request through the stack.
    #[must_use]
    pub fn call(&self, request: Request) -> StackFuture {
        (self.call)(request)
    }
}

/// Applies [`rescue`] to an origin.
///
/// An origin is always ready. If a request must wait for a permit of the pool, it waits inside its call, so
/// other requests do not wait with it.
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

/// Turns the error of an origin into a response.
fn rescue(result: Result<Response, Failed>) -> Result<Response, Infallible> {
    match result {
        Ok(response) => Ok(response),
        Err(Failed {
            error,
            endpoint,
            context,
        }) => {
            let status = error.status();
            context.outcome().cause = error.cause();
            let reason = Reason {
                status,
                code: error.code(),
                kind: error.kind(),
                message: &error.message(endpoint.as_deref()),
                ec: None,
                retry_after: (status == http::StatusCode::SERVICE_UNAVAILABLE).then_some(1),
                closes: false,
            };
            Ok(respond::error(&context, &reason))
        }
    }
}
