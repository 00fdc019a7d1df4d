//! Builds all parts of the proxy from a config, binds the listeners, and runs and stops the proxy. No other
//! module combines the parts.
//!
//! At a start, certificates and routes are built first, then every listener is bound, and then workers and
//! control tasks start. Therefore a config that cannot be served makes the start fail before any request is
//! served. [`change`] keeps the same order for a new config. At a shutdown, the listeners first stop
//! accepting. Requests in flight may finish within `drain_timeout`. Then the remaining connections are
//! closed, and the access log is flushed.

mod certificates;
pub mod change;
mod endpoints;
mod error;
mod gauges;
mod running;
pub mod state;
mod worker;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::app::change::LiveConfig;
pub use crate::app::error::StartError;
use crate::app::running::Parts;
pub use crate::app::running::Running;
use crate::app::state::{ReloadState, State};
use crate::app::worker::{Services, Worker};
use crate::config::{Config, NamedFiles};
use crate::health::Health;
use crate::http::access::{AccessLayer, Recorder};
use crate::identity::credentials;
use crate::listener::WorkerListener;
use crate::listener::bind::Inherited;
use crate::listener::tls;
use crate::origin::endpoint::dns;
use crate::origin::endpoint::readiness::Reachability;
use crate::origin::exchange::watch::{self, Probing};
use crate::origin::tiers::registry::Registry;
use crate::policy::referer::Reports;
use crate::route::RouterService;
use crate::runtime;
use crate::shutdown::{self, Phase, Shutdown};
use crate::telemetry::access_log::{self, AccessLog};
use crate::telemetry::metrics::RequestMetrics;
use crate::telemetry::sink::SharedSink;

/// A proxy with bound listeners, before it serves.
#[derive(Debug)]
pub struct App {
    live: LiveConfig,
    bound: Vec<WorkerListener>,
    workers: usize,
    dns: dns::Runner,
    credentials: credentials::Runner,
    access: AccessLayer,
    log: Option<(Arc<AccessLog>, Option<access_log::Writer>)>,
}

/// Builds everything that `config` needs and binds its listeners. Access lines are written to `access_sink`.
/// `seed` must differ between processes, so that their request ids differ.
///
/// # Errors
///
/// The errors of [`build_on`].
pub fn build(config: Config, access_sink: SharedSink, seed: u64) -> Result<App, StartError> {
    build_on(config, access_sink, seed, Inherited::default())
}

/// Does the same as [`build`], and also uses the listening sockets that this process was started with.
///
/// # Errors
///
/// [`StartError::Dns`], [`StartError::Route`], [`StartError::Tls`], [`StartError::Bind`], and
/// [`StartError::System`] for the access log. After an error, no request has been served.
pub fn build_on(
    config: Config,
    access_sink: SharedSink,
    seed: u64,
    inherited: Inherited,
) -> Result<App, StartError> {
    let (engine, dns) = dns::engine(&config.dns).map_err(StartError::Dns)?;
    let (sources, credentials) = credentials::sources(state::unix_now, seed, NamedFiles::Read);
    let provider = Arc::new(tls::provider());
    let workers = runtime::worker_count(config.server.workers);
    // Only the admin listener reads the request counters, so they exist only with an admin listener.
    let requests = config
        .admin
        .as_ref()
        .map(|_| Arc::<RequestMetrics>::default());
    let log = access_log::start(config.log.access, access_sink, requests.clone())
        .map_err(StartError::System)?;
    let state = Arc::new(State {
        health: Arc::new(Health::default()),
        registry: Arc::new(Registry::new(engine, &config.dns, Arc::clone(&provider))),
        credentials: sources,
        probing: Probing {
            interval: config.server.probe,
            // Parsing cannot fail, because the path was checked when the config was read.
            path: config
                .server
                .probe_path
                .as_deref()
                .and_then(|path| path.parse().ok()),
        },
        referer_reports: Reports::default(),
        listeners: Mutex::default(),
        routes: Mutex::default(),
        certificates: Mutex::default(),
        warnings: Mutex::default(),
        reloads: Mutex::new(ReloadState {
            is_good: true,
            taken_at: state::unix_now(),
            taken: 1,
            refused: 0,
            problem: None,
        }),
        broken_lists: Mutex::default(),
        requests,
        lost_lines: log.as_ref().map(|(log, _)| log.lost_lines()),
        started: Instant::now(),
    });
    let recorder = log
        .as_ref()
        .map(|(log, _)| Arc::clone(log) as Arc<dyn Recorder>);
    let (live, bound) = LiveConfig::first(config, provider, workers, state, inherited)?;
    Ok(App {
        access: AccessLayer::new(recorder, seed),
        live,
        bound,
        workers,
        dns,
        credentials,
        log,
    })
}

