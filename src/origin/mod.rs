//! The innermost service: OSS over the network.
//!
//! | Room | What is decided there |
//! | --- | --- |
//! | [`exchange`] | what OSS is sent, whether it is sent again, how an answer is passed on and resumed |
//! | [`tiers`] | which host a request goes to: its bucket, and the endpoints that stand in for each other |
//! | [`link`] | connections to one host: pool, connect, TLS, the body on its way |
//! | [`endpoint`] | addresses: DNS, health, readiness |
//!
//! A room uses only the rooms below it. Failures are typed ([`error`]); nothing here makes answers of its
//! own.

pub mod endpoint;
pub mod error;
pub(crate) mod exchange;
pub(crate) mod link;
pub mod tiers;
mod weak_map;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::Service;

use crate::http::context::RequestContext;
use crate::http::{Request, Response};
use crate::origin::error::Error;
use crate::origin::exchange::Exchange;
pub use crate::origin::exchange::HeadToSend;
pub use crate::origin::exchange::rewrite::Destination;
use crate::origin::link::host::Host;
pub use crate::origin::tiers::signed_host::Scheme;

/// A request without an answer of OSS, with what is needed to report that to the client.
#[derive(Debug)]
pub struct Failed {
    /// The reason.
    pub error: Error,
    /// The context of the request.
    pub context: Arc<RequestContext>,
}

/// The service of one route's origin.
#[derive(Clone, Debug)]
pub struct Origin {
    endpoints: Arc<[Box<str>]>,
    exchange: Arc<Exchange>,
}

impl Origin {
    /// Creates the service. `endpoints` are their names, best first.
    #[must_use]
    pub(crate) fn new(endpoints: Arc<[Box<str>]>, exchange: Exchange) -> Self {
        Self {
            endpoints,
            exchange: Arc::new(exchange),
        }
    }

    /// The names of the endpoints, best first; more than one with `fallback`.
    #[must_use]
    pub fn endpoints(&self) -> &[Box<str>] {
        &self.endpoints
    }

    /// The hosts of the buckets that the config names, at all endpoints.
    pub(crate) fn named_hosts(&self) -> impl Iterator<Item = &Arc<Host>> {
        let named = self.exchange.buckets().named();
        named.flat_map(|tiers| tiers.hosts())
    }

    /// The place among [`Origin::endpoints`] of the endpoint in use; where buckets differ, of the one
    /// furthest down.
    #[must_use]
    pub fn active_endpoint(&self) -> usize {
        self.exchange.buckets().active_tier()
    }

    /// Where `request` would be sent.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchBucket`], [`Error::NoBucket`] and [`Error::SignatureBoundToHost`].
    pub fn destination(&self, request: &HeadToSend<'_>) -> Result<Destination, Error> {
        self.exchange.destination(request)
    }
}

impl Service<Request> for Origin {
    type Response = Response;
    type Error = Failed;
    // Boxed: the future of an async block has no name, and its size stays out of the layers above.
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
                Err(error) => Err(Failed { error, context }),
            }
        })
    }
}
