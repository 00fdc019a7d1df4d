//! The policies of a route. Each is one layer.
//!
//! The contract of a policy:
//!
//! - It refuses with a response from [`respond`](crate::http::respond), never with an error.
//! - It decides before it allocates memory.
//! - If it adds header fields to responses, it also adds them to refusals and 5xx responses of the inner
//!   service. The only exceptions are fields about an object, which [`headers`] adds only to responses that
//!   contain the object.
//! - It reads neither the body nor the clock nor the environment.
//! - It calls the inner service at most once. Only [`website`] may call it again.
//! - It imports no other policy. Code that several policies share is in [`gate`].
//!
//! The decision of a policy is a separate function, because `ossgate explain` also calls it. The order of
//! the layers is in [`route::stack`](crate::route::stack).

pub mod cors;
pub mod gate;
pub mod guard;
pub mod headers;
pub mod hsts;
pub mod https;
pub mod ip;
pub mod preview;
pub mod referer;
pub mod website;
