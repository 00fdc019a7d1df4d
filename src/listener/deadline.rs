//! The two deadlines of a client connection, which hyper does not enforce.
//!
//! The head of a request must be complete within `timeouts.header`, however steadily its bytes arrive.
//! While the connection waits for the client, the client must send or accept some bytes within
//! `timeouts.stall`. Both deadlines are checked once per tick, so that no request needs a timer of its
//! own. A deadline can therefore pass up to one tick before it is noticed.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::http::activity::Activity;

/// The time between two checks of a connection that is not parked.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// The deadline that a client has missed. Each variant has the name of its config key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientTimeout {
    /// The head of a request was not complete in time.
    Header,
    /// The client neither sent the bytes that it announced nor accepted the bytes of a response.
    Stall,
}

impl fmt::Display for ClientTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Stall => "stall",
        })
    }
}

/// The state of the deadlines of one connection.
#[derive(Debug)]
pub(super) struct Deadlines {
    header: Duration,
    stall: Duration,
    /// `progress` and `requests` are the counters of [`Activity`] at the last check.
    progress: u64,
    requests: u64,
    head_since: Instant,
    stall_since: Instant,
}

impl Deadlines {
    /// Starts at `now` with the deadline for the head of a request. `header` and `stall` are the time
    /// limits of the same names in the config.
    pub(super) fn new(header: Duration, stall: Duration, now: Instant) -> Self {
        Self {
            header,
            stall,
            progress: 0,
            requests: 0,
            head_since: now,
            stall_since: now,
        }
    }

    /// Checks the deadlines against `activity` at `now`.
    ///
    /// # Errors
    ///
    /// The [`ClientTimeout`] of the deadline that has passed.
    pub(super) fn check(&mut self, activity: &Activity, now: Instant) -> Result<(), ClientTimeout> {
        let has_moved = std::mem::replace(&mut self.progress, activity.progress()) != self.progress;
        let has_served =
            std::mem::replace(&mut self.requests, activity.requests()) != self.requests;
        if !activity.waits_for_client() || has_moved {
            self.stall_since = now;
        } else if now.saturating_duration_since(self.stall_since) >= self.stall {
            return Err(ClientTimeout::Stall);
        }
        if activity.in_flight() > 0
            || has_served
            // hyper can read the next head before the client has accepted the whole previous response.
            // While that response still waits to be written, the time for the head does not run.
            || activity.is_write_blocked()
            || !(activity.has_partial_head() || self.requests == 0)
        {
            self.head_since = now;
        } else if now.saturating_duration_since(self.head_since) >= self.header {
            return Err(ClientTimeout::Header);
        }
        Ok(())
    }

    /// Returns the time left for the head of the first request, or `None` if that head has been read.
    pub(super) fn first_head_left(&self, now: Instant) -> Option<Duration> {
        let used = now.saturating_duration_since(self.head_since);
        (self.requests == 0).then(|| self.header.saturating_sub(used))
    }

    /// Restarts the deadlines when a parked connection has bytes to read. The deadline for the head of
    /// the first request is not restarted.
    pub(super) fn restart(&mut self, now: Instant) {
        self.stall_since = now;
        if self.requests > 0 {
            self.head_since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the deadline that is missed within 200 seconds, and the second at which it is noticed.
    fn missed(
        activity: &Activity,
        start: Instant,
        each_second: impl Fn(),
    ) -> Option<(ClientTimeout, u64)> {
        let (header, stall) = (Duration::from_secs(30), Duration::from_secs(60));
        let mut deadlines = Deadlines::new(header, stall, start);
        (1..=200).find_map(|second| {
            each_second();
            let checked = deadlines.check(activity, start + Duration::from_secs(second));
            checked.err().map(|timeout| (timeout, second))
        })
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_is_cut_off_although_it_makes_progress() {
        let (start, activity) = (Instant::now(), Activity::default());
        let found = missed(&activity, start, || {
            activity.set_read_drained(false);
            activity.note_progress();
        });
        assert_eq!(found, Some((ClientTimeout::Header, 30)));
    }

    #[test]
    fn a_client_that_stops_taking_bytes_is_cut_off() {
        let (start, activity) = (Instant::now(), Activity::default());
        activity.begin_request();
        activity.set_write_blocked(true);
        let found = missed(&activity, start, || {});
        assert_eq!(found, Some((ClientTimeout::Stall, 61)));
    }

    #[test]
    fn the_time_for_a_head_does_not_run_while_the_client_takes_the_answer_before_it() {
        let (start, activity) = (Instant::now(), Activity::default());
        activity.begin_request();
        activity.end_request();
        let found = missed(&activity, start, || {
            activity.set_read_drained(false);
            activity.set_write_blocked(true);
            activity.note_progress();
        });
        assert_eq!(found, None);
    }

    #[test]
    fn waiting_for_the_origin_does_not_count_as_a_stall_of_the_client() {
        let (start, activity) = (Instant::now(), Activity::default());
        activity.begin_request();
        assert_eq!(missed(&activity, start, || {}), None);
    }
}
