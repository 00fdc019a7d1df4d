//! Logs the requests of one route that get no response from OSS.
//!
//! While an endpoint is down, every request fails. Therefore only the first failure is logged at once, and then
//! one failure a minute. If the cause changes, the next event may follow after five seconds. Each event
//! contains the number of failures that were not logged since the previous event. The access log has a line for
//! every request.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::http::context::RequestContext;
use crate::origin::endpoint_info::EndpointInfo;
use crate::origin::error::Error;

/// The minimum time between two events with the same cause.
const EVERY: Duration = Duration::from_secs(60);
/// The minimum time between two events with different causes. It is not zero, because two addresses of an
/// endpoint may fail for different causes, and then the cause can change with every request.
const AT_LEAST: Duration = Duration::from_secs(5);

/// The state of the log of one route: its last event, and the failures that were not logged since then.
#[derive(Debug, Default)]
pub(super) struct FailureLog {
    // Only requests that fail take this lock.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The cause and the time of the last event.
    last: Option<(&'static str, Instant)>,
    /// The number of failures that were not logged since the last event.
    unlogged: u64,
}

impl State {
    /// Counts a failure. If the failure must be logged, returns the number of failures that were not logged
    /// since the last event; otherwise returns `None`.
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
    /// Logs the failure of a request, unless the last event is too recent. Ignores errors for which
    /// [`Error::cause`] returns `None`, for example a request for an unknown bucket.
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
