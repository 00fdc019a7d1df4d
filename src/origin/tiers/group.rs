//! The hosts of one bucket, one per endpoint, best first. If the host in use is unreachable, another one
//! replaces it.
//!
//! A tier is an index in the list of these hosts. Another tier means another host: another address set, TLS
//! name and `Host` header. Each bucket has its own state. Under a bucket pattern a client chooses the bucket
//! name, and a name that does not resolve must not move the traffic of other buckets.

use std::sync::Arc;

use tokio::time::Instant;

use crate::http::context::RequestContext;
use crate::origin::link::host::Host;
use crate::origin::tiers::state::{Move, TierState};

/// The hosts of one bucket, and which of them is in use.
#[derive(Debug)]
pub(crate) struct Tiers {
    /// The hosts, best first. Never empty.
    hosts: Box<[Arc<Host>]>,
    pub(super) state: TierState,
}

impl Tiers {
    /// Creates a group in which `first` is in use. `others` are the other hosts, best first.
    #[must_use]
    pub(crate) fn new(
        first: Arc<Host>,
        others: impl IntoIterator<Item = Arc<Host>>,
        now: Instant,
    ) -> Self {
        Self {
            hosts: std::iter::once(first).chain(others).collect(),
            state: TierState::new(now),
        }
    }

    /// Returns the hosts, best first. There is at least one.
    #[must_use]
    pub(crate) fn hosts(&self) -> &[Arc<Host>] {
        &self.hosts
    }

    /// Returns the best host.
    #[must_use]
    pub(crate) fn first(&self) -> &Arc<Host> {
        &self.hosts[0]
    }

    /// Returns the tier in use; 0 is the best.
    #[must_use]
    pub(crate) fn active(&self) -> usize {
        self.state.active()
    }

    /// Whether there is more than one host.
    #[must_use]
    pub(crate) fn has_alternatives(&self) -> bool {
        self.hosts.len() > 1
    }

    /// Records in the request's outcome that the request is sent to `tier`.
    pub(in crate::origin) fn note_tier(&self, tier: usize, context: &RequestContext) {
        if let Some(host) = self.hosts.get(tier) {
            let mut outcome = context.outcome();
            outcome.tier = u32::try_from(tier).unwrap_or(u32::MAX);
            outcome.endpoint = Some(Arc::clone(&host.endpoint));
        }
    }

    /// Records a successful connect to `tier` while `active` was in use. If the active tier has been
    /// failing for long enough, `tier` replaces it.
    pub(super) fn note_connected(&self, active: usize, tier: usize, now: Instant) {
        if tier == active {
            self.state.note_reachable();
        } else if self.state.is_failing(now) {
            self.change(active, tier, now);
        }
    }

    /// Connects to the host of `tier` and returns whether it is reachable. If the host is unreachable and in
    /// use, it counts as failing since `began`.
    pub(in crate::origin) async fn is_reachable(&self, tier: usize, began: Instant) -> bool {
        let Some(host) = self.hosts.get(tier) else {
            return true;
        };
        match host.probe().await {
            Err(error) if error.is_unreachable() => {
                if self.active() == tier {
                    self.state.note_unreachable(began);
                }
                false
            }
            Ok(()) | Err(_) => true,
        }
    }

    /// Moves traffic from tier `from` to tier `to`, unless another request has already moved it.
    pub(super) fn change(&self, from: usize, to: usize, now: Instant) {
        let Some(host) = self.hosts.get(to) else {
            return;
        };
        match self.state.change(from, to, now) {
            None => {}
            Some(Move::Back) => {
                tracing::info!(endpoint = %host.endpoint, tier = to, "traffic returns to a better endpoint");
            }
            Some(Move::Away) => tracing::warn!(
                endpoint = %self.first().endpoint, to = %host.endpoint, tier = to,
                "endpoint cannot be connected to, traffic goes to another one"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
