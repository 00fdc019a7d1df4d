//! Facts about OSS, with no I/O and no clock.
//!
//! Whoever needs one of them (the proxy, the config's checks, the demo origin) asks the same
//! function. Uses nothing else of the crate.

pub mod addressing;
pub mod cors;
pub mod endpoint;
pub mod error;
pub mod glob;
pub mod guard;
pub mod referer;
pub mod signature;
pub mod subresource;
pub mod website;
pub mod xml;
