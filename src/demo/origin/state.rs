//! What all requests to one origin share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use crate::demo::origin::options::Options;
use crate::demo::origin::script::Script;
use crate::demo::origin::seen::RequestLog;
use crate::demo::origin::store::{Bucket, Store};

/// Buckets, script, log and counters of an origin.
pub(super) struct OriginState {
    pub(super) options: Options,
    pub(super) store: Store,
    pub(super) script: Script,
    pub(super) seen: RequestLog,
    /// The number of connections accepted so far.
    pub(super) connections: AtomicU64,
    /// The next number for a request id or an upload id.
    counter: AtomicU64,
    /// The start of the origin in seconds since 1970: it keeps the request ids of two origins apart.
    epoch: u64,
}

impl OriginState {
    /// Creates the buckets of `options`.
    pub(super) fn new(options: Options) -> Self {
        let store = Store::default();
        let now = (options.now)();
        for bucket in &options.buckets {
            let made = Bucket::new(bucket.clone(), now);
            store.lock().insert(bucket.name.clone(), made);
        }
        Self {
            store,
            script: Script::default(),
            seen: RequestLog::new(options.remembered),
            connections: AtomicU64::new(0),
            counter: AtomicU64::new(1),
            epoch: now
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            options,
        }
    }

    /// Returns a number that no other request or upload of this origin has.
    pub(super) fn next_id(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns a new request id: 24 hex digits, as OSS has them.
    pub(super) fn next_request_id(&self) -> String {
        format!("{:016X}{:08X}", self.epoch, self.next_id() & 0xffff_ffff)
    }
}
