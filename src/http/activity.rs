//! The state of one client connection, for the deadlines and limits that hyper lacks.
//!
//! The connection's socket wrapper, its service and its bodies write this state. The connection task
//! reads it on each tick. Relaxed loads and stores are enough: all writers run on the connection's own
//! worker thread, and a stale value moves a deadline by at most one tick.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::http::hidden_fragment::HiddenFragments;
use crate::http::input_framing::InputFraming;
use crate::shutdown::{LeaveReader, LeaveRequest};

fn add(counter: &AtomicU64, bytes: usize) {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    counter.store(counter.load(Relaxed).wrapping_add(bytes), Relaxed);
}

/// The counters and flags of one client connection.
#[derive(Debug, Default)]
pub struct Activity {
    in_flight: AtomicU32,
    requests: AtomicU64,
    /// Whether bytes were read while no request was in flight: they belong to the next request head.
    /// HTTP/1 only.
    has_head_bytes: AtomicBool,
    /// The number of request bodies that wait for bytes from the client.
    waiting_bodies: AtomicU32,
    progress: AtomicU64,
    is_write_blocked: AtomicBool,
    is_read_drained: AtomicBool,
    has_unread_body: AtomicBool,
    is_multiplexed: AtomicBool,
    /// The number of bytes read from the socket. It never decreases.
    read: AtomicU64,
    /// The number of bytes that a well-behaved client may have sent for its requests and responses. It
    /// never decreases.
    earned: AtomicU64,
    /// The number of body bytes that may have been in transit when their request bodies were closed early.
    /// It never decreases.
    granted: AtomicU64,
    /// The number of request bodies being read. HTTP/2 only.
    open_bodies: AtomicU32,
    /// The request targets with a `#` in the bytes read. HTTP/1 only.
    pub hidden_fragments: HiddenFragments,
    /// The framing of the bytes read. HTTP/1 only.
    pub input_framing: InputFraming,
    is_in_body: AtomicBool,
    /// Whether the client should reconnect.
    leave: LeaveReader,
}

impl Activity {
    /// Creates the record of a connection. `leave` reports when its client should reconnect.
    #[must_use]
    pub fn new(leave: LeaveReader) -> Self {
        Self {
            leave,
            ..Self::default()
        }
    }

