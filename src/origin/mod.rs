//! The innermost service: an OSS endpoint over the network.
//!
//! A request becomes a request of OSS ([`request`]), takes a connection ([`pool`], [`connect`]) to
//! one of the endpoint's addresses ([`dns`], [`address`]), and is sent ([`exchange`]); its answer's
//! body carries the connection until it ends ([`download`]). Failures are typed ([`error`]); this
//! module makes no answers of its own.
//!
//! # What is sent twice
//!
//! A connect that fails costs nothing, so any request goes on to the next address. On a kept-alive
//! connection that ended before the first byte of the answer, a request is sent again, once, on a
//! fresh connection: always when hyper is sure that it was not written; else only when its method is
//! idempotent, none of its body has been read and no byte of an answer has come. GET and HEAD are
//! sent again whatever has come, on a fresh connection, too, and a second time.
//!
//! A request on a kept connection that waits for its answer moves when its address cannot be connected
//! to any more, on the same conditions; with several endpoints ([`tier`]), when its endpoint cannot. A
//! download that breaks asks for the rest ([`resume`]).

mod accept;
pub mod address;
mod answer;
pub mod buckets;
pub mod condition;
pub mod connect;
pub mod dns;
pub mod download;
pub mod driver;
pub mod error;
pub mod exchange;
pub mod io;
pub mod lookup;
pub mod pool;
mod prepare;
pub mod request;
pub mod resume;
pub mod tier;
pub mod upload;
pub mod upstream;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, request as head};
use hyper::body::Incoming;
use tokio::time::Instant;
use tower::Service;

use crate::http::context::RequestContext;
use crate::http::{Received, Request, Response};
use crate::origin::address::AddressSet;
use crate::origin::buckets::BucketTable;
use crate::origin::error::Error;
use crate::origin::exchange::{Deadlines, Failure, exchange};
use crate::origin::pool::Connection;
use crate::origin::prepare::Prepared;
use crate::origin::request::Rewrite;
use crate::origin::tier::Chosen;
use crate::origin::upstream::Upstream;

/// A request OSS did not answer, with what is needed to tell the client so.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: Error,
    /// The request's context.
    pub context: Arc<RequestContext>,
}

/// The service of one route's origin.
#[derive(Clone, Debug)]
pub struct Origin {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    endpoints: Box<[Box<str>]>,
    rewrite: Rewrite,
    buckets: BucketTable,
    deadlines: Deadlines,
    idle: Duration,
}

impl Origin {
    /// `endpoints`: their names, best first. `idle`: the longest silence inside an answer's body.
    #[must_use]
    pub fn new(
        endpoints: Box<[Box<str>]>,
        rewrite: Rewrite,
        buckets: BucketTable,
        deadlines: Deadlines,
        idle: Duration,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                endpoints,
                rewrite,
                buckets,
                deadlines,
                idle,
            }),
        }
    }

    /// The endpoints, best first: more than one with `fallback`.
    #[must_use]
    pub fn endpoints(&self) -> &[Box<str>] {
        &self.shared.endpoints
    }

    /// The address sets of the buckets the config names, fallbacks included.
    #[must_use]
    pub fn address_sets(&self) -> Vec<Arc<AddressSet>> {
        let named = self.shared.buckets.named();
        named.flat_map(|upstream| upstream.address_sets()).collect()
    }

    /// Place among [`Origin::endpoints`] of the one requests go to; where buckets differ, of the one
    /// furthest down.
    #[must_use]
    pub fn active_endpoint(&self) -> usize {
        self.shared.buckets.active_tier()
    }
}

/// Where a request would be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The bucket.
    pub bucket: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// The `Host` OSS is sent.
    pub host: String,
    /// Path and query OSS is sent.
    pub target: String,
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "bucket `{}` at {}: {} with Host {}",
            self.bucket, self.endpoint, self.target, self.host
        )
    }
}

impl Origin {
    /// Where a request for `target` of `host` would be sent.
    ///
    /// # Errors
    ///
    /// When it is for no bucket of this origin.
    pub fn destination<'a>(
        &'a self,
        host: impl FnOnce() -> &'a str,
        target: &'a str,
    ) -> Result<Destination, Error> {
        let mapped = self.shared.rewrite.map(host, target)?;
        let bucket = self.shared.buckets.get(&mapped.bucket);
        let bucket = bucket.ok_or(Error::NoSuchBucket)?;
        Ok(Destination {
            bucket: bucket.name.to_string(),
            endpoint: bucket.upstream.endpoint.to_string(),
            host: String::from_utf8_lossy(bucket.upstream.host.as_bytes()).into_owned(),
            target: mapped.target.into_owned(),
        })
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
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let (request, context) = request.into_inner();
            match shared.forward(request, &context).await {
                Ok(response) => Ok(response),
                Err(error) => Err(Failed { error, context }),
            }
        })
    }
}

