//! The hosts of one bucket: those of its endpoints that stand in for each other, best first.
//!
//! A tier is a place in this list. Another tier means another host: another address set, TLS name and
//! `Host`. The state is kept per bucket: under a pattern a client chooses the bucket name, and a name that
//! does not resolve must not move the traffic of others.

use std::sync::Arc;

use tokio::time::Instant;

use crate::http::context::RequestContext;
use crate::origin::link::host::Host;
use crate::origin::tiers::state::{Move, TierState};

/// The hosts of one bucket and which one is in use.
#[derive(Debug)]
pub(crate) struct Tiers {
    /// Never empty.
    hosts: Box<[Arc<Host>]>,
    pub(super) state: TierState,
}

impl Tiers {
    /// Creates a group in which `first` is in use; `others` in order of preference.
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

    /// The hosts, best first; at least one.
    #[must_use]
    pub(crate) fn hosts(&self) -> &[Arc<Host>] {
        &self.hosts
    }

    /// The best host.
    #[must_use]
    pub(crate) fn first(&self) -> &Arc<Host> {
        &self.hosts[0]
    }

    /// The tier in use; 0 is the best.
    #[must_use]
    pub(crate) fn active(&self) -> usize {
        self.state.active()
    }

    /// Whether there is more than one host.
    #[must_use]
    pub(crate) fn has_alternatives(&self) -> bool {
        self.hosts.len() > 1
    }

    /// Records in the request's outcome that it goes to `tier`.
    pub(in crate::origin) fn note_tier(&self, tier: usize, context: &RequestContext) {
        if let Some(host) = self.hosts.get(tier) {
            let mut outcome = context.outcome();
            outcome.tier = u32::try_from(tier).unwrap_or(u32::MAX);
            outcome.endpoint = Some(Arc::clone(&host.endpoint));
        }
    }

    /// Records a connect to `tier` that succeeded while `active` was in use. When the active tier has been
    /// failing for long enough, `tier` takes its place.
    pub(super) fn note_connected(&self, active: usize, tier: usize, now: Instant) {
        if tier == active {
            self.state.note_reachable();
        } else if self.state.is_failing(now) {
            self.change(active, tier, now);
        }
    }

    /// Whether the host at `tier` can be reached, by a connect. When it cannot, and is the one in use, it
    /// counts as failing since `began`.
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

    /// Moves traffic from tier `from` to tier `to`.
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
