//! A sample OSS, a scripted DNS and a throw-away certificate authority, all on loopback.
//!
//! What `ossgate demo` shows and what the tests talk to. It keeps everything in memory, is made for
//! one machine and a short life, and is never part of the proxy's own path.

pub mod ca;
pub mod dns;
pub mod net;
pub mod origin;
