//! ossgate: a reverse proxy that gives Alibaba Cloud OSS a fixed IP.
//!
//! # The life of a request
//!
//! 1. [`listener`] accepts a socket, ends TLS and reads HTTP/1.1 ([`listener::http1`]) or HTTP/2
//!    ([`listener::http2`]).
//! 2. [`http::access`] gives the request an id and will record how it ended.
//! 3. [`route`] refuses what must not be forwarded ([`http::framing`]) and finds the route by host
//!    and path ([`route::table`]).
//! 4. The route's stack ([`route::stack`]) is the order of everything that happens to it; the rules in
//!    it are in [`policy`], what they mean in [`oss`].
//! 5. [`origin`] maps it to a bucket ([`origin::request`]), takes a connection ([`origin::pool`],
//!    [`origin::connect`]) to one of the endpoint's addresses ([`origin::address`], fed by
//!    [`origin::dns`]) and sends it ([`origin::exchange`]).
//! 6. The answer's body carries the upstream connection back to the client ([`origin::download`]);
//!    when it ends, the connection returns to the pool and the record to [`telemetry::access_log`].
//!
//! # The map
//!
//! | Layer | Modules |
//! | --- | --- |
//! | start | [`cli`] and `main` |
//! | signals, commands, files that change | [`supervise`] |
//! | joins the parts, again for every new config | [`app`] |
//! | network in, choice of route | [`listener`], [`route`], [`admin`] |
//! | rules, and network out | [`policy`], [`origin`] |
//! | the origin of the demo and the tests | [`demo`] |
//! | shared by all | [`http`], [`net`], [`telemetry`], [`health`], [`shutdown`], [`runtime`] |
//! | what the operator wrote | [`config`] |
//! | facts about OSS | [`oss`] |
//!
//! A file uses only lower layers, or its own folder; `tests/layers.rs` holds that.

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod demo;
pub mod health;
pub mod http;
pub mod listener;
pub mod net;
pub mod origin;
pub mod oss;
pub mod policy;
pub mod route;
pub mod runtime;
pub mod shutdown;
pub mod supervise;
pub mod telemetry;
