//! The code that the test files share: origins, the proxy, clients, the process, and data.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "test support panics where a test fails, and each file uses a part of it"
)]

pub(crate) mod acting;
pub(crate) mod black_hole;
pub(crate) mod cases;
pub(crate) mod certificates;
pub(crate) mod client_at;
pub(crate) mod config;
pub(crate) mod daemon;
pub(crate) mod frames;
pub(crate) mod import;
pub(crate) mod imported;
pub(crate) mod kept;
pub(crate) mod load;
pub(crate) mod nginx;
pub(crate) mod nginx_pair;
pub(crate) mod object;
pub(crate) mod origin;
pub(crate) mod private;
pub(crate) mod proxy;
pub(crate) mod signature;
mod signature_text;
pub(crate) mod sink;
pub(crate) mod spelling;
pub(crate) mod tiers;
pub(crate) mod tls;
pub(crate) mod vectors;
