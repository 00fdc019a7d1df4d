//! Whether this node should receive traffic, and if not, why.
//!
//! The endpoint checks, the memory check and a drain update this state. The health-check paths of the
//! listeners and the admin listener read it. Every request also checks with one atomic load whether memory is
//! short.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// The health of this node.
///
/// The default value is the state of a new process: no endpoint has been checked yet, so the node is not fit.
/// It is not draining and not overloaded.
#[derive(Debug)]
pub struct Health {
    is_fit: AtomicBool,
    /// Whether the endpoints were checked at least once.
    is_checked: AtomicBool,
    is_leaving: AtomicBool,
    is_overloaded: AtomicBool,
    troubles: Mutex<Vec<String>>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            is_fit: AtomicBool::new(false),
            is_checked: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            is_overloaded: AtomicBool::new(false),
            troubles: Mutex::new(vec!["no endpoint has been looked at yet".to_owned()]),
        }
    }
}

impl Health {
    /// Whether a load balancer should send requests to this node.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_fit() && !self.is_leaving()
    }

    /// Whether at least one endpoint was reachable at the last check.
    #[must_use]
    pub fn is_fit(&self) -> bool {
        self.is_fit.load(Relaxed)
    }

    /// Whether the endpoints were checked and none is reachable.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.is_checked.load(Relaxed) && !self.is_fit()
    }

    /// Returns a message for each current problem. A node can be ready and still have problems, for example
    /// if one of several endpoints is unreachable.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = self.lock().clone();
        if self.is_leaving() {
            troubles.insert(0, "draining".to_owned());
        }
        if self.is_overloaded() {
            troubles.push("memory is short: new requests are answered 503".to_owned());
        }
        troubles
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the result of a check of the endpoints. Returns whether `is_fit` changed, or was set for the
    /// first time.
    pub fn set_fit(&self, is_fit: bool, troubles: Vec<String>) -> bool {
        *self.lock() = troubles;
        let is_first = !self.is_checked.swap(true, Relaxed);
        self.is_fit.swap(is_fit, Relaxed) != is_fit || is_first
    }

    /// Sets whether the node is draining. During a drain, the node is not ready.
    pub fn set_leaving(&self, is_leaving: bool) {
        self.is_leaving.store(is_leaving, Relaxed);
    }

    /// Whether the node is draining.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Relaxed)
    }

    /// Sets whether memory is short. Returns whether the value changed.
    pub fn set_overloaded(&self, is_overloaded: bool) -> bool {
        self.is_overloaded.swap(is_overloaded, Relaxed) != is_overloaded
    }

    /// Whether memory is short. In this case new requests get a 503 response.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.is_overloaded.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_when_it_is_fit_and_does_not_drain() {
        let health = Health::default();
        assert!(!health.is_ready() && !health.is_cut_off());
        assert_eq!(health.troubles().len(), 1);
        assert!(health.set_fit(true, Vec::new()));
        assert!(!health.set_fit(true, Vec::new()));
        assert!(health.is_ready());
        health.set_leaving(true);
        assert!(!health.is_ready());
        assert_eq!(health.troubles(), ["draining"]);
        health.set_leaving(false);
        assert!(health.is_ready());
    }
}
