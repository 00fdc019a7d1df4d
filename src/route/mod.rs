//! The router: refuses requests that must not be forwarded, finds the route, and passes the request to
//! the stack of that route.
//!
//! A [`Router`] is immutable. Each request uses the router that is current at its start, so a new config
//! never changes the rules of a request in flight.

pub mod build;
pub mod explain;
mod paths;
pub mod stack;
pub mod table;

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Method;
use tokio::sync::watch;
use tower::Service;

use crate::health::Health;
use crate::http::context::RequestContext;
use crate::http::framing;
use crate::http::headers;
use crate::http::malformed::Malformed;
use crate::http::respond::{self, Readiness};
use crate::http::{Request, Response};
use crate::identity::sign::Signer;
use crate::origin::Origin;
use crate::oss::spelling;
use crate::route::stack::{Policies, Stack};
use crate::route::table::Table;

/// One route, ready to serve.
#[derive(Debug)]
pub struct Route {
    /// The name of the route in logs and metrics.
    pub name: Arc<str>,
    /// The policies, for `explain`. The stack contains the same policies.
    pub policies: Policies,
    /// The OSS service to which the route's requests are sent.
    pub origin: Origin,
    /// The signer of the route's requests; `None` if its origin has no credentials.
    pub signer: Option<Arc<Signer>>,
    /// The policies around the origin, as one service.
    pub stack: Stack,
}

/// All routes of one config.
#[derive(Debug)]
pub struct Router {
    /// Finds the route for a host and a path.
    pub table: Table<Arc<Route>>,
    /// The same routes, in the order of the config.
    pub routes: Vec<Arc<Route>>,
}

/// The service of a client connection. It passes each request to the current [`Router`].
#[derive(Clone, Debug)]
pub struct RouterService {
    current: watch::Receiver<Arc<Router>>,
    /// A copy of the current router, which is replaced when the channel has a new router. The check for a new
    /// router is one atomic load; reading the channel needs a lock that all workers share.
    known: Arc<Router>,
    health: Arc<Health>,
}

impl RouterService {
    /// Returns a service that routes each request by the latest router in `current`. While `health` reports
    /// overload, the service responds with 503.
    #[must_use]
    pub fn new(mut current: watch::Receiver<Arc<Router>>, health: Arc<Health>) -> Self {
        let known = Arc::clone(&current.borrow_and_update());
        Self {
            current,
            known,
            health,
        }
    }

    /// Returns the response to a request without TLS on a listener with TLS, to a health check, or to a request
    /// that is refused because the connection limit is exceeded or memory is short. Returns `None` for all other
    /// requests.
    fn answer_before_routing(&self, request: &Request) -> Option<Response> {
        let connection = &request.context().connection;
        // This comes before the health check: a check without TLS must not find the node good, because it
        // shows nothing about TLS.
        if connection.is_plain_on_tls {
            return Some(respond::malformed(request.context(), Malformed::PlainHttp));
        }
        if let Some(path) = &connection.health_path
            && spelling::strip_prefix(request.uri().path(), path) == Some("")
            && (request.method() == Method::GET || request.method() == Method::HEAD)
        {
            let readiness = match (self.health.is_ready(), self.health.is_leaving()) {
                (true, _) => Readiness::Ready,
                (false, true) => Readiness::Draining,
                (false, false) => Readiness::NotReady,
            };
            return Some(respond::health(request.context(), readiness));
        }
        let is_turned_away = connection.is_turned_away || self.health.is_overloaded();
        is_turned_away.then(|| respond::busy(request.context()))
    }
}

impl Service<Request> for RouterService {
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> RouteFuture {
        // `has_changed` fails only when the sender has been dropped. In this case the last router stays in
        // use.
        if self.current.has_changed().unwrap_or(false) {
            self.known = Arc::clone(&self.current.borrow_and_update());
        }
        match self.answer_before_routing(&request) {
            None => self.known.serve(request),
            Some(response) => RouteFuture::Answered(ready(Ok(response))),
        }
    }
}

/// The future of [`RouterService`].
pub enum RouteFuture {
    /// The router itself made the response.
    Answered(Ready<Result<Response, Infallible>>),
    /// The request is being handled by the stack of its route.
    Routed(stack::StackFuture),
}

impl std::fmt::Debug for RouteFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Answered(_) => "Answered",
            Self::Routed(_) => "Routed",
        })
    }
}

impl Future for RouteFuture {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Answered(response) => Pin::new(response).poll(cx),
            Self::Routed(response) => response.as_mut().poll(cx),
        }
    }
}

impl Router {
    fn serve(&self, mut request: Request) -> RouteFuture {
        let context = Arc::clone(request.context());
        match self.choose(&mut request, &context) {
            Ok(route) => RouteFuture::Routed(route.stack.call(request)),
            Err(response) => RouteFuture::Answered(ready(Ok(*response))),
        }
    }

    /// Returns the route of `request`, or the response that refuses it.
    fn choose(
        &self,
        request: &mut Request,
        context: &RequestContext,
    ) -> Result<&Arc<Route>, Box<Response>> {
        let refuse = |why| Box::new(respond::malformed(context, why));
        if request.headers().len() > context.connection.max_headers {
            return Err(refuse(Malformed::TooManyFields));
        }
        let route = {
            let target = request.parsed_target();
            let authority = framing::check(request, &target).map_err(refuse)?;
            let host = authority.map_or("", |authority| authority.host);
            self.table
                .find(host, &target.key())
                .ok_or_else(|| Box::new(respond::unknown_host(context)))?
        };
        // Hop-by-hop fields are removed before the policies, so that no policy reads a field that is not
        // forwarded.
        headers::strip_request(request.headers_mut())
            .map_err(|headers::ProtectedFieldNamed| refuse(Malformed::ProtectedFieldNamed))?;
        context.outcome().route = Some(Arc::clone(&route.name));
        Ok(route)
    }
}
