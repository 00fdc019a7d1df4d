//! A log of the requests that the origin received. Tests compare it with the requests that a client sent.
//!
//! The log has a maximum length: when it is full, a new record replaces the oldest one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderName, Method, request};

/// One received request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// The path and query, byte for byte.
    pub target: String,
    /// The authority of an absolute-form target, otherwise the value of `Host`.
    pub host: String,
    /// Every header line, in the order of the `HeaderMap`.
    pub headers: Vec<(HeaderName, Vec<u8>)>,
    /// The number of body bytes that were received before [`Origin::seen`](super::Origin::seen) was called.
    pub body_length: u64,
    /// Whether the body was received completely before [`Origin::seen`](super::Origin::seen) was called.
    pub is_complete: bool,
}

impl Seen {
    /// Returns the first value of header field `name`. The name must be in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|(header, _)| header.as_str() == name)
            .map(|(_, value)| value.as_slice())
    }
}

/// The record of a request. It is updated while the body is read.
#[derive(Debug)]
pub(super) struct SeenEntry {
    head: Seen,
    length: AtomicU64,
    is_complete: AtomicBool,
}

impl SeenEntry {
    /// Adds to the number of received body bytes.
    pub(super) fn add(&self, bytes: usize) {
        self.length.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Records that the body was read to its end.
    pub(super) fn complete(&self) {
        self.is_complete.store(true, Ordering::Relaxed);
    }
}

/// The records of the latest requests.
#[derive(Debug)]
pub(super) struct RequestLog {
    entries: Mutex<VecDeque<Arc<SeenEntry>>>,
    limit: usize,
    total: AtomicU64,
}

impl RequestLog {
    /// Returns a log of at most `limit` requests; 0 records none.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: Mutex::default(),
            limit,
            total: AtomicU64::new(0),
        }
    }

    /// Adds a request and returns its record.
    pub(super) fn push(&self, parts: &request::Parts, host: &str) -> Arc<SeenEntry> {
        self.total.fetch_add(1, Ordering::Relaxed);
        let target = parts
            .uri
            .path_and_query()
            .map_or_else(|| parts.uri.to_string(), ToString::to_string);
        let entry = Arc::new(SeenEntry {
            head: Seen {
                method: parts.method.clone(),
                target,
                host: host.to_owned(),
                headers: parts
                    .headers
                    .iter()
                    .map(|(name, value)| (name.clone(), value.as_bytes().to_vec()))
                    .collect(),
                body_length: 0,
                is_complete: false,
            },
            length: AtomicU64::new(0),
            is_complete: AtomicBool::new(false),
        });
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.limit {
            entries.pop_front();
        }
        if self.limit > 0 {
            entries.push_back(Arc::clone(&entry));
        }
        entry
    }

    /// Returns the number of requests added, including removed ones.
    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Returns the records, oldest first.
    pub(super) fn list(&self) -> Vec<Seen> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .iter()
            .map(|entry| Seen {
                body_length: entry.length.load(Ordering::Relaxed),
                is_complete: entry.is_complete.load(Ordering::Relaxed),
                ..entry.head.clone()
            })
            .collect()
    }

    /// Removes all records.
    pub(super) fn forget(&self) {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
