//! A map of weak references. Entries whose value was dropped are removed from time to time.
//!
//! The map removes such entries when its size has doubled since the last removal, so that an insertion
//! costs constant time on average. With ten thousand routes, a scan at each insertion would be quadratic.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};

/// The number of entries at which the map first removes unused entries.
const FIRST_SCAN: usize = 64;

/// A map that does not keep its values alive.
#[derive(Debug)]
pub(super) struct WeakMap<K, V> {
    entries: HashMap<K, Weak<V>>,
    next_scan: usize,
}

impl<K, V> Default for WeakMap<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            next_scan: FIRST_SCAN,
        }
    }
}

impl<K: Eq + Hash, V> WeakMap<K, V> {
    /// Returns the value of `key`, if it is still in use.
    pub(super) fn get(&self, key: &K) -> Option<Arc<V>> {
        self.entries.get(key)?.upgrade()
    }

    /// Inserts a value without keeping it alive.
    pub(super) fn insert(&mut self, key: K, value: &Arc<V>) {
        if self.entries.len() >= self.next_scan {
            self.entries.retain(|_, value| value.strong_count() > 0);
            self.next_scan = (self.entries.len() * 2).max(FIRST_SCAN);
        }
        self.entries.insert(key, Arc::downgrade(value));
    }

    /// Returns all values that are still in use.
    pub(super) fn values(&self) -> impl Iterator<Item = Arc<V>> {
        self.entries.values().filter_map(Weak::upgrade)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_live_as_long_as_somebody_holds_them_and_the_map_does_not_grow() {
        let mut map = WeakMap::default();
        let kept = Arc::new("kept");
        map.insert(0, &kept);
        for key in 1..10_000 {
            map.insert(key, &Arc::new("dropped"));
        }
        assert_eq!(map.get(&0).as_deref(), Some(&"kept"));
        assert_eq!(map.get(&5), None);
        assert_eq!(map.values().count(), 1);
        assert!(map.entries.len() <= 2 * FIRST_SCAN, "{}", map.entries.len());
        drop(kept);
        assert_eq!(map.get(&0), None);
    }
}
