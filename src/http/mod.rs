//! HTTP types every part of the proxy speaks in, with no policy in them.
//!
//! One request type and one response type run through the whole stack, so that a layer needs no
//! generics over bodies. What travels beside a request (its id, its client, the timings and the
//! fields of the access line) is the [`RequestContext`](context::RequestContext) in the request's
//! extensions.

pub mod access;
pub mod activity;
pub mod authority;
pub mod body;
pub mod context;
pub mod framing;
pub mod headers;
pub mod respond;

pub use body::{BodyError, RequestBody, ResponseBody};

/// A client's request on its way in.
pub type Request = http::Request<RequestBody>;

/// An answer on its way out.
pub type Response = http::Response<ResponseBody>;
