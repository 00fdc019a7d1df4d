//! The buckets of an origin, and the hosts of each bucket.
//!
//! Some buckets are named in the config; their hosts are created when the config is built. Other buckets
//! match only a pattern. Such a bucket becomes known with the first request for it, and its hosts are created
//! at that time. At most [`MOST`] of these buckets are kept, so that a client that tries many names cannot
//! exhaust memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::origin::tiers::group::Tiers;

/// The maximum number of buckets that match only a pattern and are kept.
const MOST: usize = 1024;

/// A bucket and its hosts. ListBuckets names no bucket; the request is sent to the hosts of the endpoints.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    /// The bucket's name, or `None` for ListBuckets.
    pub(crate) name: Option<Arc<str>>,
    /// The hosts at which the bucket is reached.
    pub(crate) tiers: Arc<Tiers>,
}

/// A function that creates the hosts of a bucket. It returns `None` if the name cannot be part of a host
/// name.
pub(crate) type MakeTiers = Box<dyn Fn(&str) -> Option<Arc<Tiers>> + Send + Sync>;

/// The buckets of an origin by name: those that the config names, and those that match only a pattern.
pub(crate) struct BucketTable {
    /// One of the named buckets, which is compared first. Most origins have only one, and a comparison is
    /// cheaper than hashing.
    first: Option<Bucket>,
    named: HashMap<Box<str>, Bucket>,
    others: Mutex<HashMap<Box<str>, Bucket>>,
    make: MakeTiers,
}

impl std::fmt::Debug for BucketTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BucketTable")
            .field("named", &self.named)
            .finish_non_exhaustive()
    }
}

impl BucketTable {
    /// Creates a table with the buckets `names`. `make` creates the hosts of these buckets now, and of
    /// other buckets on their first use.
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>, make: MakeTiers) -> Self {
        let named: HashMap<Box<str>, Bucket> = names
            .into_iter()
            .filter_map(|name| Some((name.into(), bucket(name, &make)?)))
            .collect();
        Self {
            first: named.values().next().cloned(),
            named,
            others: Mutex::default(),
            make,
        }
    }

    /// Returns the tier in use (the index of a host in [`Tiers`]). If buckets use different tiers, returns
    /// the worst one, which has the highest number.
    pub(crate) fn active_tier(&self) -> usize {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        self.named
            .values()
            .chain(others.values())
            .map(|bucket| bucket.tiers.active())
            .max()
            .unwrap_or(0)
    }

    /// Returns the hosts of the named buckets.
    pub(crate) fn named(&self) -> impl Iterator<Item = &Arc<Tiers>> {
        self.named.values().map(|bucket| &bucket.tiers)
    }

    /// Returns the bucket `name`, which the caller must have checked against the config. Returns `None` if
    /// the name cannot be part of a host name.
    pub(crate) fn get(&self, name: &str) -> Option<Bucket> {
        if let Some(first) = self
            .first
            .as_ref()
            .filter(|first| first.name.as_deref() == Some(name))
        {
            return Some(first.clone());
        }
        if let Some(bucket) = self.named.get(name) {
            return Some(bucket.clone());
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = others.get(name) {
            return Some(bucket.clone());
        }
        if others.len() >= MOST {
            // A bucket whose host name never resolved is removed first. Otherwise names that a client invents
            // would displace real buckets.
            let now = Instant::now();
            let is_invented = |bucket: &Bucket| bucket.tiers.first().addresses.age(now).is_none();
            let invented = others.iter().find(|(_, bucket)| is_invented(bucket));
            let goes = invented.or_else(|| others.iter().next());
            if let Some(goes) = goes.map(|(name, _)| name.clone()) {
                others.remove(&goes);
            }
        }
        let bucket = bucket(name, &self.make)?;
        others.insert(name.into(), bucket.clone());
        Some(bucket)
    }
}

fn bucket(name: &str, make: &MakeTiers) -> Option<Bucket> {
    Some(Bucket {
        name: Some(name.into()),
        tiers: make(name)?,
    })
}
