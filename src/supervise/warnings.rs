//! Logs the warnings about a config. Once a day, also logs the certificates that have expired or expire soon.

use std::time::Duration;

use tokio::time::Instant;

use crate::app::state::{ConfigWarning, State};
use crate::config::Problems;

/// The maximum number of warnings that are logged together. Ten thousand hosts without a certificate must not
/// fill the log at every reload.
const LOGGED: usize = 20;
/// The time between two reports about certificates that expire soon.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Logs the first 20 warnings of a config and the number of the remaining ones. Returns the warnings that
/// were logged.
pub fn log_warnings(warnings: &Problems) -> Vec<ConfigWarning> {
    let logged: Vec<ConfigWarning> = warnings
        .iter()
        .take(LOGGED)
        .map(|warning| ConfigWarning {
            path: warning.path.clone(),
            line: warnings.line(warning),
        })
        .collect();
    for warning in &logged {
        tracing::warn!("{}", warning.line);
    }
    let more = warnings.iter().count() - logged.len();
    if more > 0 {
        tracing::warn!(
            more,
            "further warnings; `ossgate check --format json` prints all"
        );
    }
    logged
}

/// Logs the certificates that have expired or expire soon.
pub(super) fn log_expiring(state: &State) {
    let messages = state.expiring_certificates();
    for message in messages.iter().take(LOGGED) {
        tracing::warn!("certificate {message}");
    }
    let more = messages.len().saturating_sub(LOGGED);
    if more > 0 {
        tracing::warn!(
            more,
            "further certificates expire soon; `ossgate status` has all"
        );
    }
}

/// The time of the next report about certificates that expire soon.
#[derive(Debug)]
pub(super) struct ExpiryWatch {
    next: Instant,
}

impl ExpiryWatch {
    /// Creates the watch. The first report is due a day after `now`, because the warnings about the config,
    /// which include these certificates, have just been logged.
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now + DAY }
    }

    /// Whether a report is due at `now`. If so, the next report is due a day after `now`.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now >= self.next;
        if is_due {
            self.next = now + DAY;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiring_certificates_are_reported_once_a_day() {
        let begin = Instant::now();
        let mut watch = ExpiryWatch::new(begin);
        let minute = Duration::from_secs(60);
        for (after, expected) in [
            (Duration::ZERO, false),
            (DAY - minute, false),
            (DAY, true),
            (DAY + minute, false),
            (2 * DAY - minute, false),
            (2 * DAY + minute, true),
            (3 * DAY, false),
        ] {
            assert_eq!(watch.is_due(begin + after), expected, "{after:?}");
        }
    }
}
