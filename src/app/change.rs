//! The config in use and everything built from it, at the start and at every reload.
//!
//! A reload has the same order as a start: routes are built and new addresses are bound before anything
//! changes. Therefore a config that cannot be served changes nothing. Then certificates, routes and listener
//! settings are replaced. A request finishes on the route that it started on. A connection keeps the settings
//! that it started with. An endpoint whose settings are unchanged keeps its upstream addresses and
//! connections. Keys that a running process cannot change keep their values and are listed in
//! [`Changed::needs_restart`].

pub mod lists;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use tokio::sync::watch;

use crate::app::error::StartError;
use crate::app::state::State;
use crate::config::{Address, Certificate, Config, Listener};
use crate::listener::bind::Inherited;
use crate::listener::certificate_table::CertificateTable;
use crate::listener::tls::{Certificates, TlsSettings};
use crate::listener::{Listening, Places, WorkerListener};
use crate::net::unix;
use crate::route::{Router, build};

/// The number of descriptors reserved for everything except client and upstream connections.
const SPARE_DESCRIPTORS: u64 = 64;

/// The changes of a reload.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The addresses of the new listeners.
    pub added: Vec<String>,
    /// The addresses of the closed listeners. Open connections of these listeners finish.
    pub removed: Vec<String>,
    /// The keys whose changes take effect only after a restart.
    pub needs_restart: Vec<&'static str>,
}

/// The config in use and everything built from it.
#[derive(Debug)]
pub(super) struct LiveConfig {
    config: Config,
    provider: Arc<CryptoProvider>,
    certificates: Arc<Certificates>,
    router: watch::Sender<Arc<Router>>,
    workers: usize,
    inherited: Inherited,
    state: Arc<State>,
}

