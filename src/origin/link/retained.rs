//! Keeps small request bodies in memory until the response begins, so that a request can be sent again.
//!
//! There is a limit for one body, and another for all bodies of a worker together. A body that exceeds a
//! limit is streamed without being kept, so its request cannot be sent again.

use std::cell::Cell;

use bytes::Bytes;

/// The maximum number of bytes kept of one body. Most objects that are uploaded in one request are smaller,
/// and a body of this size fits into the socket buffers anyway.
pub(crate) const MOST: usize = 64 * 1024;

/// The default limit of a worker, used until [`set_limit`]. It is the default of the key
/// `server.retry_buffer`.
const DEFAULT_LIMIT: usize = 16 * 1024 * 1024;

thread_local! {
    static LIMIT: Cell<usize> = const { Cell::new(DEFAULT_LIMIT) };
    static USED: Cell<usize> = const { Cell::new(0) };
    static DECLINED: Cell<u64> = const { Cell::new(0) };
}

/// Sets the maximum number of bytes that this worker keeps of all bodies together. With 0, no body is kept.
pub(crate) fn set_limit(bytes: usize) {
    LIMIT.set(bytes);
}

/// Returns the number of bytes that this worker currently keeps.
#[must_use]
pub(crate) fn used() -> usize {
    USED.get()
}

/// Returns the number of bodies that this worker did not keep because its limit was reached.
#[must_use]
pub(crate) fn declined() -> u64 {
    DECLINED.get()
}

/// The frames of one body that were read up to now. When they are dropped, they no longer count towards the
/// limit of the worker.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    frames: Vec<Bytes>,
    bytes: usize,
}

impl Retained {
    /// Adds a frame. If a limit is exceeded, drops all kept frames and returns `None`.
    pub(crate) fn push(mut self, frame: Bytes) -> Option<Self> {
        let bytes = self.bytes + frame.len();
        if bytes > MOST {
            return None;
        }
        let used = USED.get() + frame.len();
        if used > LIMIT.get() {
            DECLINED.set(DECLINED.get() + 1);
            return None;
        }
        USED.set(used);
        self.bytes = bytes;
        self.frames.push(frame);
        Some(self)
    }

    /// Returns the frame at the index `place`.
    pub(crate) fn frame(&self, place: usize) -> Option<&Bytes> {
        self.frames.get(place)
    }
}

impl Drop for Retained {
    fn drop(&mut self) {
        // `try_with` does not panic if a body is dropped while its worker thread exits and `USED` is already
        // gone.
        let _gone = USED.try_with(|used| used.set(used.get().saturating_sub(self.bytes)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Bytes {
        Bytes::from(vec![0; length])
    }

    #[test]
    fn a_body_is_kept_up_to_its_limit() {
        let body = Retained::default().push(frame(MOST - 1)).unwrap();
        let body = body.push(frame(1)).unwrap();
        assert_eq!((body.frames.len(), used()), (2, MOST));
        assert!(body.push(frame(1)).is_none());
        assert_eq!(used(), 0);
        assert_eq!(declined(), 0, "only the limit of the worker is counted");
    }

    #[test]
    fn all_bodies_of_a_worker_have_a_limit_together() {
        set_limit(100);
        let one = Retained::default().push(frame(60)).unwrap();
        assert!(Retained::default().push(frame(41)).is_none());
        assert_eq!((used(), declined()), (60, 1));
        let other = Retained::default().push(frame(40)).unwrap();
        drop(one);
        assert_eq!(used(), 40);
        drop(other);
        assert_eq!(used(), 0);
    }

    #[test]
    fn with_a_limit_of_zero_nothing_is_kept() {
        set_limit(0);
        assert!(Retained::default().push(frame(1)).is_none());
    }
}
