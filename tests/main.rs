//! The one integration binary: a module per capability.

#![allow(
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails loudly, and cuts texts it has written itself"
)]

mod admin;
mod arbitrary;
mod chatter;
mod client_address;
mod config;
mod cork;
mod explain;
mod faults;
mod forward;
mod http2;
mod import;
mod layers;
mod leaving;
mod lifecycle;
mod limits;
mod load;
mod moving;
mod overload;
mod policy;
mod reload;
mod resolve;
mod resume;
mod signature;
mod slow;
mod starved;
mod support;
mod tiers;
mod tls;
mod vectors;
