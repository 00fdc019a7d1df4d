//! The innermost service of a route: sends requests to OSS and passes the responses on.
//!
//! | Module | Responsibility |
//! | --- | --- |
//! | [`exchange`] | the request sent to OSS, retries, passing on and resuming of responses |
//! | [`tiers`] | choice of the host for a request, by its bucket and by the endpoint in use |
//! | [`link`] | the connections to one host: pool, connect, TLS, transfer of the request body |
//! | [`endpoint`] | the addresses of an endpoint: DNS, health, readiness |
//!
//! Each module uses only the modules below it in this table. Failures are returned as [`error::Error`];
//! this module never generates error responses.

pub mod connect_error;
pub mod endpoint;
pub mod endpoint_info;
pub mod error;
pub(crate) mod exchange;
pub(crate) mod link;
mod message;
pub mod tiers;
mod weak_map;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::HeaderMap;
use tower::Service;

use crate::http::context::RequestContext;
use crate::http::{Request, Response};
use crate::origin::endpoint_info::EndpointInfo;
use crate::origin::error::Error;
pub use crate::origin::exchange::HeadToSend;
pub use crate::origin::exchange::fields::FieldChange;
pub use crate::origin::exchange::rewrite::Destination;
use crate::origin::exchange::{Exchange, Unanswered};
use crate::origin::link::host::Host;
pub use crate::origin::tiers::signed_host::Scheme;
use crate::oss::addressing::Layout;

/// A request that got no response from OSS, with the data needed to report the failure to the client.
#[derive(Debug)]
pub struct Failed {
    /// The reason why OSS did not respond.
    pub error: Error,
    /// The endpoint of the last attempt; `None` if there was no attempt.
    pub endpoint: Option<Arc<EndpointInfo>>,
    /// The context of the request.
    pub context: Arc<RequestContext>,
}

/// The origin service of one route.
#[derive(Clone, Debug)]
pub struct Origin {
    endpoints: Arc<[Box<str>]>,
    exchange: Arc<Exchange>,
}

impl Origin {
    /// Creates the service. `endpoints` are the endpoint names, best first.
    #[must_use]
    pub(crate) fn new(endpoints: Arc<[Box<str>]>, exchange: Exchange) -> Self {
        Self {
            endpoints,
            exchange: Arc::new(exchange),
        }
    }

    /// Returns the names of the endpoints, best first. There are several only with `fallback`.
    #[must_use]
    pub fn endpoints(&self) -> &[Box<str>] {
        &self.endpoints
    }

    /// Returns the hosts of the buckets that the config names, at all endpoints.
    pub(crate) fn named_hosts(&self) -> impl Iterator<Item = &Arc<Host>> {
        let named = self.exchange.buckets().named();
        named.flat_map(|tiers| tiers.hosts())
    }

    /// Returns the index in [`Origin::endpoints`] of the endpoint in use. If buckets use different
    /// endpoints, returns the highest (worst) index.
    #[must_use]
    pub fn active_endpoint(&self) -> usize {
        self.exchange.buckets().active_tier()
    }

    /// Returns the positions of bucket and key in the requests of the route.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        self.exchange.layout()
    }

    /// Returns the changes of the header fields of a request with these fields and this query.
    pub fn field_changes<'s>(
        &'s self,
        headers: &HeaderMap,
        raw_query: Option<&str>,
    ) -> impl Iterator<Item = FieldChange<'s>> + use<'s> {
        self.exchange.field_changes(headers, raw_query)
    }

    /// Returns the destination to which `request` would be sent.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchBucket`] if the bucket is not served, [`Error::NoBucket`] if the request names none,
    /// [`Error::SignatureBoundToHost`] if its signature is for another host.
    pub fn destination(&self, request: &HeadToSend<'_>) -> Result<Destination, Error> {
        self.exchange.destination(request)
    }
}

impl Service<Request> for Origin {
    type Response = Response;
    type Error = Failed;
    // Boxed for two reasons: the future of an async block has no name, and the futures of the outer layers
    // stay small.
    type Future = Pin<Box<dyn Future<Output = Result<Response, Failed>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let exchange = Arc::clone(&self.exchange);
        Box::pin(async move {
            let (request, context) = request.into_inner();
            match exchange.forward(request, &context).await {
                Ok(response) => Ok(response),
                Err(Unanswered { error, endpoint }) => Err(Failed {
                    error,
                    endpoint,
                    context,
                }),
            }
        })
    }
}
