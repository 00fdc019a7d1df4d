//! The integration tests in one binary. `README.md` beside this file says what is where.

#![allow(
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics where it fails, and slices texts it has written itself"
)]

mod client;
mod config;
mod identity;
mod layers;
mod origin;
mod policy;
mod process;
mod support;
