//! The HTTP types and rules that every part of the proxy shares. This module contains no policies.
//!
//! The whole stack uses one request type and one response type ([`message`]), so no layer is generic over
//! bodies. The data that accompanies a request is its [`RequestContext`](context::RequestContext): its
//! id, its client, its timings and the fields of its log line.

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
