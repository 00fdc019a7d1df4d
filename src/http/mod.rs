//! HTTP facts that every part of the proxy shares. There is no policy in them.
//!
//! One request type and one response type run through the whole stack ([`message`]), so no layer is
//! generic over bodies. The data that travels beside a request is its
//! [`RequestContext`](context::RequestContext): its id, its client, its timings and the fields of its
//! log line.

pub mod access;
pub mod activity;
pub mod authority;
pub mod body;
pub mod context;
pub mod forwarded;
pub mod framing;
pub mod headers;
pub mod hidden_fragment;
pub mod input_framing;
pub mod malformed;
pub mod message;
pub mod request_authority;
pub mod respond;

pub use body::{BodyError, RequestBody, ResponseBody};
pub use message::{Received, Request, Response};
