//! Sockets, streams with or without TLS, unix socket files and ranges of addresses, used by both sides of
//! the proxy.
//!
//! This module is independent of HTTP. The listener uses it for client connections, the origin for upstream
//! connections.

pub mod ranges;
pub mod socket;
pub mod stream;
pub mod unix;

/// The maximum number of bytes that hyper reads or writes at once on an HTTP/1.1 connection. A slow
/// transfer keeps up to this many bytes in memory. hyper's default of about 400 KiB would use an eighth
/// less CPU on downloads of 1 MiB, but twice the memory for a slow client.
pub const TRANSFER_BUFFER: usize = 128 * 1024;
