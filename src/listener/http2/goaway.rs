//! Decides when an HTTP/2 connection sends its GOAWAY, and when the connection is closed after the GOAWAY.

use std::time::Duration;

use tokio::time::Instant;

use crate::http::activity::Activity;

/// How long a connection without any request stays open after its GOAWAY, because its first request may be
/// in transit. The GOAWAY and the close each wait for a tick, so a drain waits at most four seconds for
/// such a connection.
const UNUSED: Duration = Duration::from_secs(2);

/// The action of the connection after a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// No action.
    None,
    /// Send a GOAWAY.
    SendGoaway,
    /// Close the connection: the client has not reacted to the GOAWAY.
    Close,
}

/// The state of the GOAWAY of one connection.
#[derive(Debug)]
pub(super) struct Goaway {
    /// The last tick at which a request was in flight.
    in_flight_at: Instant,
    /// The last tick at which a request was in flight, or the connection had made progress since the tick
    /// before.
    moved_at: Instant,
    progress: u64,
    sent_at: Option<Instant>,
}

impl Goaway {
    /// Creates the state of a connection that begins at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            in_flight_at: now,
            moved_at: now,
            progress: 0,
            sent_at: None,
        }
    }

    /// Whether the GOAWAY has been sent.
    pub(super) fn is_sent(&self) -> bool {
        self.sent_at.is_some()
    }

    /// Records that the GOAWAY is sent at `now`.
    pub(super) fn note_sent(&mut self, now: Instant) {
        self.sent_at = Some(now);
    }

    /// Returns the action for a tick. A GOAWAY is due after `idle` without a request, or when the client
    /// must reconnect. Once the GOAWAY has been sent, the connection is closed after `stall` without
    /// progress.
    pub(super) fn tick(
        &mut self,
        activity: &Activity,
        now: Instant,
        idle: Duration,
        stall: Duration,
    ) -> Step {
        let is_in_flight = activity.in_flight() > 0;
        if is_in_flight {
            self.in_flight_at = now;
        }
        if is_in_flight || self.progress != activity.progress() {
            self.moved_at = now;
        }
        self.progress = activity.progress();
        match self.sent_at {
            None => {
                let is_idle = now.saturating_duration_since(self.in_flight_at) >= idle;
                if activity.is_leaving() || is_idle {
                    Step::SendGoaway
                } else {
                    Step::None
                }
            }
            // The proxy counts a request as ended when h2 has buffered the end of its response. So the
            // client may still be receiving that response.
            Some(sent_at) => {
                let since = sent_at.max(self.moved_at);
                // If there was no request, the client has no response to receive.
                let limit = match activity.requests() {
                    0 => stall.min(UNUSED),
                    _ => stall,
                };
                if !is_in_flight && now.saturating_duration_since(since) >= limit {
                    Step::Close
                } else {
                    Step::None
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(75);
    const STALL: Duration = Duration::from_secs(60);

    #[test]
    fn an_idle_connection_gets_a_goaway_and_is_closed_if_the_peer_does_not_react() {
        let (start, activity) = (Instant::now(), Activity::default());
        activity.begin_request();
        activity.end_request();
        let mut goaway = Goaway::new(start);
        let mut step = |second| {
            let now = start + Duration::from_secs(second);
            let step = goaway.tick(&activity, now, IDLE, STALL);
            if step == Step::SendGoaway {
                goaway.note_sent(now);
            }
            step
        };
        assert_eq!(step(74), Step::None);
        assert_eq!(step(75), Step::SendGoaway);
        assert_eq!(step(134), Step::None);
        activity.note_progress();
        assert_eq!(
            step(135),
            Step::None,
            "the tail of an answer is being taken"
        );
        assert_eq!(step(194), Step::None);
        assert_eq!(step(195), Step::Close);
    }
}
