//! What the process says: events ([`init`]) and one line per request ([`access_log`]).
//!
//! Events go through `tracing` and a bounded queue to the error log: a log that takes nothing, as the
//! pipe of a stopped reader, must not hold up traffic. Access lines do not go through `tracing`: they are formatted and written
//! by a thread of their own, because a formatted event costs a request several microseconds.

pub mod access_log;
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

/// Events that may wait for their sink; more are dropped and counted.
const WAITING: usize = 4096;

/// The sink, on the queue's own thread.
struct EventSink {
    sink: SharedSink,
    told: usize,
}

impl Write for EventSink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(buf);
        let lost = lost_events();
        if lost > self.told {
            let mut line = String::new();
            // Past the queue, which may be full again.
            SystemTime.format_time(&mut Writer::new(&mut line)).ok();
            let events = lost - std::mem::replace(&mut self.told, lost);
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

/// Counts the events that were dropped.
static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// Events dropped since the process began, because the log took none.
#[must_use]
pub fn lost_events() -> usize {
    LOST.get().map_or(0, ErrorCounter::dropped_lines)
}

/// Changes the level of the running subscriber.
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

fn filter(level: Level) -> Targets {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    // h2 quotes what it refuses, signatures included, and warns once for each client that floods it.
    Targets::new()
        .with_default(level)
        .with_target("h2", LevelFilter::ERROR)
}

/// Events of `level` and above are logged from now on.
pub fn set_level(level: Level) {
    if let Some(handle) = LEVEL.get()
        && let Err(error) = handle.reload(filter(level))
    {
        tracing::error!(%error, "cannot change the log level");
    }
}

/// Sends events of `level` and above to `sink`. The first call in a process counts. Dropping what it
/// gives waits for the last events, for about a second at most.
pub fn init(level: Level, sink: SharedSink) -> WorkerGuard {
    let sink = EventSink { sink, told: 0 };
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
    // A second one, as in tests with several proxies in a process, changes nothing.
    drop(tracing::subscriber::set_global_default(subscriber));
    guard
}
