//! A sample OSS, a scripted DNS server and a throw-away CA, all on loopback.
//!
//! `ossgate demo` runs the proxy in front of them, and the tests use them as the origin. They keep everything
//! in memory and are never part of a proxy in production.

pub mod ca;
pub mod dns;
pub mod net;
pub mod origin;
