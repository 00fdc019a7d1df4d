//! The only place where the parts meet: builds everything from a config, binds, runs, ends.
//!
//! The order of a start: certificates and routes are built, every listener is bound, then workers and
//! control tasks start. So a config that cannot be served stops the start before anything is served;
//! [`change`] has the same order for a new config. The order of an end: accepting stops, running
//! requests finish within `drain_timeout`, the rest is cut, the access log is written out.

pub mod change;
mod error;
mod gauges;
pub mod state;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::app::change::Shaper;
pub use crate::app::error::StartError;
use crate::app::state::{ReloadState, State};
use crate::app::worker::{Services, Worker};
use crate::config::{Address, Config};
use crate::health::Health;
use crate::http::access::{AccessLayer, Recorder};
use crate::listener::WorkerListener;
use crate::listener::bind::{Bound, Inherited};
use crate::net::unix;
use crate::origin::upstream::Upstreams;
use crate::origin::{condition, dns};
use crate::route::RouterService;
use crate::runtime;
use crate::shutdown::{self, Phase, Shutdown, Trigger};
use crate::telemetry::access_log::{self, AccessLog};
use crate::telemetry::metrics::RequestMetrics;
use crate::telemetry::sink::SharedSink;

/// A proxy that is bound and not yet serving.
#[derive(Debug)]
pub struct App {
    shaper: Shaper,
    bound: Vec<WorkerListener>,
    workers: usize,
    dns: dns::Runner,
    access: AccessLayer,
    log: Option<(Arc<AccessLog>, Option<access_log::Writer>)>,
}

/// Builds everything `config` asks for and binds its listeners. `access_sink` takes the access lines;
/// `seed` keeps the request ids of two processes apart.
///
/// # Errors
///
/// [`StartError`]; nothing has been served then.
pub fn build(config: Config, access_sink: SharedSink, seed: u64) -> Result<App, StartError> {
    build_on(config, access_sink, seed, Inherited::default())
}

/// [`build`] on listening sockets that this process was started with.
///
/// # Errors
///
/// [`StartError`]; nothing has been served then.
pub fn build_on(
    config: Config,
    access_sink: SharedSink,
    seed: u64,
    inherited: Inherited,
) -> Result<App, StartError> {
    let (engine, dns) =
        dns::engine(&config.dns).map_err(|error| StartError::Dns(error.to_string()))?;
    let workers = runtime::worker_count(config.server.workers);
    // Without an admin listener nobody asks for the counters.
    let requests = config
        .admin
        .as_ref()
        .map(|_| Arc::<RequestMetrics>::default());
    let log = access_log::start(config.log.access, access_sink, requests.clone())
        .map_err(StartError::System)?;
    let state = Arc::new(State {
        health: Arc::new(Health::default()),
        upstreams: Arc::new(Upstreams::default()),
        listeners: Mutex::default(),
        routes: Mutex::default(),
        certificates: Mutex::default(),
        reloads: Mutex::new(ReloadState {
            is_good: true,
            taken_at: state::unix_now(),
            taken: 1,
            refused: 0,
        }),
        requests,
        lost_lines: log.as_ref().map(|(log, _)| log.lost_lines()),
        started: Instant::now(),
    });
    let recorder = log
        .as_ref()
        .map(|(log, _)| Arc::clone(log) as Arc<dyn Recorder>);
    let (shaper, bound) = Shaper::first(config, engine, workers, state, inherited)?;
    Ok(App {
        access: AccessLayer::new(recorder, seed),
        shaper,
        bound,
        workers,
        dns,
        log,
    })
}

/// A serving proxy. Dropping it does not stop it: use [`Running::stop`].
#[derive(Debug)]
pub struct Running {
    shaper: Shaper,
    trigger: Trigger,
    threads: Vec<JoinHandle<()>>,
    drained: mpsc::Receiver<()>,
    /// One per worker: listeners of a new config.
    listeners: Vec<mpsc::UnboundedSender<WorkerListener>>,
    /// Listeners that nobody accepts from yet.
    waiting: Vec<WorkerListener>,
    log: Option<access_log::Writer>,
    /// Since when it has been leaving its load balancer by command.
    left_at: Option<Instant>,
    /// Whether another process has taken over the sockets.
    is_succeeded: bool,
}

impl App {
    /// Starts workers and control tasks, and accepts connections.
    ///
    /// # Errors
    ///
    /// [`StartError::System`] when a thread cannot be had.
    pub fn start(self) -> Result<Running, StartError> {
        let mut running = self.start_closed()?;
        running.open();
        Ok(running)
    }

    /// [`App::start`] without accepting: connections wait, or are served by the process before this
    /// one, until [`Running::open`].
    ///
    /// # Errors
    ///
    /// [`StartError::System`] when a thread cannot be had.
    pub fn start_closed(self) -> Result<Running, StartError> {
        let (trigger, shutdown) = shutdown::channel();
        let (alive, drained) = mpsc::channel::<()>(1);
        let state = self.shaper.state();
        let mut threads = Vec::with_capacity(self.workers + 1);
        threads.push(start_control(
            self.dns,
            &state,
            self.shaper.config().server.probe,
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
                    router: RouterService::new(self.shaper.router(), Arc::clone(&state.health)),
                },
                shutdown: shutdown.clone(),
                log,
                metrics: state.requests.clone(),
            };
            let run = move || async move {
                worker.run().await;
                drop(alive);
            };
            // Requests that are cut with the event loop are logged too.
            let finish = move || last_lines.iter().for_each(|log| log.flush());
            let worker = runtime::spawn_worker(format!("worker-{index}"), run, finish);
            threads.push(worker.map_err(StartError::System)?);
        }
        Ok(Running {
            shaper: self.shaper,
            trigger,
            threads,
            drained,
            listeners,
            waiting: self.bound,
            log: self.log.and_then(|(_, writer)| writer),
            left_at: None,
            is_succeeded: false,
        })
    }
}

