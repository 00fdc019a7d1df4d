//! Selects the host of a request: first the bucket, then the best endpoint that is reachable.
//!
//! - [`buckets`]: the buckets of an origin, and the hosts of each.
//! - [`group`]: the hosts of one bucket, best first, and which of them is in use.
//! - [`choice`]: returns a connection for one request, to the host in use or to the next one.
//! - [`signed_host`]: which hosts a client's signature permits.
//! - `trial`: the return of traffic to a better host.
//! - `state`: which host is in use, stored as numbers and times only.
//! - [`registry`]: hosts and groups of hosts that outlive a config, looked up by their identity.
//!
//! A *tier* is the index of a host in the list of hosts of a bucket; 0 is the best. This module uses the
//! modules `link` and `endpoint`. The module `exchange` above it determines what is sent, and whether it is
//! sent again.

pub(crate) mod buckets;
pub(crate) mod choice;
pub(crate) mod group;
pub mod registry;
pub mod signed_host;
mod state;
mod trial;
