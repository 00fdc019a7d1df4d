//! A sample OSS, a scripted DNS server and a throw-away certificate authority, all on loopback.
//!
//! `ossgate demo` shows the proxy in front of them, and the tests use them as the origin. They keep
//! everything in memory, for one machine and a short life, and never run in a serving proxy.

pub mod ca;
pub mod dns;
pub mod net;
pub mod origin;
