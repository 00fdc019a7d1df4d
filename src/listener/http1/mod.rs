//! HTTP/1.1 connections of clients, which are parked while they are idle.

pub(super) mod connection;
mod hyper_io;
mod malformed;
mod parking;
