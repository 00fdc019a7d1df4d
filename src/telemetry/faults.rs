//! Logs and counts panics. Every panic is a bug in the proxy.
//!
//! A panic in the task of a connection ends only that connection. If a panic ends a worker thread, the
//! supervisor detects the ended thread and shuts the process down in order.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static FAULTS: AtomicU64 = AtomicU64::new(0);

/// Returns the number of panics since the process started.
#[must_use]
pub fn count() -> u64 {
    FAULTS.load(Relaxed)
}

/// Installs the panic hook that logs and counts every panic.
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
    // A backtrace is captured only if RUST_BACKTRACE is set.
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
