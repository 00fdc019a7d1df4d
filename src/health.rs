//! Whether this node should get traffic, and why not.
//!
//! Written by who watches the origins, the memory and the drain; read by the health checks of the
//! listeners and by every request, which costs a load.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// The state of this node.
#[derive(Debug)]
pub struct Health {
    is_fit: AtomicBool,
    is_known: AtomicBool,
    is_leaving: AtomicBool,
    is_overloaded: AtomicBool,
    troubles: Mutex<Vec<String>>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            is_fit: AtomicBool::new(false),
            is_known: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            is_overloaded: AtomicBool::new(false),
            troubles: Mutex::new(vec!["no endpoint has been looked at yet".to_owned()]),
        }
    }
}

impl Health {
    /// Whether a load balancer should send requests here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_fit() && !self.is_leaving()
    }

    /// Whether an endpoint can be reached.
    #[must_use]
    pub fn is_fit(&self) -> bool {
        self.is_fit.load(Relaxed)
    }

    /// Whether it is known that no endpoint can be reached.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.is_known.load(Relaxed) && !self.is_fit()
    }

    /// What is wrong, for people. A node can be ready and have troubles: one endpoint of several.
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

    /// What was found about the endpoints; whether that was news.
    pub fn set_fit(&self, is_fit: bool, troubles: Vec<String>) -> bool {
        *self.lock() = troubles;
        self.is_known.store(true, Relaxed);
        self.is_fit.swap(is_fit, Relaxed) != is_fit
    }

    /// The node leaves its load balancer, or comes back.
    pub fn set_leaving(&self, is_leaving: bool) {
        self.is_leaving.store(is_leaving, Relaxed);
    }

    /// Whether the node is leaving.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Relaxed)
    }

    /// Memory is short, or no longer; whether that was news.
    pub fn set_overloaded(&self, is_overloaded: bool) -> bool {
        self.is_overloaded.swap(is_overloaded, Relaxed) != is_overloaded
    }

    /// Whether new requests are answered 503.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.is_overloaded.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_when_it_is_fit_and_stays() {
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