    /// Whether the connection should end after its next response.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leave.get() >= LeaveRequest::AfterAnswer
    }

    /// Whether the client should reconnect at once, because its requests fail on this node.
    #[must_use]
    pub fn is_in_vain(&self) -> bool {
        self.leave.get() >= LeaveRequest::AtOnce
    }

    /// Whether the connection should end now, because its client should reconnect at once and nothing is
    /// in flight on it.
    #[must_use]
    pub fn is_useless(&self) -> bool {
        self.is_in_vain() && self.is_quiet() && self.requests() > 0
    }

    /// Returns the number of requests in flight. A request is in flight until its response has ended or
    /// was dropped.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Counts a request whose head has been read. The request is now in flight.
    pub fn begin_request(&self) {
        self.in_flight
            .store(self.in_flight().saturating_add(1), Relaxed);
        self.requests
            .store(self.requests().wrapping_add(1), Relaxed);
        self.note_progress();
    }

    /// Returns the number of requests since the connection began.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Counts a request whose response has ended or was dropped. The request is no longer in flight.
    pub fn end_request(&self) {
        self.in_flight
            .store(self.in_flight().saturating_sub(1), Relaxed);
        self.has_head_bytes.store(false, Relaxed);
        self.note_progress();
    }

    /// Records that the connection made progress.
    pub fn note_progress(&self) {
        self.progress
            .store(self.progress().wrapping_add(1), Relaxed);
    }

    /// Returns a number that changes whenever the connection makes progress.
    #[must_use]
    pub fn progress(&self) -> u64 {
        self.progress.load(Relaxed)
    }

    /// Sets whether the next bytes from the client belong to a request body. HTTP/1 only.
    pub fn set_in_body(&self, is_in_body: bool) {
        self.is_in_body.store(is_in_body, Relaxed);
    }

    /// Whether the next bytes from the client belong to a request body. HTTP/1 only.
    #[must_use]
    pub fn is_in_body(&self) -> bool {
        self.is_in_body.load(Relaxed)
    }

    /// Counts bytes read from the socket.
    pub fn note_read(&self, bytes: usize) {
        add(&self.read, bytes);
    }

    /// Returns the number of bytes read since the connection began, modulo 2^64.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Relaxed)
    }

    /// Adds `bytes` to the number of bytes that a well-behaved client may have sent.
    pub fn earn(&self, bytes: usize) {
        add(&self.earned, bytes);
    }

    /// Counts a request body that begins. HTTP/2 only.
    pub fn open_body(&self) {
        let count = self.open_bodies.load(Relaxed).saturating_add(1);
        self.open_bodies.store(count, Relaxed);
    }

    /// Counts a request body that is not read any further. `in_flight` is the number of its bytes that
    /// may still arrive; 0 when the body has ended. HTTP/2 only.
    pub fn close_body(&self, in_flight: usize) {
        let count = self.open_bodies.load(Relaxed).saturating_sub(1);
        self.open_bodies.store(count, Relaxed);
        add(&self.granted, in_flight);
    }

    /// Whether a request body is being read. HTTP/2 only.
    #[must_use]
    pub fn has_open_body(&self) -> bool {
        self.open_bodies.load(Relaxed) > 0
    }

    /// Whether any open request body is not waiting for the client. hyper may have received bytes of such a
    /// body that have not been read yet. HTTP/2 only.
    #[must_use]
    pub fn has_untaken_body(&self) -> bool {
        self.open_bodies.load(Relaxed) > self.waiting_bodies.load(Relaxed)
    }

    /// Returns the number of body bytes that may have been in transit when their request bodies were
    /// closed early, modulo 2^64.
    #[must_use]
    pub fn granted(&self) -> u64 {
        self.granted.load(Relaxed)
    }

    /// Returns the sum of the bytes passed to [`Activity::earn`], modulo 2^64.
    #[must_use]
    pub fn earned(&self) -> u64 {
        self.earned.load(Relaxed)
    }

    /// Counts a request body that begins to wait for bytes from the client.
    pub(super) fn begin_body_wait(&self) {
        let count = self.waiting_bodies.load(Relaxed).saturating_add(1);
        self.waiting_bodies.store(count, Relaxed);
    }

    /// Counts a request body that no longer waits for bytes from the client.
    pub(super) fn end_body_wait(&self) {
        let count = self.waiting_bodies.load(Relaxed).saturating_sub(1);
        self.waiting_bodies.store(count, Relaxed);
    }

    /// Sets whether the socket accepted no bytes at the last write.
    pub fn set_write_blocked(&self, is_write_blocked: bool) {
        self.is_write_blocked.store(is_write_blocked, Relaxed);
    }

    /// Sets whether the socket had no bytes left at the last read.
    pub fn set_read_drained(&self, is_read_drained: bool) {
        self.is_read_drained.store(is_read_drained, Relaxed);
        if !is_read_drained && self.in_flight() == 0 && !self.is_multiplexed.load(Relaxed) {
            self.has_head_bytes.store(true, Relaxed);
        }
    }

    /// Marks the connection as HTTP/2. On HTTP/2, bytes that arrive while no request is in flight do not
    /// count as a partial request head, and a request body that waits for the client does not make the
    /// connection count as stalled.
    pub fn set_multiplexed(&self) {
        self.is_multiplexed.store(true, Relaxed);
    }

    /// Whether a request head was read in part. Always false on HTTP/2.
    #[must_use]
    pub fn has_partial_head(&self) -> bool {
        self.in_flight() == 0 && self.has_head_bytes.load(Relaxed)
    }

    /// Records that a request body was dropped before it was read to its end.
    pub fn note_unread_body(&self) {
        self.has_unread_body.store(true, Relaxed);
    }

    /// Whether any request body was dropped before it was read to its end.
    #[must_use]
    pub fn has_unread_body(&self) -> bool {
        self.has_unread_body.load(Relaxed)
    }

    /// Whether response bytes wait to be written because the socket accepted no bytes at the last write.
    #[must_use]
    pub fn is_write_blocked(&self) -> bool {
        self.is_write_blocked.load(Relaxed)
    }

    /// Whether the proxy waits for the client: the socket accepts no bytes or, on HTTP/1, a request body
    /// waits for bytes.
    #[must_use]
    pub fn waits_for_client(&self) -> bool {
        self.is_write_blocked.load(Relaxed)
            || (self.waiting_bodies.load(Relaxed) > 0 && !self.is_multiplexed.load(Relaxed))
    }

    /// Whether the connection is idle: no request is in flight, and no bytes wait to be written or read.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.in_flight() == 0
            && !self.has_head_bytes.load(Relaxed)
            && !self.is_write_blocked.load(Relaxed)
            && self.is_read_drained.load(Relaxed)
    }
}
