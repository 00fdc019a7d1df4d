//! The one integration binary: a module per capability.

#![allow(
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly, and cuts texts it has written itself"
)]

mod client;
mod config;
mod identity;
mod layers;
mod origin;
mod policy;
mod process;
mod support;
