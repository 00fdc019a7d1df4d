//! Logs and metrics: events ([`init`]), one line for each request ([`access_log`]), and request counters
//! ([`metrics`]).
//!
//! Events pass through `tracing` and a bounded queue to the error log. If the log output blocks, for example
//! a pipe whose reader has stopped, the queue becomes full. Further events are then dropped, because logging
//! must not delay traffic. Access log lines do not pass through `tracing`, because `tracing` would format
//! them on the worker, which takes several microseconds for each request. A separate thread formats and
//! writes the lines.

pub mod access_log;
pub mod dates;
pub mod event_budget;
pub mod faults;
pub mod line;
pub mod mask;
pub mod metrics;
pub mod sink;

use std::io::{self, Write};
use std::sync::OnceLock;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;

use crate::config::Level;
use crate::telemetry::sink::SharedSink;

/// The maximum number of events in the queue. Further events are dropped and counted.
const WAITING: usize = 4096;

/// Writes the queued events to the sink, and logs how many events were dropped.
struct EventSink {
    sink: SharedSink,
    /// The number of dropped events that were already logged.
    reported: usize,
}

impl Write for EventSink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(buf);
        let lost = lost_events();
        if lost > self.reported {
            let mut line = String::new();
            // The line is written directly to the sink, because the queue may be full again.
            SystemTime.format_time(&mut Writer::new(&mut line)).ok();
            let events = lost - std::mem::replace(&mut self.reported, lost);
            line += &format!(
                "  WARN ossgate::telemetry: events lost: the log took none for a while events={events}\n"
            );
            self.sink.write_all(line.as_bytes())?;
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// The counter of dropped events; set by [`init`].
static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// Returns the number of events dropped because the queue was full, since the process started.
#[must_use]
pub fn lost_events() -> usize {
    LOST.get().map_or(0, ErrorCounter::dropped_lines)
}

/// The handle that changes the level of the running subscriber; set by [`init`].
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

fn filter(level: Level) -> Targets {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    // h2 logs the header fields that it rejects, including signatures. It also logs a warning for each
    // client that floods it. Therefore only its errors are logged.
    Targets::new()
        .with_default(level)
        .with_target("h2", LevelFilter::ERROR)
}

/// Sets the lowest level of events that are logged.
pub fn set_level(level: Level) {
    if let Some(handle) = LEVEL.get()
        && let Err(error) = handle.reload(filter(level))
    {
        tracing::error!(%error, "cannot change the log level");
    }
}

/// Starts logging events of `level` and above to `sink`. Only the first call in a process has an effect.
///
/// Dropping the returned guard waits until the queue is written, but not longer than about a second.
pub fn init(level: Level, sink: SharedSink) -> WorkerGuard {
    let sink = EventSink { sink, reported: 0 };
    let (queue, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING)
        .thread_name("events")
        .finish(sink);
    LOST.get_or_init(|| queue.error_counter());
    let (filter, handle) = reload::Layer::new(filter(level));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(queue);
    let subscriber = Registry::default().with(filter).with(lines);
    if LEVEL.set(handle).is_err() {
        return guard;
    }
    // This call fails if other code has already set a subscriber. The failure is ignored.
    drop(tracing::subscriber::set_global_default(subscriber));
    guard
}
