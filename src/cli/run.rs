//! `ossgate run`: serves until SIGTERM or SIGINT.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use crate::app;
use crate::cli::environment::env;
use crate::cli::exit_code::{BAD_CONFIG, FAILED, NOT_NOW};
use crate::config::{self, Loaded, Sink};
use crate::supervise::{self, Signals, Supervisor};
use crate::telemetry;
use crate::telemetry::sink::SharedSink;

/// Serves the config at `path`. Returns the exit code.
#[must_use]
#[expect(
    clippy::print_stderr,
    reason = "these errors come before the log is set up"
)]
pub fn run(path: &Path) -> u8 {
    let (mut inherited, predecessor) = supervise::inherited(&env);
    let loaded = match config::load(path, &env) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprint!("{problems}");
            return BAD_CONFIG;
        }
    };
    let Loaded {
        config,
        warnings,
        skipped: _,
        included: _,
    } = loaded;
    let sinks = open(&config.log.error_file, SharedSink::stderr())
        .and_then(|events| Ok((events, open(&config.log.access_file, SharedSink::stdout())?)));
    let (events, access) = match sinks {
        Ok(sinks) => sinks,
        Err(error) => {
            eprintln!("{error}");
            return NOT_NOW;
        }
    };
    let _last_events = telemetry::init(config.log.level, events.clone());
    telemetry::faults::watch();
    let logged = supervise::log_warnings(&warnings);
    // The warnings contain the whole text of the file. They are dropped here to free this memory.
    drop(warnings);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = %path.display(),
        routes = config.routes.len(),
        "starting"
    );
    let prepared = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| {
            let signals = runtime.block_on(async { Signals::new() })?;
            Ok((runtime, signals))
        });
    let (runtime, signals) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            tracing::error!(%error, "cannot wait for signals");
            return FAILED;
        }
    };
    let admin = match supervise::bind_admin(&config, &mut inherited) {
        Ok(admin) => admin,
        Err(error) => {
            tracing::error!(%error, "cannot listen on the admin address");
            return NOT_NOW;
        }
    };
    let logs = vec![events, access.clone()];
    let started = app::build_on(config, access, seed(), inherited).and_then(app::App::start_closed);
    let running = match started {
        Ok(running) => running,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return NOT_NOW;
        }
    };
    running.state().set_warnings(logged);
    let supervisor = Supervisor {
        path: path.to_owned(),
        env: &env,
        logs,
        program: std::env::current_exe().ok(),
        admin,
        predecessor,
    };
    match runtime.block_on(supervise::run(running, supervisor, signals)) {
        Ok(()) => {
            tracing::info!("stopped");
            0
        }
        Err(error) => {
            tracing::error!(%error, "stopped after an error");
            FAILED
        }
    }
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

/// Returns a number that differs between processes. It comes from the standard library's hasher, which is
/// seeded randomly.
fn seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
