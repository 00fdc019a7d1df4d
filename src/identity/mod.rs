//! In whose name OSS is asked: the access keys of the operator, and the signatures made with them.
//!
//! | Module | Responsibility |
//! | --- | --- |
//! | [`credentials`] | the access key of each source, and its refresh |
//! | [`admission`] | which requests are signed |
//! | [`sign`] | the signature of one request |
//!
//! The origin does not use this module. It gets a signer through [`http::signing`](crate::http::signing).

pub mod admission;
pub mod credentials;
pub mod sign;

/// A function that returns the current time, in seconds since 1970. Only [`app`](crate::app) reads the clock.
pub type Clock = fn() -> u64;
