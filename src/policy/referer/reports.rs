//! The log events of the mode `report`: how many requests of a route would have been refused.
//!
//! The access log and the metrics include every such request. One event for each request would fill the log, so
//! each route logs at most one event in five minutes, with the number of these requests since its previous
//! event.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::visible::visible;

/// The minimum time between two events of a route. An operator who watches the log while changing the rules
/// sees an event soon, and a busy site adds fewer than 300 lines a day.
const PAUSE: Duration = Duration::from_secs(300);

/// The reports of all routes in the mode `report`, keyed by the name of the route. They are kept when the
/// config is reloaded, so frequent reloads do not cause more events.
#[derive(Debug, Default)]
pub struct Reports {
    routes: Mutex<HashMap<Arc<str>, Weak<ReportedRoute>>>,
}

impl Reports {
    /// Returns the reports of the route `name`.
    #[must_use]
    pub fn of_route(&self, name: &str) -> Arc<ReportedRoute> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = routes.get(name).and_then(Weak::upgrade) {
            return known;
        }
        let name: Arc<str> = name.into();
        let route = Arc::new(ReportedRoute {
            name: Arc::clone(&name),
            unlogged: AtomicU64::new(0),
            first: OnceLock::new(),
            due: AtomicU64::new(0),
        });
        routes.insert(name, Arc::downgrade(&route));
        route
    }

    /// Forgets the routes that no config uses any more.
    pub fn forget_unused(&self) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.retain(|_, route| route.strong_count() > 0);
    }
}

/// The reports of one route. All workers share this value.
#[derive(Debug)]
pub struct ReportedRoute {
    name: Arc<str>,
    /// The number of counted requests since the previous event.
    unlogged: AtomicU64,
    /// The time of the first counted request.
    first: OnceLock<Instant>,
    /// The time at which the next event may be logged, in milliseconds after `first`.
    due: AtomicU64,
}

impl ReportedRoute {
    /// Counts a request that arrived at `at`, and logs an event if one is due.
    pub(super) fn note(&self, at: Instant) {
        if let Some(requests) = self.count(at) {
            tracing::info!(
                route = %visible(&self.name),
                requests,
                "the Referer rules would refuse requests; the access log has them with referer_verdict"
            );
        }
    }

    /// Counts a request. If an event is due, returns the number of requests since the previous event.
    fn count(&self, at: Instant) -> Option<u64> {
        self.unlogged.fetch_add(1, Relaxed);
        let first = *self.first.get_or_init(|| at);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = millis(at.saturating_duration_since(first));
        let due = self.due.load(Relaxed);
        let next = now.saturating_add(millis(PAUSE));
        // Of several workers that count at the same time, only one changes `due` and logs the event.
        let is_due = now >= due
            && (self.due)
                .compare_exchange(due, next, Relaxed, Relaxed)
                .is_ok();
        is_due.then(|| self.unlogged.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_logs_one_event_in_five_minutes_with_all_requests_since_the_previous_one() {
        let (reports, start) = (Reports::default(), Instant::now());
        let route = reports.of_route("img");
        let at = |seconds| start + Duration::from_secs(seconds);
        for (seconds, expected) in [
            (0, Some(1)),
            (0, None),
            (10, None),
            (299, None),
            (300, Some(4)),
            (301, None),
            (599, None),
            (601, Some(3)),
            // Requests of another worker may arrive with an earlier time.
            (600, None),
            (5000, Some(2)),
        ] {
            assert_eq!(route.count(at(seconds)), expected, "after {seconds} s");
        }
        let other = reports.of_route("other");
        assert_eq!(other.count(at(5000)), Some(1), "each route for itself");
    }

    #[test]
    fn the_next_config_continues_the_reports_of_a_route() {
        let (reports, start) = (Reports::default(), Instant::now());
        let old = reports.of_route("img");
        assert_eq!(old.count(start), Some(1));
        reports.forget_unused();
        let new = reports.of_route("img");
        drop(old);
        assert_eq!(new.count(start), None);
        drop(new);
        reports.forget_unused();
        assert!(reports.routes.lock().unwrap().is_empty());
    }
}
