//! The access keys of the operator, and the signatures that the proxy makes with them.
//!
//! | Module | Responsibility |
//! | --- | --- |
//! | [`credentials`] | the access key of each source, and its refresh |
//! | [`admission`] | which requests are signed |
//! | [`sign`] | the signature of one request |
//!
//! The origin does not import this module. It uses a signer through the trait in
//! [`http::signing`](crate::http::signing).

pub mod admission;
pub mod credentials;
pub mod sign;

/// A function that returns the current time, in seconds since 1970. Only [`app`](crate::app) reads the clock.
pub type Clock = fn() -> u64;
