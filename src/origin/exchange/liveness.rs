//! Whether OSS is still there, while an answer takes long.
//!
//! A network that drops everything leaves connections open, so a request on a reused connection could wait
//! for its whole timeout. While it waits, a connect from here shows whether its address, or, with several
//! endpoints, its host, still accepts connections. If not, the request is sent somewhere else.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::origin::endpoint::address_health::Address;
use crate::origin::endpoint::readiness;
use crate::origin::tiers::group::Tiers;

/// How long a request waits for its answer before the first check. Most answers begin within a tenth of
/// it.
pub(super) const FIRST_CHECK: Duration = Duration::from_secs(1);
/// The pause between two checks.
pub(super) const NEXT_CHECK: Duration = Duration::from_millis(500);
/// A connection that the address has accepted within this time, and while the request was waiting, makes a
/// check unnecessary.
const TRUSTED: Duration = Duration::from_secs(2);

/// The running check; true when OSS is still there.
pub(super) type Check<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// What is checked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Liveness<'a> {
    /// Nothing: the request cannot be sent again.
    NotChecked,
    /// The address of the connection.
    Address,
    /// The host of this tier, with all its addresses.
    Host {
        /// The hosts that stand in for each other.
        tiers: &'a Tiers,
        /// The tier that the request was sent to.
        tier: usize,
    },
}

impl<'a> Liveness<'a> {
    /// The host where another one stands by, else the address.
    pub(super) fn of(tiers: &'a Tiers, tier: usize) -> Self {
        if tiers.has_alternatives() {
            Self::Host { tiers, tier }
        } else {
            Self::Address
        }
    }

    /// When the first check is due, after the end of the request; `None` without checks.
    pub(super) fn first_check(self) -> Option<Duration> {
        match self {
            Self::NotChecked => None,
            Self::Address | Self::Host { .. } => Some(FIRST_CHECK),
        }
    }

    /// Starts a check for a request that has waited for its answer from `address` since `began`; `None`
    /// when none is necessary.
    pub(super) fn check(self, address: &Arc<Address>, began: Instant) -> Option<Check<'a>> {
        let now = Instant::now();
        let waited = now.saturating_duration_since(began);
        if address.has_connected(now, TRUSTED.min(waited)) {
            return None;
        }
        // Boxed: a check is rare, and its state must not be part of every request's future.
        match self {
            Self::NotChecked => None,
            Self::Address => Some(Box::pin(readiness::accepts(Arc::clone(address)))),
            Self::Host { tiers, tier } => Some(Box::pin(tiers.is_reachable(tier, began))),
        }
    }
}
