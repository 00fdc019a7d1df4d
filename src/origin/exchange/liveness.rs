//! Checks whether OSS is still reachable while a request waits for its response.
//!
//! A network that drops all packets leaves connections open, so a request could wait for its whole timeout.
//! While the request waits, this module opens a second connection to check whether the address still accepts
//! connections. If the bucket has hosts at several endpoints, the module checks the host with all its
//! addresses. If the check fails, the request is sent to another address or host.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::origin::endpoint::address_health::Address;
use crate::origin::endpoint::readiness;
use crate::origin::link::host::Host;
use crate::origin::tiers::group::Tiers;

/// How long a request waits for its response before the first check. Most responses begin within a tenth of
/// this time.
pub(super) const FIRST_CHECK: Duration = Duration::from_secs(1);
/// The pause between two checks of one request.
pub(super) const NEXT_CHECK: Duration = Duration::from_millis(500);
/// No check is necessary if the address has accepted another connection within this time and after the
/// request began to wait.
const TRUSTED: Duration = Duration::from_secs(2);

/// A running check. It returns true if OSS is still reachable.
pub(super) type Check<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// The target of the liveness check.
#[derive(Clone, Copy, Debug)]
pub(super) enum Liveness<'a> {
    /// No check is made, because the request cannot be sent again.
    NotChecked,
    /// Only the address of the connection is checked.
    Address {
        /// The host that the address belongs to.
        host: &'a Host,
    },
    /// One host of the bucket is checked, with all its addresses.
    Host {
        /// The hosts of the bucket, best first.
        tiers: &'a Tiers,
        /// The index in `tiers` of the host that the request was sent to.
        tier: usize,
    },
}

impl<'a> Liveness<'a> {
    /// Selects what is checked: the whole host if another host of the bucket can replace it, otherwise only the
    /// address.
    pub(super) fn of(tiers: &'a Tiers, tier: usize) -> Self {
        if tiers.has_alternatives() {
            Self::Host { tiers, tier }
        } else {
            Self::Address {
                host: tiers.first(),
            }
        }
    }

    /// Returns the time of the first check, measured from the end of the request. Returns `None` if no check
    /// is made.
    pub(super) fn first_check(self) -> Option<Duration> {
        match self {
            Self::NotChecked => None,
            Self::Address { .. } | Self::Host { .. } => Some(FIRST_CHECK),
        }
    }

    /// Starts a check for a request that has waited for its response from `address` since `began`. Returns
    /// `None` if no check is necessary.
    pub(super) fn check(self, address: &Arc<Address>, began: Instant) -> Option<Check<'a>> {
        let now = Instant::now();
        let waited = now.saturating_duration_since(began);
        if address.has_accepted(now, TRUSTED.min(waited)) {
            return None;
        }
        // Boxed, because a check is rare. Otherwise the future of every request would reserve space for a
        // check.
        match self {
            Self::NotChecked => None,
            Self::Address { host } => {
                // The other addresses may be unreachable too, so the readiness check must probe all of
                // them.
                host.addresses.suspect();
                Some(Box::pin(readiness::accepts(Arc::clone(address))))
            }
            Self::Host { tiers, tier } => Some(Box::pin(tiers.is_reachable(tier, began))),
        }
    }
}
