//! The policies of a route, one layer each.
//!
//! The contract of a policy:
//!
//! - It refuses with a response from [`respond`](crate::http::respond), never with an error.
//! - It decides before it allocates.
//! - What it adds to a response it adds to every response from below, refusals and 5xx included.
//! - It reads neither the body nor the clock nor the environment.
//! - It calls the inner service at most once. Only [`website`] may call it again.
//! - It imports no other policy. What several policies share is in [`gate`].
//!
//! The decision of a policy is a function of its own, because `ossgate explain` calls it as well. The
//! order of the layers is in [`route::stack`](crate::route::stack).

pub mod cors;
pub mod gate;
pub mod guard;
pub mod hsts;
pub mod https;
pub mod preview;
pub mod referer;
pub mod website;
