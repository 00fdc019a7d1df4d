//! The only place where the parts meet: builds everything from a config, binds, runs, ends.
//!
//! The order of a start: certificates and routes are built, every listener is bound, then workers and
//! control tasks start. So a config that cannot be served stops the start before anything is served.
//! The order of an end: accepting stops, running requests finish within `drain_timeout`, the rest is
//! cut, the access log is written out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::config::{Address, Config};
use crate::http::access::{Access, AccessBody, AccessLayer, Recorder};
use crate::http::context::ConnectionInfo;
use crate::listener::{self, BoundListener, MakeService, WorkerListener, tls};
use crate::origin::{dns, pool};
use crate::route::{Router, RouterService};
use crate::runtime;
use crate::shutdown::{self, Phase, Shutdown, Trigger};
use crate::telemetry::access_log::{self, AccessLog};
use crate::telemetry::sink::SharedSink;

/// How often a worker looks after its pool and its part of the access log.
const HOUSEKEEPING: Duration = Duration::from_millis(200);
/// Descriptors kept for everything that is not a client or upstream connection.
const SPARE_DESCRIPTORS: u64 = 64;

/// Why an app could not be started.
#[derive(Debug)]
pub enum StartError {
    /// A listener could not be bound.
    Bind {
        /// Its address as the config writes it.
        address: String,
        /// What the system says.
        error: io::Error,
    },
    /// TLS could not be set up.
    Tls(rustls::Error),
    /// The resolver could not be set up.
    Dns(String),
    /// A route could not be built.
    Route(String),
    /// A thread, an event loop or a log file could not be had.
    System(io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bind { address, error } => write!(f, "cannot listen on `{address}`: {error}"),
            Self::Tls(error) => write!(f, "cannot set up tls: {error}"),
            Self::Dns(error) => write!(f, "cannot set up dns: {error}"),
            Self::Route(error) => f.write_str(error),
            Self::System(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { error, .. } | Self::System(error) => Some(error),
            Self::Tls(error) => Some(error),
            Self::Dns(_) | Self::Route(_) => None,
        }
    }
}

/// A proxy that is bound and not yet serving.
#[derive(Debug)]
pub struct App {
    config: Config,
    listeners: Vec<BoundListener>,
    workers: usize,
    router: watch::Sender<Arc<Router>>,
    dns: dns::Runner,
    access: AccessLayer,
    log: Option<(Arc<AccessLog>, access_log::Writer)>,
}

/// Builds everything `config` asks for and binds its listeners. `access_sink` takes the access lines;
/// `seed` keeps the request ids of two processes apart.
///
/// # Errors
///
/// [`StartError`]; nothing has been served then.
pub fn build(config: Config, access_sink: SharedSink, seed: u64) -> Result<App, StartError> {
    let provider = Arc::new(tls::provider());
    let (engine, dns) =
        dns::engine(&config.dns).map_err(|error| StartError::Dns(error.to_string()))?;
    let router =
        crate::route::build::router(&config, &engine, &provider).map_err(StartError::Route)?;
    let workers = runtime::worker_count(config.server.workers);
    let listeners = bind_all(&config, workers, &provider)?;
    let log = access_log::start(config.log.access, access_sink).map_err(StartError::System)?;
    let recorder = log
        .as_ref()
        .map(|(log, _)| Arc::clone(log) as Arc<dyn Recorder>);
    Ok(App {
        access: AccessLayer::new(recorder, seed),
        router: watch::Sender::new(Arc::new(router)),
        config,
        listeners,
        workers,
        dns,
        log,
    })
}

fn bind_all(
    config: &Config,
    workers: usize,
    provider: &Arc<CryptoProvider>,
) -> Result<Vec<BoundListener>, StartError> {
    let certificates = Arc::new(tls::CertificateTable::new(&config.certificates));
    let limit = connection_limit();
    let mut bound = Vec::with_capacity(config.listeners.len());
    for listener in &config.listeners {
        let tls = if listener.tls {
            let config = tls::server_config(
                Arc::clone(&certificates),
                listener.http2,
                Arc::clone(provider),
            )
            .map_err(StartError::Tls)?;
            Some(config)
        } else {
            None
        };
        let most = if listener.max_connections == 0 {
            limit
        } else {
            listener.max_connections
        };
        let one =
            listener::bind(listener, tls, workers, most).map_err(|error| StartError::Bind {
                address: listener.address.to_string(),
                error,
            })?;
        let address = one
            .local
            .map_or_else(|| listener.address.to_string(), |local| local.to_string());
        tracing::info!(%address, tls = listener.tls, connections = most, "listening");
        bound.push(one);
    }
    Ok(bound)
}

/// Client connections the descriptor limit leaves room for, each with an upstream connection. Raises
/// the soft limit to the hard one first.
fn connection_limit() -> usize {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    usize::try_from(limit.saturating_sub(SPARE_DESCRIPTORS) / 2)
        .unwrap_or(usize::MAX)
        .max(16)
}

/// Makes the service of each client connection.
#[derive(Clone, Debug)]
struct Services {
    access: AccessLayer,
    router: RouterService,
}

impl MakeService<AccessBody> for Services {
    type Service = Access<RouterService>;

    fn make(&self, info: Arc<ConnectionInfo>) -> Self::Service {
        self.access.layer(self.router.clone(), info)
    }
}

