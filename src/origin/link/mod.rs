//! Connections to one host of OSS.
//!
//! - [`host`]: one host name with its addresses, TLS name and limits; returns connections.
//! - [`identity`]: the identity of a host, which determines whether two routes share its connections.
//! - [`pool`]: idle connections, per worker thread.
//! - [`connect`]: opens a connection to one of several addresses.
//! - [`connection`]: one connection, in use or idle.
//! - [`reuse`]: which connections a request accepts.
//! - [`tls`]: trusted certificates and certificate names for TLS to OSS.
//! - `verify`: why a certificate of OSS is rejected.
//! - [`socket`], `driver`: the socket below hyper, and the I/O half of a hyper connection.
//! - [`upload`]: the request body that is sent on a connection.
//! - [`retained`]: the part of a body that is kept for a retry.
//!
//! This module uses only the module `endpoint`. The module `tiers` above it selects the host of a request.

pub(crate) mod connect;
pub(crate) mod connection;
mod driver;
pub(crate) mod host;
pub(crate) mod identity;
pub(crate) mod pool;
pub(crate) mod retained;
pub(crate) mod reuse;
pub(crate) mod socket;
pub(crate) mod tls;
pub(crate) mod upload;
mod verify;