/// How often GET and HEAD are sent again: addresses that move can break a connection that is kept and
/// then one that is fresh.
const READ_AGAIN: u32 = 2;

/// An answer that has begun.
struct Answered {
    answer: http::Response<Incoming>,
    connection: Connection,
    /// Where the connection leads.
    upstream: Arc<Upstream>,
    /// What was asked, where it may be asked again.
    copy: Option<head::Parts>,
}

impl Shared {
    async fn forward(
        &self,
        request: Received,
        context: &Arc<RequestContext>,
    ) -> Result<Response, Error> {
        let mut prepared = self.prepare(request, context)?;
        let result = self.send(&mut prepared, context).await;
        if let Some(upload) = &prepared.upload {
            context.outcome().bytes_in = upload.sent();
        }
        let answered = result?;
        let now = Instant::now();
        context.outcome().first_byte = Some(now.saturating_duration_since(context.start));
        self.accept(answered, prepared, context, now)
    }

    async fn send(
        &self,
        prepared: &mut Prepared,
        context: &RequestContext,
    ) -> Result<Answered, Error> {
        let is_idempotent = prepared
            .head
            .as_ref()
            .is_some_and(|head| is_idempotent(&head.method));
        // What cannot be sent twice must not be sent into a connection that is closing.
        let is_sure = prepared.upload.is_some() || !is_idempotent;
        let is_read = prepared.upload.is_none()
            && prepared
                .head
                .as_ref()
                .is_some_and(|head| matches!(head.method, Method::GET | Method::HEAD));
        let mut head = prepared.head.take();
        let mut attempt = 0_u32;
        let first = &prepared.bucket.upstream;
        while let Some(mut parts) = head.take() {
            let is_retry = attempt > 0;
            let Chosen {
                upstream,
                tier,
                mut connection,
            } = tier::connection(first, &parts, context, is_retry, is_sure).await?;
            if first.tiers.is_some() {
                upstream.put_host(&mut parts.headers);
                upstream.note(tier, context);
            }
            {
                let mut outcome = context.outcome();
                outcome.upstream = Some(connection.address.socket);
                outcome.reused = connection.is_reused;
                outcome.retries = attempt;
            }
            // For another attempt, or for the rest of a body that breaks.
            let is_repeatable = is_read || (connection.is_reused && is_idempotent);
            let copy = is_repeatable.then(|| parts.clone());
            let now = if connection.is_reused {
                context.start
            } else {
                Instant::now()
            };
            let request = prepared.build(parts);
            let upload = prepared.upload.as_ref();
            let may_move = connection.is_reused && is_idempotent && upload.is_none();
            let is_watched = may_move && first.tiers.is_some();
            let exchanging = exchange(
                &mut connection,
                request,
                upload,
                self.deadlines,
                may_move && !is_watched,
                now,
            );
            let exchanged = if is_watched {
                // Boxed: only origins with several endpoints should carry its state.
                Box::pin(tier::watched(first, (&upstream, tier), exchanging)).await
            } else {
                Some(exchanging.await)
            };
            let is_lost = exchanged.is_none();
            let failure = match exchanged {
                Some(Ok(answer)) => {
                    return Ok(Answered {
                        answer,
                        connection,
                        upstream,
                        copy: copy.filter(|_| is_read),
                    });
                }
                Some(Err(failure)) => failure,
                None => Failure {
                    error: Error::FirstByteTimeout,
                    unsent: None,
                },
            };
            let is_reset = is_lost || matches!(failure.error, Error::Reset(_) | Error::Gone);
            if !connection.is_reused && is_reset {
                connection
                    .address
                    .note_break(Instant::now(), &failure.error);
            }
            let is_body_whole =
                upload.is_none_or(|upload| upload.is_untouched() && !upload.has_failed());
            head = match failure.unsent {
                Some(request) => Some(request.into_parts().0),
                // What has begun to answer has been acted on; reading it twice does no harm.
                None => copy.filter(|_| is_reset && (is_read || !connection.wire.has_read())),
            };
            let is_enough = attempt >= if is_read { READ_AGAIN } else { 1 };
            if is_enough || !is_body_whole || head.is_none() || !upstream.take_retry() {
                return Err(failure.error);
            }
            tracing::debug!(address = %connection.address.socket, error = %failure.error, "sending again");
            attempt += 1;
        }
        // The head is there at the start of every round.
        Err(Error::Busy)
    }
}

fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
    )
}
