//! Logs requests of one route that fail on the way to OSS.
//!
//! While an endpoint is down, every request fails. Only the first failure is logged, then one a minute, and
//! one when the cause changes. Each event carries the number of failures since the event before it. The access
//! log has a line for every request.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::http::context::RequestContext;
use crate::origin::endpoint_info::EndpointInfo;
use crate::origin::error::Error;

/// The minimum time between two events with the same cause.
const EVERY: Duration = Duration::from_secs(60);
/// The minimum time between two events with different causes. Two addresses of an endpoint may fail in two
/// ways, so that the cause changes with every request.
const AT_LEAST: Duration = Duration::from_secs(5);

/// The failures of a route that were not logged yet.
#[derive(Debug, Default)]
pub(super) struct FailureLog {
    // Locked only by requests that fail.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The cause and the time of the last event.
    last: Option<(&'static str, Instant)>,
    /// The number of failures since the last event.
    unlogged: u64,
}

impl State {
    /// Counts a failure. Returns the number of failures since the last event if this one must be logged.
    fn count(&mut self, cause: &'static str, now: Instant) -> Option<u64> {
        let is_due = self.last.is_none_or(|(before, at)| {
            let pause = if before == cause { EVERY } else { AT_LEAST };
            now.saturating_duration_since(at) >= pause
        });
        if !is_due {
            self.unlogged += 1;
            return None;
        }
        self.last = Some((cause, now));
        Some(std::mem::take(&mut self.unlogged))
    }
}

impl FailureLog {
    /// Logs the failure of a request, unless it is too soon after the last event. Ignores failures that the
    /// way to OSS has not caused.
    pub(super) fn note(&self, error: &Error, endpoint: &EndpointInfo, context: &RequestContext) {
        let Some(cause) = error.cause() else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(unlogged) = state.count(cause, Instant::now()) else {
            return;
        };
        drop(state);
        let outcome = context.outcome();
        let address = outcome.upstream.or(outcome.unreachable);
        let address = address.map(|address| address.to_string());
        let route = outcome.route.clone();
        drop(outcome);
        tracing::warn!(
            route = route.as_deref().unwrap_or_default(),
            endpoint = endpoint.label(),
            address = address.as_deref().unwrap_or("none"),
            request_id = context.id.as_str(),
            cause,
            %error,
            advice = error.advice(endpoint).unwrap_or_default(),
            failures_not_logged = unlogged,
            "a request got no response from OSS"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_of_a_cause_is_logged_per_minute() {
        let mut state = State::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(state.count("refused", at(0)), Some(0));
        assert_eq!(state.count("refused", at(1)), None);
        assert_eq!(state.count("refused", at(59)), None);
        assert_eq!(state.count("refused", at(60)), Some(2));
        assert_eq!(state.count("reset", at(64)), None);
        assert_eq!(state.count("reset", at(65)), Some(1));
        assert_eq!(state.count("refused", at(70)), Some(0));
        assert_eq!(state.count("refused", at(129)), None);
        assert_eq!(state.count("refused", at(130)), Some(1));
    }
}
