//! The worker threads. Each runs a single-threaded event loop with its own client connections and its own
//! pool of upstream connections. The workers share the routes and the state of the upstream addresses.
//!
//! Control tasks (DNS, probes, signals) run on other threads. They pass their results to the workers through
//! this shared state and through channels.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::thread::JoinHandle;

/// Returns the number of workers for the configured value. 0 means one worker for each core that the
/// process may use.
#[must_use]
pub fn worker_count(configured: usize) -> usize {
    if configured > 0 {
        return configured;
    }
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Starts a thread with an event loop, and runs the future that `make` returns on it. When the future ends,
/// the event loop and all its tasks are dropped, and then `finish` is called.
///
/// # Errors
///
/// The OS error if the event loop or the thread cannot be created.
pub fn spawn_worker<F>(
    name: String,
    make: impl FnOnce() -> F + Send + 'static,
    finish: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>>
where
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new().name(name).spawn(move || {
        runtime.block_on(async { make().await });
        drop(runtime);
        finish();
    })
}

/// Returns the name of a thread that has ended, or `None` while all threads run.
#[must_use]
pub fn ended(threads: &[JoinHandle<()>]) -> Option<&str> {
    let ended = threads.iter().find(|thread| thread.is_finished())?;
    Some(ended.thread().name().unwrap_or("unnamed"))
}

/// Returns the resident memory of the process in bytes, or `None` if the system does not report it.
#[must_use]
pub fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_panicked_is_found() {
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let lives = spawn_worker(
            "lives".into(),
            move || async move { wait.recv().unwrap_or_default() },
            || (),
        );
        let mut threads = vec![lives.unwrap()];
        assert_eq!(ended(&threads), None);
        let panics = spawn_worker("panics".into(), || async { panic!("on purpose") }, || ());
        threads.push(panics.unwrap());
        while !threads[1].is_finished() {
            std::thread::yield_now();
        }
        assert_eq!(ended(&threads), Some("panics"));
        drop(release);
    }
}