impl App {
    /// Starts the workers and control tasks, and accepts connections.
    ///
    /// # Errors
    ///
    /// [`StartError::System`] when a thread cannot be started.
    pub fn start(self) -> Result<Running, StartError> {
        let mut running = self.start_closed()?;
        running.open();
        Ok(running)
    }

    /// Does the same as [`App::start`], but accepts no connections until [`Running::open`] is called. Until
    /// then, connections wait in the queues of the sockets, or the old process of an upgrade serves them.
    ///
    /// # Errors
    ///
    /// [`StartError::System`] when a thread cannot be started.
    pub fn start_closed(self) -> Result<Running, StartError> {
        let (trigger, shutdown) = shutdown::channel();
        let (alive, drained) = mpsc::channel::<()>(1);
        let state = self.live.state();
        let mut threads = Vec::with_capacity(self.workers + 1);
        threads.push(start_control(
            self.dns,
            self.credentials,
            &state,
            shutdown.clone(),
        )?);
        let mut listeners = Vec::with_capacity(self.workers);
        for index in 0..self.workers {
            let (sender, receiver) = mpsc::unbounded_channel();
            listeners.push(sender);
            let log = self.log.as_ref().map(|(log, _)| Arc::clone(log));
            let last_lines = log.clone();
            let alive = alive.clone();
            let worker = Worker {
                listeners: receiver,
                services: Services {
                    access: self.access.clone(),
                    router: RouterService::new(self.live.router(), Arc::clone(&state.health)),
                },
                shutdown: shutdown.clone(),
                log,
                metrics: state.requests.clone(),
                retry_buffer: self.live.config().server.retry_buffer,
            };
            let run = move || async move {
                worker.run().await;
                drop(alive);
            };
            // Requests in flight are aborted when the event loop is dropped, and then write log lines.
            // Therefore the access log is flushed after the drop.
            let finish = move || last_lines.iter().for_each(|log| log.flush());
            let worker = runtime::spawn_worker(format!("worker-{index}"), run, finish);
            threads.push(worker.map_err(StartError::System)?);
        }
        Ok(Running::new(Parts {
            live: self.live,
            trigger,
            threads,
            drained,
            listeners,
            waiting: self.bound,
            log: self.log.and_then(|(_, writer)| writer),
        }))
    }
}

/// Returns one message with the first ten troubles and the number of the remaining troubles.
fn summary(troubles: &[String]) -> String {
    const SHOWN: usize = 10;
    let (shown, rest) = troubles.split_at(troubles.len().min(SHOWN));
    let mut text = shown.join("; ");
    if !rest.is_empty() {
        text.push_str(&format!("; and {} more", rest.len()));
    }
    text
}

/// Starts the control thread, which resolves the names of endpoints, refreshes access keys and probes the endpoints.
fn start_control(
    dns: dns::Runner,
    credentials: credentials::Runner,
    state: &Arc<State>,
    mut shutdown: Shutdown,
) -> Result<JoinHandle<()>, StartError> {
    let state = Arc::clone(state);
    let control = async move {
        let report = |found: Reachability| {
            let text = (!found.is_fit).then(|| summary(&found.troubles));
            if state.health.set_fit(found.is_fit, found.troubles) {
                if found.is_fit {
                    tracing::info!("ready: an endpoint can be reached");
                } else {
                    tracing::warn!(troubles = text, "not ready: no endpoint can be reached");
                }
                state.settle_clients();
            }
        };
        tokio::select! {
            () = dns.run() => {}
            () = credentials.run() => {}
            () = watch::watch(|| state.hosts(), state.probing.clone(), report) => {}
            () = shutdown.reached(Phase::Stopping) => {}
        }
    };
    runtime::spawn_worker("control".into(), move || control, || ()).map_err(StartError::System)
}
