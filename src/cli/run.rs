//! `ossgate run`: serve until told to stop.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{self, Running};
use crate::cli::{BAD_CONFIG, NOT_NOW, env};
use crate::config::{self, Sink};
use crate::telemetry;
use crate::telemetry::sink::SharedSink;

/// Serves the config at `path`; the exit code.
#[must_use]
#[expect(clippy::print_stderr, reason = "before the log is set up")]
pub fn run(path: &Path) -> u8 {
    let loaded = match config::load(path, &env) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprint!("{problems}");
            return BAD_CONFIG;
        }
    };
    let config = loaded.config;
    let sinks = open(&config.log.error_file, SharedSink::stderr())
        .and_then(|events| Ok((events, open(&config.log.access_file, SharedSink::stdout())?)));
    let (events, access) = match sinks {
        Ok(sinks) => sinks,
        Err(error) => {
            eprintln!("{error}");
            return NOT_NOW;
        }
    };
    telemetry::init(config.log.level, events.clone());
    for warning in loaded.warnings.iter() {
        tracing::warn!("{}", loaded.warnings.line(warning));
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = %path.display(),
        routes = config.routes.len(),
        "starting"
    );
    let started = app::build(config, access.clone(), seed()).and_then(app::App::start);
    let running = match started {
        Ok(running) => running,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return NOT_NOW;
        }
    };
    wait_and_stop(running, &[events, access])
}

fn open(sink: &Sink, standard: SharedSink) -> std::io::Result<SharedSink> {
    match sink {
        Sink::Standard => Ok(standard),
        Sink::File(path) => SharedSink::file(path.clone()).map_err(|error| {
            let message = format!("cannot open the log file {}: {error}", path.display());
            std::io::Error::new(error.kind(), message)
        }),
    }
}

/// A number no other process is likely to have; the standard library seeds its hasher randomly.
fn seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// Waits for the signals: the first SIGTERM, SIGQUIT or SIGINT drains, the second one stops.
fn wait_and_stop(mut running: Running, logs: &[SharedSink]) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot wait for signals");
            running.stop();
            return 1;
        }
    };
    let outcome = runtime.block_on(async {
        let mut signals = Signals::new()?;
        signals.end(logs).await;
        tracing::info!("draining");
        tokio::select! {
            () = running.drain() => {}
            () = signals.end(logs) => tracing::warn!("told twice: stopping now"),
        }
        Ok::<(), std::io::Error>(())
    });
    running.stop();
    match outcome {
        Ok(()) => {
            tracing::info!("stopped");
            0
        }
        Err(error) => {
            tracing::error!(%error, "cannot listen to signals");
            1
        }
    }
}

struct Signals {
    terminate: Signal,
    quit: Signal,
    interrupt: Signal,
    reopen: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            interrupt: signal(SignalKind::interrupt())?,
            reopen: signal(SignalKind::user_defined1())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal to end; SIGUSR1 reopens the logs meanwhile.
    async fn end(&mut self, logs: &[SharedSink]) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.quit.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {
                    tracing::warn!("SIGHUP: a changed config or certificate needs a restart");
                }
                _ = self.reopen.recv() => {
                    for log in logs {
                        if let Err(error) = log.reopen() {
                            tracing::error!(%error, "cannot reopen a log file");
                        }
                    }
                }
            }
        }
    }
}
