//! Which host a request goes to: the bucket, and the endpoint among those that stand in for each other.
//!
//! - [`buckets`]: the buckets of an origin, and the hosts of each.
//! - [`group`]: the hosts of one bucket, best first, and which of them is in use.
//! - [`choice`]: a connection for one request, to the host in use or to the next one.
//! - [`signed_host`]: which hosts a client's signature permits.
//! - `trial`: the return to a better host.
//! - `state`: which host is in use, as numbers and times only.
//! - [`registry`]: hosts and groups that outlive a config, found by what they are.
//!
//! Uses the rooms `link` and `endpoint`. What is sent, and whether it is sent again, is decided in
//! `exchange`.

pub(crate) mod buckets;
pub(crate) mod choice;
pub(crate) mod group;
pub mod registry;
pub mod signed_host;
mod state;
mod trial;
