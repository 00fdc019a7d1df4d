//! Connections to one host of OSS.
//!
//! - [`host`]: one host name with its addresses, TLS name and limits; hands out connections.
//! - [`identity`]: what makes a host what it is, so that no two owners of buckets share connections.
//! - [`pool`]: idle connections, per worker thread.
//! - [`connect`]: a new connection to one of several addresses.
//! - [`connection`]: one connection, while a request uses it or while it is idle; [`reuse`]: which one a
//!   request accepts.
//! - [`tls`]: trust and names for TLS to OSS.
//! - `socket`, `driver`: the socket below hyper, and hyper's half of a connection.
//! - [`upload`]: the request body on its way into a connection; [`retained`]: what is kept of it for a
//!   retry.
//!
//! Uses the room `endpoint` and nothing above it: which host a request goes to is decided in `tiers`.

pub(crate) mod connect;
pub(crate) mod connection;
mod driver;
pub(crate) mod host;
pub(crate) mod identity;
pub(crate) mod pool;
pub(crate) mod retained;
pub(crate) mod reuse;
mod socket;
pub(crate) mod tls;
pub(crate) mod upload;
