//! HTTP/1.1 towards a client: one connection as a sequence of served and parked times.

pub(super) mod connection;
mod hyper_io;
mod malformed;
mod parking;
