//! Passes finished requests from the workers to the access log without delaying the workers.
//!
//! Each worker collects records in its own batch. It sends complete batches over a bounded channel to one
//! writer thread, which formats and writes them. If the writer is too slow, the channel is full and the batch
//! is dropped. The dropped records are counted, and the writer logs their number with its next batch.

use std::cell::RefCell;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::config::AccessFormat;
use crate::http::access::Recorder;
use crate::http::context::RequestContext;
use crate::telemetry::line;
use crate::telemetry::metrics::RequestMetrics;
use crate::telemetry::sink::SharedSink;

/// The number of records that a worker collects before it sends them to the writer.
const BATCH: usize = 64;
/// The maximum number of batches in the channel: about 65,000 requests, which take about 30 MiB of memory.
/// On the busiest machine this is at least one second of traffic.
const WAITING: usize = 1024;
/// The maximum time that the shutdown waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

type Batch = Vec<Arc<RequestContext>>;

thread_local! {
    static PENDING: RefCell<Batch> = const { RefCell::new(Vec::new()) };
}

/// The part of the access log that the workers use.
#[derive(Debug)]
pub struct AccessLog {
    /// The channel to the writer. `None` if no access log is written and requests are only counted.
    batches: Option<SyncSender<Batch>>,
    metrics: Option<Arc<RequestMetrics>>,
    /// The number of lost lines that the writer has not reported in the error log yet.
    unreported: Arc<AtomicU64>,
    /// The number of lost lines that the writer has reported since the process started.
    lost_lines: Arc<AtomicU64>,
    /// Whether the proxy is stopping. It then closes the connections that are still open, and a request that
    /// ends early is not blamed on its client.
    is_stopping: AtomicBool,
}

/// The writer thread of the access log.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<()>,
    /// A channel on which nothing is sent. It is disconnected when the thread ends.
    end: Mutex<Receiver<()>>,
}

/// Starts the access log. The writer is `None` if `format` is `Off`. If in addition `metrics` is `None`, so
/// that requests need not be counted either, the whole result is `None`.
///
/// # Errors
///
/// The OS error if the writer thread cannot be started.
pub fn start(
    format: AccessFormat,
    sink: SharedSink,
    metrics: Option<Arc<RequestMetrics>>,
) -> std::io::Result<Option<(Arc<AccessLog>, Option<Writer>)>> {
    let mut log = AccessLog {
        batches: None,
        metrics,
        unreported: Arc::default(),
        lost_lines: Arc::default(),
        is_stopping: AtomicBool::new(false),
    };
    if format == AccessFormat::Off {
        let is_wanted = log.metrics.is_some();
        return Ok(is_wanted.then(|| (Arc::new(log), None)));
    }
    let (batches, receiver) = sync_channel(WAITING);
    let losses = Losses {
        unreported: Arc::clone(&log.unreported),
        lost_lines: Arc::clone(&log.lost_lines),
    };
    let (alive, end) = sync_channel(0);
    let thread = std::thread::Builder::new()
        .name("access-log".into())
        .spawn(move || {
            let _alive = alive;
            write(&receiver, format, sink, &losses);
        })?;
    log.batches = Some(batches);
    Ok(Some((
        Arc::new(log),
        Some(Writer {
            thread,
            end: Mutex::new(end),
        }),
    )))
}

impl Writer {
    /// Waits until all batches are written, but at most two seconds, because the log may be a pipe whose
    /// reader has stopped. Every [`AccessLog`] must be dropped first.
    pub fn finish(self) {
        let end = self
            .end
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if end.recv_timeout(LAST_LINES) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the access log takes no lines; the last ones are lost");
            return;
        }
        if self.thread.join().is_err() {
            tracing::error!("the access log writer panicked");
        }
    }
}

impl Recorder for AccessLog {
    fn record(&self, context: Arc<RequestContext>) {
        if self.is_stopping.load(Relaxed) {
            context.outcome().blame_stop();
        }
        // `try_with` is used, because a body may be dropped while its worker thread exits. The batch of the
        // thread may then no longer exist.
        let pushed = PENDING.try_with(|pending| {
            let mut pending = pending.borrow_mut();
            pending.push(context);
            if pending.len() >= BATCH {
                self.send(std::mem::take(&mut *pending));
            }
        });
        if pushed.is_err() {
            self.unreported.fetch_add(1, Relaxed);
        }
    }
}

impl AccessLog {
    /// Records that the proxy now closes the connections that are still open. A request that ends early from
    /// now on is not logged as aborted by its client.
    pub fn set_stopping(&self) {
        self.is_stopping.store(true, Relaxed);
    }

    /// Sends the batch of the calling worker thread to the writer. Each worker calls this a few times per
    /// second and at its end.
    pub fn flush(&self) {
        PENDING.with_borrow_mut(|pending| {
            if !pending.is_empty() {
                self.send(std::mem::take(pending));
            }
        });
    }

    /// Returns the counter of lost lines since the process started.
    #[must_use]
    pub fn lost_lines(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost_lines)
    }

    fn send(&self, batch: Batch) {
        if let Some(metrics) = &self.metrics {
            metrics.count(&batch);
        }
        let Some(batches) = &self.batches else {
            return;
        };
        match batches.try_send(batch) {
            Ok(()) => {}
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => {
                self.unreported
                    .fetch_add(u64::try_from(batch.len()).unwrap_or(u64::MAX), Relaxed);
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only place where the log reads the wall clock"
)]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// The counters of [`AccessLog`] that the writer updates.
struct Losses {
    unreported: Arc<AtomicU64>,
    lost_lines: Arc<AtomicU64>,
}

fn write(batches: &Receiver<Batch>, format: AccessFormat, mut sink: SharedSink, losses: &Losses) {
    let mut text = Vec::new();
    let mut is_failing = false;
    while let Ok(batch) = batches.recv() {
        text.clear();
        let (now, wall) = (Instant::now(), wall_clock());
        for context in &batch {
            let total = context.outcome().total;
            let ended = wall
                .checked_sub(now.saturating_duration_since(context.start + total))
                .and_then(|ended| ended.duration_since(SystemTime::UNIX_EPOCH).ok())
                .unwrap_or(Duration::ZERO);
            let millis = u64::try_from(ended.as_millis()).unwrap_or(u64::MAX);
            match format {
                AccessFormat::Json => line::append_json(&mut text, context, millis),
                AccessFormat::Combined => line::append_combined(&mut text, context, millis),
                AccessFormat::Off => {}
            }
        }
        match sink.write_all(&text).and_then(|()| sink.flush()) {
            Ok(()) => is_failing = false,
            Err(error) => {
                losses
                    .unreported
                    .fetch_add(u64::try_from(batch.len()).unwrap_or(u64::MAX), Relaxed);
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::error!(%error, "cannot write the access log");
                }
            }
        }
        let lines = losses.unreported.swap(0, Relaxed);
        if lines > 0 {
            losses.lost_lines.fetch_add(lines, Relaxed);
            tracing::warn!(lines, "access log lines lost");
        }
    }
}
