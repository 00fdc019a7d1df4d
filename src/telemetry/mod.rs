//! What the process says: events ([`init`]) and one line per request ([`access_log`]).
//!
//! Events go through `tracing` to the error log. Access lines do not: they are formatted and written
//! by a thread of their own, because a formatted event costs a request several microseconds.

pub mod access_log;
pub mod line;
pub mod mask;
pub mod metrics;
pub mod sink;

use std::sync::OnceLock;

use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;

use crate::config::Level;
use crate::telemetry::sink::SharedSink;

impl<'a> MakeWriter<'a> for SharedSink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
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

/// Sends events of `level` and above to `sink`. The first call in a process counts.
pub fn init(level: Level, sink: SharedSink) {
    let (filter, handle) = reload::Layer::new(filter(level));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(sink);
    let subscriber = Registry::default().with(filter).with(lines);
    if LEVEL.set(handle).is_err() {
        return;
    }
    // A second one, as in tests with several proxies in a process, changes nothing.
    drop(tracing::subscriber::set_global_default(subscriber));
}
