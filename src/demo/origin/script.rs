//! Misbehaviour on order: what a test or the demo wants to see survive.
//!
//! Faults belong to a key, whatever the bucket, and are set through the API only, so that no
//! request can switch one on.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One way to misbehave. Several may be set for the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Waits before anything else, the request's body included.
    Delay(Duration),
    /// Reads the request's body, then waits before the answer.
    DelayAnswer(Duration),
    /// Sends this many bytes of the answer's body and then nothing.
    StallAt(u64),
    /// Sends this many bytes of the answer's body and then breaks the connection.
    ResetAt(u64),
    /// Announces this `Content-Length` whatever the body's is.
    AnnounceLength(u64),
    /// Reads the request's body and answers this status with an error document.
    Status(u16),
    /// Answers 403 without reading the request's body.
    ForbidEarly,
    /// Never sends `100 Continue`. Takes effect where the origin is served by
    /// [`crate::demo::net`].
    IgnoreExpect,
}

#[derive(Debug, Default)]
pub(super) struct Script(Mutex<HashMap<Vec<u8>, Vec<Line>>>);

#[derive(Debug)]
struct Line {
    fault: Fault,
    /// `None`: for ever.
    left: Option<u32>,
}

impl Script {
    fn lines(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Vec<Line>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, key: &[u8], fault: Fault, times: Option<u32>) {
        let line = Line { fault, left: times };
        self.lines().entry(key.to_vec()).or_default().push(line);
    }

    pub(super) fn clear(&self, key: Option<&[u8]>) {
        match key {
            Some(key) => drop(self.lines().remove(key)),
            None => self.lines().clear(),
        }
    }

    /// The faults of one request for `key`.
    pub(super) fn take(&self, key: &[u8]) -> Vec<Fault> {
        let mut script = self.lines();
        let Some(lines) = script.get_mut(key) else {
            return Vec::new();
        };
        let faults = lines.iter().map(|line| line.fault).collect();
        lines.retain_mut(|line| match &mut line.left {
            None => true,
            Some(left) => {
                *left = left.saturating_sub(1);
                *left > 0
            }
        });
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_lasts_for_as_many_requests_as_it_was_set_for() {
        let script = Script::default();
        script.add(b"k", Fault::Status(503), Some(1));
        script.add(b"k", Fault::StallAt(3), None);
        assert_eq!(script.take(b"other"), []);
        assert_eq!(script.take(b"k"), [Fault::Status(503), Fault::StallAt(3)]);
        assert_eq!(script.take(b"k"), [Fault::StallAt(3)]);
        script.clear(Some(b"k"));
        assert_eq!(script.take(b"k"), []);
    }
}
