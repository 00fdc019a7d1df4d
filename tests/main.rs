//! The one integration binary: a module per capability.

#![allow(
    clippy::string_slice,
    reason = "tests cut texts they have written themselves"
)]

mod config;
mod forward;
mod layers;
mod limits;
mod resolve;
mod signature;
mod support;
mod tls;
