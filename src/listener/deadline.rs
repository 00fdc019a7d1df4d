//! The deadlines of a client connection that hyper does not keep.
//!
//! Looked at on a slow tick, so that a request costs no timer: a head that is not complete in
//! `header` (whatever dribbles in), a client that neither takes nor sends bytes for `stall`, and the
//! time after which an idle connection is parked. What is late by up to one tick is in time.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Timeouts;
use crate::http::activity::Activity;

/// How often a connection that is not parked looks at its deadlines.
pub const TICK: Duration = Duration::from_secs(1);
/// Quiet ticks before a connection is parked: long enough that a client in the middle of its work
/// does not pay for building hyper's state again.
const PARK_TICKS: u32 = 3;

/// What a tick has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is late.
    GoOn,
    /// Nothing has happened for a while: the connection may be parked.
    Quiet,
    /// Too late, for this reason.
    Late(&'static str),
}

/// The state of one connection's deadlines.
#[derive(Debug)]
pub struct Deadlines {
    timeouts: Timeouts,
    progress: u64,
    requests: u64,
    quiet_ticks: u32,
    head_since: Instant,
    stall_since: Instant,
}

impl Deadlines {
    /// Starts at `now`, waiting for a request's head.
    #[must_use]
    pub fn new(timeouts: &Timeouts, now: Instant) -> Self {
        Self {
            timeouts: timeouts.clone(),
            progress: 0,
            requests: 0,
            quiet_ticks: 0,
            head_since: now,
            stall_since: now,
        }
    }

    /// Looks at `activity` at `now`.
    pub fn check(&mut self, activity: &Activity, now: Instant) -> Verdict {
        let has_moved = std::mem::replace(&mut self.progress, activity.progress()) != self.progress;
        let has_served =
            std::mem::replace(&mut self.requests, activity.requests()) != self.requests;
        if has_moved {
            self.quiet_ticks = 0;
        } else {
            self.quiet_ticks = self.quiet_ticks.saturating_add(1);
        }
        if !activity.waits_for_client() || has_moved {
            self.stall_since = now;
        } else if now.saturating_duration_since(self.stall_since) >= self.timeouts.stall {
            return Verdict::Late("stall");
        }
        if activity.in_flight() > 0
            || has_served
            // The next head can be read before the last answer has been taken.
            || activity.is_write_blocked()
            || !(activity.has_partial_head() || self.requests == 0)
        {
            self.head_since = now;
        } else if now.saturating_duration_since(self.head_since) >= self.timeouts.header {
            return Verdict::Late("header");
        }
        if self.quiet_ticks >= PARK_TICKS && activity.is_quiet() {
            return Verdict::Quiet;
        }
        Verdict::GoOn
    }

    /// How long a parked connection may wait for its next byte.
    #[must_use]
    pub fn parked_limit(&self, now: Instant) -> Duration {
        if self.requests == 0 {
            // Nothing was ever asked: the time for the first head runs.
            let used = now.saturating_duration_since(self.head_since);
            self.timeouts.header.saturating_sub(used)
        } else {
            self.timeouts
                .idle
                .saturating_sub(TICK.saturating_mul(PARK_TICKS))
        }
    }

    /// A parked connection has bytes again.
    pub fn unpark(&mut self, now: Instant) {
        self.quiet_ticks = 0;
        self.stall_since = now;
        if self.requests > 0 {
            self.head_since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeouts() -> Timeouts {
        Timeouts {
            tls_handshake: Duration::from_secs(10),
            header: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(60),
        }
    }

    fn ticks(
        deadlines: &mut Deadlines,
        activity: &Activity,
        start: Instant,
        until: Verdict,
        each: impl Fn(),
    ) -> u64 {
        for second in 1..=200 {
            each();
            if deadlines.check(activity, start + Duration::from_secs(second)) == until {
                return second;
            }
        }
        0
    }

    #[test]
    fn a_dribbling_head_is_cut_off_and_progress_does_not_save_it() {
        let (start, activity) = (Instant::now(), Activity::default());
        let mut deadlines = Deadlines::new(&timeouts(), start);
        let dribble = || {
            activity.set_read_drained(false);
            activity.note_progress();
        };
        assert_eq!(
            ticks(
                &mut deadlines,
                &activity,
                start,
                Verdict::Late("header"),
                dribble
            ),
            30
        );
    }

    #[test]
    fn a_client_that_stops_taking_bytes_is_cut_off() {
        let (start, activity) = (Instant::now(), Activity::default());
        activity.begin_request();
        activity.set_write_blocked(true);
        let mut deadlines = Deadlines::new(&timeouts(), start);
        assert_eq!(
            ticks(
                &mut deadlines,
                &activity,
                start,
                Verdict::Late("stall"),
                || {}
            ),
            61
        );
    }

    #[test]
    fn a_head_is_not_late_while_the_answer_before_it_is_being_taken() {
        let (start, activity) = (Instant::now(), Activity::default());
        let mut deadlines = Deadlines::new(&timeouts(), start);
        activity.begin_request();
        activity.end_request();
        let taken_slowly = || {
            activity.set_read_drained(false);
            activity.set_write_blocked(true);
            activity.note_progress();
        };
        let late = Verdict::Late("header");
        assert_eq!(
            ticks(&mut deadlines, &activity, start, late, taken_slowly),
            0
        );
    }

    #[test]
    fn waiting_for_the_origin_is_not_the_clients_stall() {
        let (start, activity) = (Instant::now(), Activity::default());
        activity.begin_request();
        let mut deadlines = Deadlines::new(&timeouts(), start);
        assert_eq!(
            ticks(
                &mut deadlines,
                &activity,
                start,
                Verdict::Late("stall"),
                || {}
            ),
            0
        );
    }

    #[test]
    fn a_quiet_connection_is_parked_with_the_rest_of_its_idle_time() {
        let (start, activity) = (Instant::now(), Activity::default());
        activity.begin_request();
        activity.end_request();
        activity.set_read_drained(true);
        let mut deadlines = Deadlines::new(&timeouts(), start);
        assert_eq!(
            ticks(&mut deadlines, &activity, start, Verdict::Quiet, || {}),
            4
        );
        assert_eq!(deadlines.parked_limit(start), Duration::from_secs(72));
    }
}
