//! HTTP types every part of the proxy speaks in, with no policy in them.
//!
//! One request type and one response type run through the whole stack, so that a layer needs no
//! generics over bodies. What travels beside a request (its id, its client, the timings and the
//! fields of the access line) is its [`RequestContext`](context::RequestContext). It is a field and
//! not an extension: every request has one, and extensions would cost three allocations.

pub mod access;
pub mod activity;
pub mod authority;
pub mod body;
pub mod context;
pub mod forwarded;
pub mod fragment;
pub mod framing;
pub mod headers;
pub mod respond;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

pub use body::{BodyError, RequestBody, ResponseBody};

use crate::http::context::RequestContext;

/// A request as a client's connection gives it.
pub type Received = http::Request<RequestBody>;

/// A client's request on its way in, with its context.
#[derive(Debug)]
pub struct Request {
    inner: Received,
    context: Arc<RequestContext>,
}

impl Request {
    /// Joins a request and its context.
    #[must_use]
    pub fn new(inner: Received, context: Arc<RequestContext>) -> Self {
        Self { inner, context }
    }

    /// The context.
    #[must_use]
    pub fn context(&self) -> &Arc<RequestContext> {
        &self.context
    }

    /// The host it is for, without port; empty when it names none.
    #[must_use]
    pub fn host(&self) -> &str {
        self.context
            .authority()
            .map_or("", |authority| authority.host)
    }

    /// Path and query, as received.
    #[must_use]
    pub fn target(&self) -> &str {
        self.inner
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str())
    }

    /// Takes the two apart.
    #[must_use]
    pub fn into_inner(self) -> (Received, Arc<RequestContext>) {
        (self.inner, self.context)
    }
}

impl Deref for Request {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.inner
    }
}

impl DerefMut for Request {
    fn deref_mut(&mut self) -> &mut Received {
        &mut self.inner
    }
}

/// An answer on its way out.
pub type Response = http::Response<ResponseBody>;
