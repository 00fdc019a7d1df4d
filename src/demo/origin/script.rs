//! Scripted faults. Tests and the demo use them to check how the proxy handles failures of OSS.
//!
//! A fault applies to all requests for one key, in any bucket. Faults can be set only through the API, never
//! by a request.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A scripted fault. One key can have several faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Waits before any other step, and before the request's body is read.
    Delay(Duration),
    /// Reads the request's body, then waits before the response is sent.
    DelayAnswer(Duration),
    /// Sends this many bytes of the response's body and then nothing.
    StallAt(u64),
    /// Sends this many bytes of the response's body and then closes the connection.
    ResetAt(u64),
    /// Announces this `Content-Length`, regardless of the length of the body.
    AnnounceLength(u64),
    /// Reads the request's body and returns an error document with this status.
    Status(u16),
    /// Returns 403 without reading the request's body.
    ForbidEarly,
    /// Suppresses `100 Continue`. The server of the connection must support this fault, as
    /// [`crate::demo::net`] does.
    IgnoreExpect,
}

/// The faults of each key.
#[derive(Debug, Default)]
pub(super) struct Script(Mutex<HashMap<Vec<u8>, Vec<ScriptedFault>>>);

#[derive(Debug)]
struct ScriptedFault {
    fault: Fault,
    /// The number of requests that still get the fault; `None` means every request.
    left: Option<u32>,
}

impl Script {
    fn lines(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Vec<ScriptedFault>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds `fault` for the next `times` requests for `key`; `None` means every request.
    pub(super) fn add(&self, key: &[u8], fault: Fault, times: Option<u32>) {
        let line = ScriptedFault { fault, left: times };
        self.lines().entry(key.to_vec()).or_default().push(line);
    }

    /// Removes the faults of `key`, or of every key if `key` is `None`.
    pub(super) fn clear(&self, key: Option<&[u8]>) {
        match key {
            Some(key) => drop(self.lines().remove(key)),
            None => self.lines().clear(),
        }
    }

    /// Returns the faults for the next request for `key`, and counts this request.
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
