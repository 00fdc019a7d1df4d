//! What the process says: events ([`init`]) and one line per request ([`access_log`]).
//!
//! Events go through `tracing` to the error log. Access lines do not: they are formatted and written
//! by a thread of their own, because a formatted event costs a request several microseconds.

pub mod access_log;
pub mod line;
pub mod mask;
pub mod sink;

use tracing_subscriber::fmt::MakeWriter;

use crate::config::Level;
use crate::telemetry::sink::SharedSink;

impl<'a> MakeWriter<'a> for SharedSink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Sends events of `level` and above to `sink`. The first call in a process counts.
pub fn init(level: Level, sink: SharedSink) {
    let level = match level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
        Level::Trace => tracing::Level::TRACE,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(sink)
        .finish();
    // A second one, as in tests with several proxies in a process, changes nothing.
    drop(tracing::subscriber::set_global_default(subscriber));
}
