//! The addresses of OSS endpoints: which ones exist, the health of each, and whether an endpoint is
//! reachable.
//!
//! - [`dns`]: one background task per endpoint name keeps its address set up to date.
//! - `name_servers`: the only module that sends DNS queries.
//! - [`address_rule`]: which addresses are permitted for an endpoint.
//! - `membership`: rotation and withdrawal of addresses, derived from successive DNS answers.
//! - [`snapshot`]: the addresses at one moment, and the order in which a new connection tries them.
//! - [`addresses`]: the address set of one endpoint, shared by all workers and its DNS task.
//! - [`address_health`]: failures and successes of one address.
//! - [`readiness`]: whether the endpoints in use are reachable, and the connect probe.
//!
//! This is the lowest layer of `origin`. It opens connections for probes only, never for a request.

pub(crate) mod address_health;
pub(crate) mod address_rule;
pub(crate) mod addresses;
pub mod dns;
mod membership;
mod name_servers;
pub(crate) mod readiness;
pub(crate) mod snapshot;
