//! The return of traffic to a better tier.
//!
//! While a worse tier is in use, a request starts a trial in the background from time to time. A trial
//! consists of several connects to each better tier, some seconds apart. Traffic returns to a tier only if
//! all connects to it succeed. Therefore no request waits for an unreachable tier, and traffic does not
//! return to a tier that keeps failing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::origin::link::host::Host;
use crate::origin::tiers::group::Tiers;

/// The number of connects in a trial. With the pauses between them, a tier must be reachable for four and a
/// half seconds.
const CONNECTS: u32 = 4;
/// The pause between two connects of a trial.
const SPACING: Duration = Duration::from_millis(1500);

/// Starts a trial in the background if one is due.
pub(super) fn start_if_due(tiers: &Arc<Tiers>) {
    if tiers.state.takes_trial(Instant::now()) {
        // The task needs no cancellation: the connect timeouts limit its duration.
        tokio::spawn(run(Arc::clone(tiers)));
    }
}

/// Tries the tiers that are better than the active one, best first. Traffic returns to the first tier whose
/// connects all succeed.
async fn run(tiers: Arc<Tiers>) {
    let active = tiers.active();
    let mut has_returned = false;
    for (tier, host) in tiers.hosts().iter().enumerate().take(active) {
        if stays_reachable(host).await {
            tiers.change(active, tier, Instant::now());
            has_returned = true;
            break;
        }
    }
    tiers.state.end_trial(has_returned, Instant::now());
}

async fn stays_reachable(host: &Host) -> bool {
    for connect in 0..CONNECTS {
        if connect > 0 {
            tokio::time::sleep(SPACING).await;
        }
        if let Err(error) = host.probe().await {
            tracing::debug!(endpoint = %host.endpoint, %error, "trial of a better endpoint failed");
            return false;
        }
    }
    true
}
