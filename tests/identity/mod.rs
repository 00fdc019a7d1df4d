//! The signatures of OSS: the crate's implementation against another one, directly and over a socket.

mod signature;
mod signed_host;
mod vectors;