impl LiveConfig {
    /// Builds everything for the first config and binds its listeners.
    ///
    /// # Errors
    ///
    /// [`StartError::Route`], [`StartError::Tls`] and [`StartError::Bind`].
    pub(super) fn first(
        config: Config,
        provider: Arc<CryptoProvider>,
        workers: usize,
        state: Arc<State>,
        inherited: Inherited,
    ) -> Result<(Self, Vec<WorkerListener>), StartError> {
        let router = build::router(
            &config,
            &state.registry,
            &state.referer_reports,
            &state.credentials,
        )
        .map_err(StartError::Route)?;
        let table = CertificateTable::new(&config.certificates);
        state.set_certificates(&config.certificates);
        state.routes().clone_from(&router.routes);
        let mut live = Self {
            provider,
            certificates: Arc::new(Certificates::new(table)),
            router: watch::Sender::new(Arc::new(router)),
            workers,
            inherited,
            state,
            config,
        };
        let mut bound = Vec::new();
        for listener in live.config.listeners.clone() {
            let (listening, sockets) = live.bind(&listener)?;
            live.state.listeners().push(listening);
            bound.extend(sockets);
        }
        live.inherited.forget_unused();
        Ok((live, bound))
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

    /// Returns the TLS settings of `listener`, or `None` for a listener without TLS.
    fn server_config(&self, listener: &Listener) -> Result<Option<TlsSettings>, StartError> {
        if !listener.tls {
            return Ok(None);
        }
        let (certificates, provider) = (Arc::clone(&self.certificates), Arc::clone(&self.provider));
        TlsSettings::new(certificates, listener.http2, provider)
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

    /// Serves `config` from now on. On an error nothing changes. Returns the new listeners for the
    /// workers.
    ///
    /// # Errors
    ///
    /// [`StartError::Route`], [`StartError::Tls`] and [`StartError::Bind`].
    pub(super) fn change(
        &mut self,
        mut config: Config,
    ) -> Result<(Changed, Vec<WorkerListener>), StartError> {
        let needs_restart = keep_fixed(&self.config, &mut config);
        let state = Arc::clone(&self.state);
        let router = build::router(
            &config,
            &state.registry,
            &state.referer_reports,
            &state.credentials,
        )
        .map_err(StartError::Route)?;
        // The current listeners by address. A listener that the new config keeps is removed from this map.
        // Several listeners can have the same address with port 0; these are matched in order.
        let mut free: HashMap<Address, VecDeque<usize>> = HashMap::new();
        for (place, known) in state.listeners().iter().enumerate() {
            let address = known.config.address.clone();
            free.entry(address).or_default().push_back(place);
        }
        let mut changed = Changed {
            needs_restart,
            ..Changed::default()
        };
        let mut steps = Vec::with_capacity(config.listeners.len());
        let mut bound = Vec::new();
        for listener in &config.listeners {
            let known = free.get_mut(&listener.address);
            match known.and_then(VecDeque::pop_front) {
                Some(place) => {
                    steps.push(ListenerStep::Keep(place, self.server_config(listener)?));
                }
                None => {
                    let (listening, sockets) = match self.bind(listener) {
                        Ok(bound) => bound,
                        Err(error) => {
                            forget(&steps);
                            return Err(error);
                        }
                    };
                    changed.added.push(listening.label().to_string());
                    bound.extend(sockets);
                    steps.push(ListenerStep::Add(Box::new(listening)));
                }
            }
        }
        // Nothing from here on can fail.
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
        for (step, config) in steps.into_iter().zip(&config.listeners) {
            match step {
                ListenerStep::Add(listening) => listeners.push(*listening),
                ListenerStep::Keep(place, tls) => {
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
                // systemd passes each socket only once. The socket is kept, because a later config may name
                // it again.
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
        // While this node is draining, clients of the new listeners must also be made to reconnect.
        state.settle_clients();
        self.state.note_taken();
        self.config = config;
        Ok((changed, bound))
    }

    /// Reads the files of some certificates again. `indexes` are their indexes in the config. A certificate
    /// whose files cannot be used keeps its previous version. Returns one error per such certificate.
    pub(super) fn renew_certificates(&mut self, indexes: &[usize]) -> Vec<String> {
        let mut errors = Vec::new();
        let indexes: HashSet<usize> = indexes.iter().copied().collect();
        let renewed: Vec<Certificate> = self
            .config
            .certificates
            .iter()
            .enumerate()
            .map(|(index, certificate)| {
                if !indexes.contains(&index) {
                    return certificate.clone();
                }
                match certificate.read_again() {
                    Ok(renewed) => {
                        self.state.forget_warnings(index);
                        renewed
                    }
                    Err(error) => {
                        errors.push(error.to_string());
                        certificate.clone()
                    }
                }
            })
            .collect();
        self.certificates.replace(CertificateTable::new(&renewed));
        self.state.set_certificates(&renewed);
        self.config.certificates = renewed;
        errors
    }
}

/// The step of a reload for one listener of the new config.
enum ListenerStep {
    /// Keeps the current listener at this index, and gives it these TLS settings.
    Keep(usize, Option<TlsSettings>),
    /// Adds a listener that has been bound.
    Add(Box<Listening>),
}

/// Removes the socket files of listeners that were bound for a config that cannot be served.
fn forget(steps: &[ListenerStep]) {
    for step in steps {
        if let ListenerStep::Add(listening) = step
            && let Address::Unix(path) = &listening.config.address
        {
            unix::remove_closed(path);
        }
    }
}

/// Copies from `now` to `new` the values that a running process cannot change, and returns the keys whose
/// values differed. This function names every key whose change needs a restart.
fn keep_fixed(now: &Config, new: &mut Config) -> Vec<&'static str> {
    let mut differ = Vec::new();
    let mut keep = |key, is_same: bool| {
        if !is_same {
            differ.push(key);
        }
    };
    keep("server.workers", now.server.workers == new.server.workers);
    keep("server.probe", now.server.probe == new.server.probe);
    keep(
        "server.probe_path",
        now.server.probe_path == new.server.probe_path,
    );
    keep(
        "server.retry_buffer",
        now.server.retry_buffer == new.server.retry_buffer,
    );
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
    new.server.probe_path.clone_from(&now.server.probe_path);
    new.server.retry_buffer = now.server.retry_buffer;
    new.dns = now.dns.clone();
    new.admin = now.admin.clone();
    let level = new.log.level;
    new.log = now.log.clone();
    new.log.level = level;
    differ
}

/// Returns two limits of a listener: the number of connections that it serves, and the number of further
/// connections that get a 503 response. Each served connection may need another connection to OSS, so only
/// half of the descriptors are for client connections.
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
