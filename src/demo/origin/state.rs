//! The state that all requests to one origin share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use crate::demo::origin::options::Options;
use crate::demo::origin::script::Script;
use crate::demo::origin::seen::RequestLog;
use crate::demo::origin::store::{Bucket, Store};

/// The buckets, scripted faults, request log and counters of an origin.
pub(super) struct OriginState {
    pub(super) options: Options,
    pub(super) store: Store,
    pub(super) script: Script,
    pub(super) seen: RequestLog,
    /// The number of accepted connections.
    pub(super) connections: AtomicU64,
    /// The number that the next request id or upload id will contain.
    counter: AtomicU64,
    /// The start time of the origin, in seconds since 1970. It makes the request ids of two origins differ.
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

    /// Returns a number that is unique among the requests and uploads of this origin.
    pub(super) fn next_id(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns a new request id of 24 hex digits, like OSS.
    pub(super) fn next_request_id(&self) -> String {
        format!("{:016X}{:08X}", self.epoch, self.next_id() & 0xffff_ffff)
    }
}