/// The control thread: resolves names and watches the endpoints.
fn start_control(
    dns: dns::Runner,
    state: &Arc<State>,
    probe: Duration,
    mut shutdown: Shutdown,
) -> Result<JoinHandle<()>, StartError> {
    let state = Arc::clone(state);
    let control = async move {
        let report = |found: condition::Condition| {
            let text = found.troubles.join("; ");
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
            () = condition::watch(|| state.endpoints(), probe, report) => {}
            () = shutdown.reached(Phase::Stopping) => {}
        }
    };
    runtime::spawn_worker("control".into(), move || control, || ()).map_err(StartError::System)
}

impl Running {
    /// The bound address of each listener, in the config's order; `None` for a unix socket.
    #[must_use]
    pub fn addresses(&self) -> Vec<Option<SocketAddr>> {
        let state = self.state();
        let listeners = state.listeners();
        listeners.iter().map(|listener| listener.local).collect()
    }

    /// What the admin listener shows.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.shaper.state()
    }

    /// The config that is served.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.shaper.config()
    }

    /// A thread that has ended though nothing was to end: the proxy is not whole any more.
    #[must_use]
    pub fn lost_thread(&self) -> Option<&str> {
        runtime::ended(&self.threads)
    }

    /// Accepts connections.
    pub fn open(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.give_out(waiting);
    }

    fn give_out(&mut self, bound: Vec<WorkerListener>) {
        for (index, listener) in bound.into_iter().enumerate() {
            let worker = self.listeners.get(index % self.listeners.len().max(1));
            // A worker that is gone is ending; so is the listener then.
            if worker.is_some_and(|worker| worker.send(listener).is_err()) {
                tracing::error!("a worker has ended");
            }
        }
    }

    /// Serves `config` from now on, or changes nothing.
    ///
    /// # Errors
    ///
    /// [`StartError`] when a listener cannot be bound, or a route not be built.
    pub fn change(&mut self, config: Config) -> Result<change::Changed, StartError> {
        let (changed, bound) = self.shaper.change(config)?;
        self.give_out(bound);
        Ok(changed)
    }

    /// Reads the files of the certificates at `places` of the config again. What cannot be used leaves the certificate as it is;
    /// the reasons are given back.
    pub fn renew_certificates(&mut self, places: &[usize]) -> Vec<String> {
        self.shaper.renew_certificates(places)
    }

    /// Copies of all listening sockets with the addresses they are for, to be handed on.
    ///
    /// # Errors
    ///
    /// When descriptors have run out.
    pub fn sockets(&self) -> io::Result<Vec<(String, Bound)>> {
        let mut sockets = Vec::new();
        for listener in &*self.state().listeners() {
            let address = listener.config.address.to_string();
            for socket in listener.hand_on()? {
                sockets.push((address.clone(), socket));
            }
        }
        Ok(sockets)
    }

    /// Leaves the load balancer, or comes back: readiness changes at once, and while the node is
    /// leaving, clients are asked to connect anew after each answer. Nothing else stops.
    pub fn set_leaving(&mut self, is_leaving: bool) {
        self.left_at = is_leaving.then(|| self.left_at.unwrap_or_else(Instant::now));
        let state = self.state();
        state.health.set_leaving(is_leaving);
        state.settle_clients();
    }

    /// Whether another process has taken over the sockets.
    #[must_use]
    pub fn is_succeeded(&self) -> bool {
        self.is_succeeded
    }

    /// Another process serves the same sockets: what is drained from now on is not missed.
    pub fn set_succeeded(&mut self) {
        self.is_succeeded = true;
    }

    /// Drains: readiness goes, accepting goes on for `drain_delay`, then running requests may finish
    /// for at most `drain_timeout`. With a successor there is nothing to wait for before that.
    /// Cancelling the future leaves the drain where it is; [`Running::stop`] goes on.
    pub async fn drain(&mut self) {
        let server = self.config().server.clone();
        let state = self.state();
        if !self.is_succeeded {
            state.health.set_leaving(true);
            // The balancer has been told before, if the node was made to leave.
            let told = self.left_at.map_or(Duration::ZERO, |left| left.elapsed());
            tokio::time::sleep(server.drain_delay.saturating_sub(told)).await;
        }
        for listener in &mut *state.listeners() {
            listener.drain();
        }
        self.trigger.advance(Phase::Draining);
        // The channel ends when every worker has let go of its half.
        let ended = tokio::time::timeout(server.drain_timeout, self.drained.recv()).await;
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
        let state = self.shaper.state();
        for listener in &*state.listeners() {
            if let Address::Unix(path) = &listener.config.address
                && !self.is_succeeded
            {
                unix::remove_closed(path);
            }
        }
        if let Some(log) = self.log {
            log.finish();
        }
    }
}
