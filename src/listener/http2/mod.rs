//! HTTP/2 towards a client: hyper's connection, with the limits and the buffering that it lacks.

pub(super) mod connection;
pub mod cork;
mod frame_budget;
mod goaway;
mod held_end;
