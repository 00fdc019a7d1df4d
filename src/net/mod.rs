//! What both sides of the network share: sockets, streams with or without TLS, unix
//! socket files, ranges of addresses.
//!
//! Nothing here knows HTTP. The listener builds the client's side of a connection from it, the origin
//! the upstream side.

pub mod ranges;
pub mod socket;
pub mod stream;
pub mod unix;

/// The maximum number of bytes that hyper reads or writes at a time on an HTTP/1.1 connection; a slow
/// transfer keeps as many in memory. hyper's default of about 400 KiB costs an eighth less CPU on
/// downloads of 1 MiB, but twice the memory of a slow client.
pub const TRANSFER_BUFFER: usize = 128 * 1024;
