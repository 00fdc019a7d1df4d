//! Parks idle HTTP/1.1 connections, and waits for the next bytes of a parked connection.
//!
//! A parked connection has no hyper state and no hyper buffers. Only its socket and rustls's state are
//! kept.

use std::time::Duration;

use crate::http::activity::Activity;
use crate::listener::client_io::ClientIo;
use crate::listener::closing::LAST_REQUEST;
use crate::listener::deadline::TICK;
use crate::shutdown::{LeaveRequest, Shutdown};

/// The number of ticks without progress after which a connection is parked. The number is large enough
/// that a client that pauses briefly does not cause hyper's state to be rebuilt.
const PARK_TICKS: u32 = 3;

/// The number of ticks since the last progress on a connection.
#[derive(Debug, Default)]
pub(super) struct IdleTicks {
    progress: u64,
    ticks: u32,
}

impl IdleTicks {
    /// Counts one tick. Returns whether the connection should be parked.
    pub(super) fn tick(&mut self, activity: &Activity) -> bool {
        let has_moved = std::mem::replace(&mut self.progress, activity.progress()) != self.progress;
        self.ticks = if has_moved {
            0
        } else {
            self.ticks.saturating_add(1)
        };
        self.ticks >= PARK_TICKS && activity.is_quiet()
    }

    /// Resets the count to zero.
    pub(super) fn reset(&mut self) {
        self.ticks = 0;
    }
}

/// Returns how long a parked connection may wait for its next request: the configured `idle`, minus the
/// idle time before the connection was parked.
pub(super) fn rest_of(idle: Duration) -> Duration {
    idle.saturating_sub(TICK.saturating_mul(PARK_TICKS))
}

/// The next step of a connection that was parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterPark {
    /// The client has sent bytes or closed the connection, so hyper must read again.
    Serve,
    /// No request arrived before the time limit, or before the client had to reconnect.
    Close,
    /// The event loop has ended.
    Lost,
}

/// Waits until a parked connection has bytes to read, until `limit` has passed, or until its client must
/// reconnect.
pub(super) async fn wait(io: &ClientIo, limit: Duration, shutdown: &mut Shutdown) -> AfterPark {
    // If the shutdown had already asked clients to reconnect when this function is called, the function does
    // not wait. This client had time for a last request (`LAST_REQUEST`) before its connection was parked.
    let is_readable = !shutdown.is_leaving() && {
        let must_leave = async {
            if shutdown.idle_must_leave().await == LeaveRequest::AfterAnswer {
                tokio::time::sleep(LAST_REQUEST).await;
            }
        };
        tokio::select! {
            readable = io.readable() => readable.is_ok(),
            () = tokio::time::sleep(limit) => false,
            () = must_leave => false,
        }
    };
    if is_readable {
        return AfterPark::Serve;
    }
    if !io.has_unread_bytes() {
        return AfterPark::Close;
    }
    // A request that has already arrived is served even after the time limit. The event loop must first
    // report the bytes of that request. Before the report, hyper would read nothing, and the connection
    // would look idle.
    match io.readable().await {
        Ok(()) => AfterPark::Serve,
        Err(_) => AfterPark::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_without_progress_is_parked_for_the_rest_of_its_idle_time() {
        let activity = Activity::default();
        activity.begin_request();
        activity.end_request();
        activity.set_read_drained(true);
        let mut idle = IdleTicks::default();
        let ticks = (1..=200).find(|_| idle.tick(&activity));
        assert_eq!(ticks, Some(4));
        assert_eq!(rest_of(Duration::from_secs(75)), Duration::from_secs(72));
    }
}
