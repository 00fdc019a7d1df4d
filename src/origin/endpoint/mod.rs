//! The addresses of OSS endpoints: which exist, how each is doing, and whether any can be reached.
//!
//! - [`dns`]: one background task per endpoint name keeps its address set up to date.
//! - `name_servers`: the only place that sends DNS queries.
//! - [`address_rule`]: which addresses an endpoint may have.
//! - [`addresses`]: the address set of one endpoint, and the order in which new connections try it.
//! - [`address_health`]: failures and successes of one address.
//! - [`readiness`]: whether the endpoints in use can be reached, and the probes for it.
//!
//! The lowest of the rooms of `origin`: nothing here opens a connection for a request.

pub(crate) mod address_health;
pub(crate) mod address_rule;
pub(crate) mod addresses;
pub mod dns;
mod name_servers;
pub(crate) mod readiness;
