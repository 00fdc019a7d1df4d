//! The worker threads: one single-threaded event loop each, nothing shared on the request path.
//!
//! Control work (DNS, signals) runs on a runtime of its own and reaches the workers by channels.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::thread::JoinHandle;

/// How many workers `configured` means: 0 is one per core the process may use.
#[must_use]
pub fn worker_count(configured: usize) -> usize {
    if configured > 0 {
        return configured;
    }
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Runs the future `make` makes on a thread and an event loop of its own. When the future ends, what
/// is left on the event loop is dropped, and then `finish` is called.
///
/// # Errors
///
/// When the thread or its event loop cannot be made.
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

/// The name of a thread that has ended.
#[must_use]
pub fn ended(threads: &[JoinHandle<()>]) -> Option<&str> {
    let ended = threads.iter().find(|thread| thread.is_finished())?;
    Some(ended.thread().name().unwrap_or("without a name"))
}

/// Bytes of memory the process has in use.
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
    fn a_worker_that_ends_by_a_panic_is_found() {
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
