//! Scripted faults, for tests and the demo to show that the proxy survives them.
//!
//! A fault belongs to a key, in any bucket. Faults are set through the API only, so that no request can
//! set one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A scripted fault. Several may be set for the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Waits before anything else, before reading the request's body too.
    Delay(Duration),
    /// Reads the request's body, and waits before sending the answer.
    DelayAnswer(Duration),
    /// Sends this many bytes of the answer's body and then nothing.
    StallAt(u64),
    /// Sends this many bytes of the answer's body and then closes the connection.
    ResetAt(u64),
    /// Announces this `Content-Length`, whatever the length of the body is.
    AnnounceLength(u64),
    /// Reads the request's body and answers an error document with this status.
    Status(u16),
    /// Answers 403 without reading the request's body.
    ForbidEarly,
    /// Suppresses `100 Continue`. The server of the connection must support it, as the demo's `net` module
    /// does.
    IgnoreExpect,
}

/// The faults of each key.
#[derive(Debug, Default)]
pub(super) struct Script(Mutex<HashMap<Vec<u8>, Vec<ScriptedFault>>>);

#[derive(Debug)]
struct ScriptedFault {
    fault: Fault,
    /// The number of requests left; `None` means every request.
    left: Option<u32>,
}

impl Script {
    fn lines(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Vec<ScriptedFault>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds `fault` for the next `times` requests for `key`, or for all of them.
    pub(super) fn add(&self, key: &[u8], fault: Fault, times: Option<u32>) {
        let line = ScriptedFault { fault, left: times };
        self.lines().entry(key.to_vec()).or_default().push(line);
    }

    /// Removes the faults of `key`, or of every key.
    pub(super) fn clear(&self, key: Option<&[u8]>) {
        match key {
            Some(key) => drop(self.lines().remove(key)),
            None => self.lines().clear(),
        }
    }

    /// Returns the faults of one request for `key`, and counts the request.
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
    fn a_fault_applies_to_the_scripted_number_of_requests() {
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
