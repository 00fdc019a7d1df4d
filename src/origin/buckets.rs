//! The buckets of an origin and the upstream host each one lives on.
//!
//! Named buckets get their upstream when the config is built. Under a pattern the names are not
//! known before they are asked for; their upstreams are made then, and at most [`MOST`] are kept, so
//! that a client walking through names cannot make the proxy grow.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::origin::upstream::Upstream;

/// Upstreams kept for names that only a pattern covers.
const MOST: usize = 1024;

/// A bucket and where it lives.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// The bucket's name.
    pub name: Arc<str>,
    /// The host it is reached at.
    pub upstream: Arc<Upstream>,
}

/// Makes the upstream of a bucket; `None` for a name that makes no host.
pub type MakeUpstream = Box<dyn Fn(&str) -> Option<Arc<Upstream>> + Send + Sync>;

/// Finds the [`Bucket`] of a name the config allows.
pub struct BucketTable {
    /// The first named bucket: most origins have one, and comparing is cheaper than hashing.
    first: Option<Bucket>,
    named: HashMap<Box<str>, Bucket>,
    others: Mutex<HashMap<Box<str>, Bucket>>,
    make: MakeUpstream,
}

impl std::fmt::Debug for BucketTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BucketTable")
            .field("named", &self.named)
            .finish_non_exhaustive()
    }
}

impl BucketTable {
    /// A table with `names` ready.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>, make: MakeUpstream) -> Self {
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

    /// The furthest tier requests for any bucket go to.
    pub(crate) fn active_tier(&self) -> usize {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        self.named
            .values()
            .chain(others.values())
            .map(|bucket| bucket.upstream.active_tier())
            .max()
            .unwrap_or(0)
    }

    /// The upstreams of the named buckets.
    pub(crate) fn named(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.named.values().map(|bucket| &bucket.upstream)
    }

    /// The bucket called `name`, which the caller has checked against the config.
    pub fn get(&self, name: &str) -> Option<Bucket> {
        if let Some(first) = self.first.as_ref().filter(|first| &*first.name == name) {
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
            // A name nobody has resolved goes first: whoever invents names must not drive out buckets.
            let now = Instant::now();
            let is_invented = |bucket: &Bucket| bucket.upstream.addresses.age(now).is_none();
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

fn bucket(name: &str, make: &MakeUpstream) -> Option<Bucket> {
    Some(Bucket {
        name: name.into(),
        upstream: make(name)?,
    })
}
