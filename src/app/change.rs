//! A config into something that serves: the first one, and every later one while requests go on.
//!
//! The order is that of a start: routes are built and new addresses bound before anything changes, so
//! a config that cannot be served changes nothing. Then certificates, routes and settings of the
//! listeners are swapped. A request finishes on the route it began on; connections keep the settings
//! they began with; an upstream that stays the same keeps its addresses and connections. What a
//! running process cannot change is put back and named: see
//! [`Changed::needs_restart`].

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use tokio::sync::watch;

use crate::app::StartError;
use crate::app::state::State;
use crate::config::{Address, Certificate, Config, Listener};
use crate::listener::bind::Inherited;
use crate::listener::tls::{self, CertificateTable, Certificates};
use crate::listener::{Listening, Places, WorkerListener};
use crate::net::unix;
use crate::origin::dns::Engine;
use crate::route::{Router, build};

/// Descriptors kept for everything that is not a client or upstream connection.
const SPARE_DESCRIPTORS: u64 = 64;

/// What a new config has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Addresses listened on from now on.
    pub added: Vec<String>,
    /// Addresses that are given up; their connections finish.
    pub removed: Vec<String>,
    /// Keys whose change waits for a restart.
    pub needs_restart: Vec<&'static str>,
}

/// Holds what a config is turned into.
#[derive(Debug)]
pub(super) struct Shaper {
    config: Config,
    engine: Arc<Engine>,
    provider: Arc<CryptoProvider>,
    certificates: Arc<Certificates>,
    router: watch::Sender<Arc<Router>>,
    workers: usize,
    inherited: Inherited,
    state: Arc<State>,
}

impl Shaper {
    /// Builds and binds the first config.
    pub(super) fn first(
        config: Config,
        engine: Arc<Engine>,
        workers: usize,
        state: Arc<State>,
        inherited: Inherited,
    ) -> Result<(Self, Vec<WorkerListener>), StartError> {
        let provider = Arc::new(tls::provider());
        let router = build::router(&config, &engine, &state.upstreams, &provider)
            .map_err(StartError::Route)?;
        let table = CertificateTable::new(&config.certificates);
        state.set_certificates(&config.certificates);
        state.routes().clone_from(&router.routes);
        let mut shaper = Self {
            engine,
            provider,
            certificates: Arc::new(Certificates::new(table)),
            router: watch::Sender::new(Arc::new(router)),
            workers,
            inherited,
            state,
            config,
        };
        let mut bound = Vec::new();
        for listener in shaper.config.listeners.clone() {
            let (listening, sockets) = shaper.bind(&listener)?;
            shaper.state.listeners().push(listening);
            bound.extend(sockets);
        }
        shaper.inherited.forget_unused();
        Ok((shaper, bound))
    }

    pub(super) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn router(&self) -> watch::Receiver<Arc<Router>> {
        self.router.subscribe()
    }

    fn server_config(
        &self,
        listener: &Listener,
    ) -> Result<Option<Arc<rustls::ServerConfig>>, StartError> {
        if !listener.tls {
            return Ok(None);
        }
        let (certificates, provider) = (Arc::clone(&self.certificates), Arc::clone(&self.provider));
        tls::server_config(certificates, listener.http2, provider)
            .map(Some)
            .map_err(StartError::Tls)
    }

    fn bind(
        &mut self,
        listener: &Listener,
    ) -> Result<(Listening, Vec<WorkerListener>), StartError> {
        let tls = self.server_config(listener)?;
        let places = places(listener);
        let bound = Listening::bind(listener, tls, self.workers, places, &mut self.inherited);
        let (listening, sockets) = bound.map_err(|error| StartError::Bind {
            address: listener.address.to_string(),
            error,
        })?;
        tracing::info!(
            address = %listening.label(), tls = listener.tls, connections = places.served, "listening"
        );
        Ok((listening, sockets))
    }

