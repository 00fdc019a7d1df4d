//! Panics: none should be, and each is said and counted.
//!
//! A panic ends one connection, whose task it is; a thread that ends by one is noticed by the
//! supervisor, which ends the process in good order.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static FAULTS: AtomicU64 = AtomicU64::new(0);

/// Panics since the process began.
#[must_use]
pub fn count() -> u64 {
    FAULTS.load(Relaxed)
}

/// From now on, a panic is an event, and counted.
pub fn watch() {
    std::panic::set_hook(Box::new(note));
}

fn note(panic: &PanicHookInfo<'_>) {
    FAULTS.fetch_add(1, Relaxed);
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or_default();
    let place = panic.location().map(ToString::to_string);
    let place = place.unwrap_or_default();
    let payload = panic.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or_default();
    // Where RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(thread, place, message, %backtrace, "a fault of the proxy: please report it");
    } else {
        tracing::error!(
            thread,
            place,
            message,
            "a fault of the proxy: please report it"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_counted() {
        let before = count();
        watch();
        let ended = std::thread::spawn(|| panic!("on purpose")).join();
        drop(std::panic::take_hook());
        assert!(ended.is_err());
        assert_eq!(count(), before + 1);
    }
}
