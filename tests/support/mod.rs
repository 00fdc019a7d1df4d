//! What the integration tests share.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "test support fails loudly, and not every module uses all of it"
)]

pub(crate) mod certificates;
pub(crate) mod daemon;
pub(crate) mod frames;
pub(crate) mod load;
pub(crate) mod object;
pub(crate) mod origin;
pub(crate) mod proxy;
