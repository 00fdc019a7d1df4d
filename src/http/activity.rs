//! What is going on on one client connection, for the deadlines hyper does not have.
//!
//! The connection's socket wrapper, its service and its bodies write here; the connection task
//! reads it on a slow tick. Plain relaxed loads and stores: all writers run on the connection's own
//! worker thread, and a value that is one step old only moves a deadline by one tick.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::http::fragment::Fragments;
use crate::shutdown::{LeaveReader, LeaveRequest};

fn add(counter: &AtomicU64, bytes: usize) {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    counter.store(counter.load(Relaxed).wrapping_add(bytes), Relaxed);
}

/// Shared by everything that belongs to one client connection.
#[derive(Debug, Default)]
pub struct Activity {
    in_flight: AtomicU32,
    requests: AtomicU64,
    has_head_bytes: AtomicBool,
    waiting_bodies: AtomicU32,
    progress: AtomicU64,
    is_write_blocked: AtomicBool,
    is_read_drained: AtomicBool,
    has_unread_body: AtomicBool,
    is_multiplexed: AtomicBool,
    /// Bytes read from the socket, and bytes the client is entitled to send; both only grow.
    read: AtomicU64,
    earned: AtomicU64,
    /// Bytes that may have been on their way when a body was refused; only grows.
    granted: AtomicU64,
    open_bodies: AtomicU32,
    /// Targets with a `#` that have come. HTTP/1 only.
    pub fragments: Fragments,
    is_in_body: AtomicBool,
    /// Whether the client has to connect anew.
    leave: LeaveReader,
}

impl Activity {
    /// Creates the record of a connection whose client has to leave when `leave` says so.
    #[must_use]
    pub fn new(leave: LeaveReader) -> Self {
        Self {
            leave,
            ..Self::default()
        }
    }

    /// Whether the connection should end after its next answer.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leave.get() >= LeaveRequest::AfterAnswer
    }

    /// Whether the client should go now: what it asks for fails here.
    #[must_use]
    pub fn is_in_vain(&self) -> bool {
        self.leave.get() >= LeaveRequest::AtOnce
    }

    /// Whether the connection should end now, as nothing is under way on it.
    #[must_use]
    pub fn is_useless(&self) -> bool {
        self.is_in_vain() && self.is_quiet() && self.requests() > 0
    }

    /// Requests whose answer has not ended.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// A request began.
    pub fn begin(&self) {
        self.in_flight
            .store(self.in_flight().saturating_add(1), Relaxed);
        self.requests
            .store(self.requests().wrapping_add(1), Relaxed);
        self.bump();
    }

    /// Requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// A request's answer ended, or was given up.
    pub fn end(&self) {
        self.in_flight
            .store(self.in_flight().saturating_sub(1), Relaxed);
        self.has_head_bytes.store(false, Relaxed);
        self.bump();
    }

    /// Something moved.
    pub fn bump(&self) {
        self.progress
            .store(self.progress().wrapping_add(1), Relaxed);
    }

    /// A number that changes whenever something moves.
    #[must_use]
    pub fn progress(&self) -> u64 {
        self.progress.load(Relaxed)
    }

    /// The body of a request begins, or has ended, on HTTP/1.
    pub fn set_in_body(&self, is: bool) {
        self.is_in_body.store(is, Relaxed);
    }

    /// Whether what comes next belongs to the body of a request.
    #[must_use]
    pub fn is_in_body(&self) -> bool {
        self.is_in_body.load(Relaxed)
    }

    /// Bytes were read from the socket.
    pub fn note_read(&self, bytes: usize) {
        add(&self.read, bytes);
    }

    /// Bytes read so far, modulo 2^64.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Relaxed)
    }

    /// The client did something for which it may well have sent so many bytes.
    pub fn earn(&self, bytes: usize) {
        add(&self.earned, bytes);
    }

    /// A request's body begins on a stream.
    pub fn open_body(&self) {
        let count = self.open_bodies.load(Relaxed).saturating_add(1);
        self.open_bodies.store(count, Relaxed);
    }

    /// It has ended, or is not read any further while `on_its_way` bytes may still come.
    pub fn close_body(&self, on_its_way: usize) {
        let count = self.open_bodies.load(Relaxed).saturating_sub(1);
        self.open_bodies.store(count, Relaxed);
        add(&self.granted, on_its_way);
    }

    /// Whether a body is being read from some stream.
    #[must_use]
    pub fn has_open_body(&self) -> bool {
        self.open_bodies.load(Relaxed) > 0
    }

    /// What refused bodies may have cost so far, modulo 2^64.
    #[must_use]
    pub fn granted(&self) -> u64 {
        self.granted.load(Relaxed)
    }

    /// What the client has earned so far, modulo 2^64.
    #[must_use]
    pub fn earned(&self) -> u64 {
        self.earned.load(Relaxed)
    }

    /// A request body starts or stops waiting for the client's bytes.
    pub fn set_body_waiting(&self, was: &mut bool, is: bool) {
        if *was != is {
            let count = self.waiting_bodies.load(Relaxed);
            let count = if is {
                count.saturating_add(1)
            } else {
                count.saturating_sub(1)
            };
            self.waiting_bodies.store(count, Relaxed);
            *was = is;
        }
    }

    /// The socket took no more bytes (`true`) or took some (`false`).
    pub fn set_write_blocked(&self, is: bool) {
        self.is_write_blocked.store(is, Relaxed);
    }

    /// The last read found nothing (`true`) or something (`false`).
    pub fn set_read_drained(&self, is: bool) {
        self.is_read_drained.store(is, Relaxed);
        if !is && self.in_flight() == 0 && !self.is_multiplexed.load(Relaxed) {
            self.has_head_bytes.store(true, Relaxed);
        }
    }

    /// The connection has streams: bytes on it need not be a request's head, and what a client does not
    /// take is not seen on the socket.
    pub fn set_multiplexed(&self) {
        self.is_multiplexed.store(true, Relaxed);
    }

    /// Whether a part of a request's head has come, and not yet the whole of it.
    #[must_use]
    pub fn has_partial_head(&self) -> bool {
        self.in_flight() == 0 && self.has_head_bytes.load(Relaxed)
    }

    /// A request was answered before its body had been read.
    pub fn note_unread_body(&self) {
        self.has_unread_body.store(true, Relaxed);
    }

    /// Whether some request was answered before its body had been read.
    #[must_use]
    pub fn has_unread_body(&self) -> bool {
        self.has_unread_body.load(Relaxed)
    }

    /// Whether an answer, or a part of one, still waits for the client to take bytes.
    #[must_use]
    pub fn is_write_blocked(&self) -> bool {
        self.is_write_blocked.load(Relaxed)
    }

    /// Whether the client holds up the connection: it does not take bytes, or does not send the
    /// body it announced.
    #[must_use]
    pub fn waits_for_client(&self) -> bool {
        self.is_write_blocked.load(Relaxed)
            || (self.waiting_bodies.load(Relaxed) > 0 && !self.is_multiplexed.load(Relaxed))
    }

    /// Whether nothing is in flight, buffered for writing or left unread.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.in_flight() == 0
            && !self.has_head_bytes.load(Relaxed)
            && !self.is_write_blocked.load(Relaxed)
            && self.is_read_drained.load(Relaxed)
    }
}
