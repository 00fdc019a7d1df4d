//! The router: refuses what must not be forwarded, finds the route, hands the request to its stack.
//!
//! A [`Router`] is immutable. A request takes the current one once and keeps it to its end, so a new
//! config never changes the rules under a running request.

pub mod build;
pub mod explain;
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
use crate::http::framing::{self, Malformed};
use crate::http::headers;
use crate::http::{Request, Response, respond};
use crate::origin::Origin;
use crate::route::stack::{Policies, Stack};
use crate::route::table::Table;

/// One route, ready to serve.
#[derive(Debug)]
pub struct Route {
    /// Label in logs and metrics.
    pub name: Arc<str>,
    /// Its rules.
    pub policies: Policies,
    /// Where its requests go.
    pub origin: Origin,
    /// What a request goes through.
    pub stack: Stack,
}

/// All routes of one config.
#[derive(Debug)]
pub struct Router {
    /// Routes by host and path.
    pub table: Table<Arc<Route>>,
    /// The same routes in the config's order.
    pub routes: Vec<Arc<Route>>,
}

/// The service every client connection gets: always the current [`Router`].
#[derive(Clone, Debug)]
pub struct RouterService {
    current: watch::Receiver<Arc<Router>>,
    /// A copy of the current router, renewed when the channel says so: looking for news is one load,
    /// taking the value is a lock that all workers share.
    known: Arc<Router>,
    health: Arc<Health>,
}

impl RouterService {
    /// Serves what `current` holds at each request, as long as `health` has room for it.
    #[must_use]
    pub fn new(mut current: watch::Receiver<Arc<Router>>, health: Arc<Health>) -> Self {
        let known = Arc::clone(&current.borrow_and_update());
        Self {
            current,
            known,
            health,
        }
    }

    /// The answer to a health check, or to a request there is no room for.
    fn answers_itself(&self, request: &Request) -> Option<Response> {
        let connection = &request.context().connection;
        if let Some(path) = &connection.health_path
            && request.uri().path() == &**path
            && (request.method() == Method::GET || request.method() == Method::HEAD)
        {
            let (is_ready, is_leaving) = (self.health.is_ready(), self.health.is_leaving());
            return Some(respond::health(request.context(), is_ready, is_leaving));
        }
        let is_refused = connection.is_refused || self.health.is_overloaded();
        is_refused.then(|| respond::busy(request.context()))
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
        // An error means that no news can come any more.
        if self.current.has_changed().unwrap_or(false) {
            self.known = Arc::clone(&self.current.borrow_and_update());
        }
        match self.answers_itself(&request) {
            None => self.known.serve(request),
            Some(response) => RouteFuture::Refused(ready(Ok(response))),
        }
    }
}

/// An answer at once, or the answer of a route's stack.
pub enum RouteFuture {
    /// Answered before any route.
    Refused(Ready<Result<Response, Infallible>>),
    /// On its way through a stack.
    Served(stack::StackFuture),
}

impl std::fmt::Debug for RouteFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Refused(_) => "Refused",
            Self::Served(_) => "Served",
        })
    }
}

impl Future for RouteFuture {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Refused(answer) => Pin::new(answer).poll(cx),
            Self::Served(answer) => answer.as_mut().poll(cx),
        }
    }
}

impl Router {
    fn serve(&self, mut request: Request) -> RouteFuture {
        let context = Arc::clone(request.context());
        match self.choose(&mut request, &context) {
            Ok(route) => RouteFuture::Served(route.stack.call(request)),
            Err(response) => RouteFuture::Refused(ready(Ok(*response))),
        }
    }

    /// The route for `request`, or the answer that refuses it.
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
            let host = framing::check(request).map_err(refuse)?;
            let host = host.map_or("", |authority| authority.host);
            self.table
                .find(host, request.uri().path())
                .ok_or_else(|| Box::new(respond::unknown_host(context)))?
        };
        // Before the policies: none of them should see a field that will not be forwarded.
        headers::strip_request(request.headers_mut())
            .map_err(|headers::ProtectedFieldNamed| refuse(Malformed::ProtectedFieldNamed))?;
        context.outcome().route = Some(Arc::clone(&route.name));
        Ok(route)
    }
}
