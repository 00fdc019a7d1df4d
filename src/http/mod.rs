//! The HTTP types and rules that every part of the proxy shares. This module contains no policies.
//!
//! All layers use one request type and one response type ([`message`]), so no layer is generic over
//! bodies. A [`RequestContext`](context::RequestContext) accompanies each request. It contains the id of
//! the request, its client, its times and the fields of its log line.

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
pub mod signing;

pub use body::{BodyError, RequestBody, ResponseBody};
pub use message::{Received, Request, Response};