    /// Serves `config` from now on, or changes nothing.
    pub(super) fn change(
        &mut self,
        mut config: Config,
    ) -> Result<(Changed, Vec<WorkerListener>), StartError> {
        let needs_restart = keep_fixed(&self.config, &mut config);
        let router = build::router(&config, &self.engine, &self.state.upstreams, &self.provider)
            .map_err(StartError::Route)?;
        let state = Arc::clone(&self.state);
        // Which listener of now each new one goes on with; port 0 is taken in order.
        let mut free: Vec<Option<Address>> = state
            .listeners()
            .iter()
            .map(|known| Some(known.config.address.clone()))
            .collect();
        let mut changed = Changed {
            needs_restart,
            ..Changed::default()
        };
        let mut plan = Vec::with_capacity(config.listeners.len());
        let mut bound = Vec::new();
        for listener in &config.listeners {
            let known = free
                .iter()
                .position(|known| known.as_ref() == Some(&listener.address));
            match known {
                Some(place) => {
                    if let Some(known) = free.get_mut(place) {
                        *known = None;
                    }
                    plan.push(Plan::Keep(place, self.server_config(listener)?));
                }
                None => {
                    let (listening, sockets) = match self.bind(listener) {
                        Ok(bound) => bound,
                        Err(error) => {
                            forget(&plan);
                            return Err(error);
                        }
                    };
                    changed.added.push(listening.label().to_string());
                    bound.extend(sockets);
                    plan.push(Plan::New(Box::new(listening)));
                }
            }
        }
        // From here on nothing fails.
        self.certificates
            .replace(CertificateTable::new(&config.certificates));
        self.state.set_certificates(&config.certificates);
        state.routes().clone_from(&router.routes);
        self.router.send_replace(Arc::new(router));
        let mut listeners = state.listeners();
        let mut known: Vec<Option<Listening>> = std::mem::take(&mut *listeners)
            .into_iter()
            .map(Some)
            .collect();
        for (plan, config) in plan.into_iter().zip(&config.listeners) {
            match plan {
                Plan::New(listening) => listeners.push(*listening),
                Plan::Keep(place, tls) => {
                    let Some(mut listening) = known.get_mut(place).and_then(Option::take) else {
                        continue;
                    };
                    if listening.config != *config {
                        listening.change(config, tls, places(config));
                    }
                    listeners.push(listening);
                }
            }
        }
        for mut listening in known.into_iter().flatten() {
            changed.removed.push(listening.label().to_string());
            if let Address::Passed(_) = &listening.config.address {
                // systemd passes it once only: a later config may name it again.
                for socket in listening.hand_on().unwrap_or_default() {
                    self.inherited
                        .push(listening.config.address.to_string(), socket);
                }
            }
            listening.drain();
            if let Address::Unix(path) = &listening.config.address {
                unix::remove_closed(path);
            }
        }
        drop(listeners);
        // Those that are new know it, too.
        state.settle_clients();
        self.state.note_taken();
        self.config = config;
        Ok((changed, bound))
    }

    /// Reads the files of the certificates at `places` again; those that cannot be used stay as they
    /// are. The errors, one per certificate.
    pub(super) fn renew_certificates(&mut self, places: &[usize]) -> Vec<String> {
        let mut errors = Vec::new();
        let renewed: Vec<Certificate> = self
            .config
            .certificates
            .iter()
            .enumerate()
            .map(|(place, certificate)| {
                if !places.contains(&place) {
                    return certificate.clone();
                }
                certificate.read_again().unwrap_or_else(|error| {
                    errors.push(error);
                    certificate.clone()
                })
            })
            .collect();
        self.certificates.replace(CertificateTable::new(&renewed));
        self.state.set_certificates(&renewed);
        self.config.certificates = renewed;
        errors
    }
}

enum Plan {
    Keep(usize, Option<Arc<rustls::ServerConfig>>),
    New(Box<Listening>),
}

/// Removes the socket files of listeners that will not be.
fn forget(plan: &[Plan]) {
    for plan in plan {
        if let Plan::New(listening) = plan
            && let Address::Unix(path) = &listening.config.address
        {
            unix::remove_closed(path);
        }
    }
}

/// Puts back what a running process cannot change; the keys that differed. The table of what needs a
/// restart.
fn keep_fixed(now: &Config, new: &mut Config) -> Vec<&'static str> {
    let mut differ = Vec::new();
    let mut keep = |key, is_same: bool| {
        if !is_same {
            differ.push(key);
        }
    };
    keep("server.workers", now.server.workers == new.server.workers);
    keep("server.probe", now.server.probe == new.server.probe);
    keep("dns", now.dns == new.dns);
    keep("admin", now.admin == new.admin);
    keep("log.access", now.log.access == new.log.access);
    keep(
        "log.access_file",
        now.log.access_file == new.log.access_file,
    );
    keep("log.error_file", now.log.error_file == new.log.error_file);
    new.server.workers = now.server.workers;
    new.server.probe = now.server.probe;
    new.dns = now.dns.clone();
    new.admin = now.admin.clone();
    let level = new.log.level;
    new.log = now.log.clone();
    new.log.level = level;
    differ
}

/// How many connections a listener may have. Each served one may need another one to OSS.
fn places(listener: &Listener) -> Places {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let refused = (limit / 8).clamp(8, 64);
    let served = limit.saturating_sub(SPARE_DESCRIPTORS + refused) / 2;
    Places {
        served: match listener.max_connections {
            0 => usize::try_from(served).unwrap_or(usize::MAX).max(16),
            most => most,
        },
        turned_away: usize::try_from(refused).unwrap_or(64),
    }
}
