//! What the origin received, so that a test can compare it with what a client sent.
//!
//! The memory is bounded: the oldest record goes when the limit is reached.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderName, Method, request};

/// One request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Method.
    pub method: Method,
    /// Path and query, byte for byte.
    pub target: String,
    /// `Host`, or the authority of an absolute form.
    pub host: String,
    /// Every header line in the order of hyper's map, values as bytes.
    pub headers: Vec<(HeaderName, Vec<u8>)>,
    /// Body bytes received so far.
    pub body_length: u64,
    /// Whether the body was read to its end.
    pub is_complete: bool,
}

impl Seen {
    /// The first value of header `name`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|(header, _)| header.as_str() == name)
            .map(|(_, value)| value.as_slice())
    }
}

/// A record that grows while its request's body is read.
#[derive(Debug)]
pub(super) struct Entry {
    head: Seen,
    length: AtomicU64,
    is_complete: AtomicBool,
}

impl Entry {
    pub(super) fn add(&self, bytes: usize) {
        self.length.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn complete(&self) {
        self.is_complete.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct Memory {
    entries: Mutex<VecDeque<Arc<Entry>>>,
    limit: usize,
    total: AtomicU64,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: Mutex::default(),
            limit,
            total: AtomicU64::new(0),
        }
    }

    pub(super) fn push(&self, parts: &request::Parts, host: &str) -> Arc<Entry> {
        self.total.fetch_add(1, Ordering::Relaxed);
        let target = parts
            .uri
            .path_and_query()
            .map_or_else(|| parts.uri.to_string(), ToString::to_string);
        let entry = Arc::new(Entry {
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

    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

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

    pub(super) fn forget(&self) {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
