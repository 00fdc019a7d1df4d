//! Facts about OSS, with no I/O and no clock.
//!
//! Whoever needs one of them (the proxy, the config's checks, the demo origin) asks the same
//! function. Uses nothing else of the crate.

pub mod addressing;
pub mod endpoint;
pub mod error;
pub mod signature;
pub mod subresource;
