//! The return to a better tier.
//!
//! While a tier further down is in use, a request now and then starts a trial beside itself: several
//! connects to the better tiers, some seconds apart. Only when all connects to a tier succeed does traffic
//! return to it. So no request waits for a tier that is down, and a tier that fails again and again is
//! left alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::origin::link::host::Host;
use crate::origin::tiers::group::Tiers;

/// The connects of a trial, and the time between them: a tier must be reachable for four and a half
/// seconds.
const CONNECTS: u32 = 4;
const SPACING: Duration = Duration::from_millis(1500);

/// Starts a trial in the background if one is due.
pub(super) fn start_if_due(tiers: &Arc<Tiers>) {
    if tiers.state.takes_trial(Instant::now()) {
        // Ends by itself within the deadlines of its connects.
        tokio::spawn(run(Arc::clone(tiers)));
    }
}

/// Tries the tiers that are better than the active one, best first, and returns to the first one that is
/// reachable all the time.
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
