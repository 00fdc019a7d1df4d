//! The rules of OSS, without I/O and without a clock.
//!
//! The proxy, the checks of the config and the demo origin all use these functions. This module uses no
//! other module of the crate.

pub mod addressing;
pub mod cors;
pub mod endpoint;
pub mod error;
pub mod glob;
pub mod guard;
pub mod referer;
pub mod signature;
pub mod spelling;
pub mod subresource;
pub mod website;
pub mod xml;