/// A serving proxy. Dropping it does not stop it: use [`Running::stop`].
#[derive(Debug)]
pub struct Running {
    addresses: Vec<Option<SocketAddr>>,
    trigger: Trigger,
    threads: Vec<JoinHandle<()>>,
    drained: tokio::sync::mpsc::Receiver<()>,
    drain_delay: Duration,
    drain_timeout: Duration,
    unix_paths: Vec<std::path::PathBuf>,
    log: Option<access_log::Writer>,
}

impl App {
    /// Starts workers and control tasks.
    ///
    /// # Errors
    ///
    /// [`StartError::System`] when a thread cannot be had.
    pub fn start(self) -> Result<Running, StartError> {
        let (trigger, shutdown) = shutdown::channel();
        let (alive, drained) = tokio::sync::mpsc::channel::<()>(1);
        let addresses = self
            .listeners
            .iter()
            .map(|listener| listener.local)
            .collect();
        let mut per_worker: Vec<Vec<WorkerListener>> =
            (0..self.workers).map(|_| Vec::new()).collect();
        for listener in self.listeners {
            for (worker, socket) in per_worker.iter_mut().zip(listener.workers) {
                worker.push(socket);
            }
        }
        let mut threads = Vec::with_capacity(self.workers + 1);
        let (dns, mut stopping) = (self.dns, shutdown.clone());
        let control = async move {
            tokio::select! {
                () = dns.run() => {}
                () = stopping.reached(Phase::Stopping) => {}
            }
        };
        let control = runtime::spawn_worker("control".into(), move || control, || ());
        threads.push(control.map_err(StartError::System)?);
        for (index, sockets) in per_worker.into_iter().enumerate() {
            let services = Services {
                access: self.access.clone(),
                router: RouterService::new(self.router.subscribe()),
            };
            let log = self.log.as_ref().map(|(log, _)| Arc::clone(log));
            let (shutdown, alive) = (shutdown.clone(), alive.clone());
            let last_lines = log.clone();
            let worker = async move {
                work(sockets, services, shutdown, log).await;
                drop(alive);
            };
            // Requests that are cut with the event loop are logged too.
            let finish = move || last_lines.iter().for_each(|log| log.flush());
            let worker = runtime::spawn_worker(format!("worker-{index}"), move || worker, finish);
            threads.push(worker.map_err(StartError::System)?);
        }
        let unix_paths = self
            .config
            .listeners
            .iter()
            .filter_map(|listener| match &listener.address {
                Address::Unix(path) => Some(path.clone()),
                Address::Tcp(_) => None,
            })
            .collect();
        Ok(Running {
            addresses,
            trigger,
            threads,
            drained,
            drain_delay: self.config.server.drain_delay,
            drain_timeout: self.config.server.drain_timeout,
            unix_paths,
            log: self.log.map(|(_, writer)| writer),
        })
    }
}

/// One worker: its listeners, its connections, its housekeeping.
async fn work(
    sockets: Vec<WorkerListener>,
    services: Services,
    mut shutdown: Shutdown,
    log: Option<Arc<AccessLog>>,
) {
    let mut stopping = shutdown.clone();
    let tasks = TaskTracker::new();
    let mut listening = JoinSet::new();
    for socket in sockets {
        listening.spawn(socket.run(services.clone(), shutdown.clone(), tasks.clone()));
    }
    drop(services);
    let keeping = async {
        loop {
            tokio::time::sleep(HOUSEKEEPING).await;
            pool::sweep(tokio::time::Instant::now());
            if let Some(log) = &log {
                log.flush();
            }
        }
    };
    let serving = async {
        while let Some(ended) = listening.join_next().await {
            if let Ok(Err(error)) = ended {
                tracing::error!(%error, "listener ended");
            }
        }
        shutdown.reached(Phase::Draining).await;
        tasks.close();
        tasks.wait().await;
    };
    tokio::select! {
        () = serving => {}
        () = keeping => {}
        // Returning drops the event loop and every connection on it.
        () = stopping.reached(Phase::Stopping) => {}
    }
    pool::clear();
}

impl Running {
    /// The bound address of each listener, in the config's order; `None` for a unix socket.
    #[must_use]
    pub fn addresses(&self) -> &[Option<SocketAddr>] {
        &self.addresses
    }

    /// Drains: keeps accepting for `drain_delay`, then lets running requests finish for at most
    /// `drain_timeout`. Cancelling the future leaves the drain where it is; [`Running::stop`] goes on.
    pub async fn drain(&mut self) {
        tokio::time::sleep(self.drain_delay).await;
        self.trigger.advance(Phase::Draining);
        // The channel ends when every worker has let go of its half.
        let ended = tokio::time::timeout(self.drain_timeout, self.drained.recv()).await;
        if ended.is_err() {
            tracing::warn!("drain timeout: cutting the connections that are left");
        }
    }

    /// Stops now: cuts what is left, waits for the threads, writes out the access log.
    pub fn stop(self) {
        self.trigger.advance(Phase::Stopping);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
        for path in &self.unix_paths {
            if let Err(error) = std::fs::remove_file(path) {
                tracing::debug!(path = %path.display(), %error, "cannot remove the socket file");
            }
        }
        if let Some(log) = self.log {
            log.finish();
        }
    }
}
