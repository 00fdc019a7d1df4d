//! HTTP/2 connections of clients: hyper's connection, with limits and buffering that hyper lacks.

pub(super) mod connection;
pub mod cork;
mod frame_budget;
mod goaway;
mod held_end;
