//! Client connections, from a bound address to HTTP requests: listening sockets, accept loop, connection
//! limit, TLS and HTTP.
//!
//! The listener does not depend on the router: it calls the service that a [`MakeService`] creates. On a
//! TCP address, every worker has its own listening socket (SO_REUSEPORT), and the kernel distributes the
//! connections over these sockets. A connection passes through `accept_loop`, `handshake` and then
//! [`http1`] or [`http2`].

mod accept_loop;
pub mod bind;
pub mod certificate_table;
pub mod client_io;
mod closing;
mod connection;
mod deadline;
mod error;
mod first_bytes;
mod handshake;
pub mod http1;
pub mod http2;
mod make_service;
mod noted;
mod places;
pub mod proxy_protocol;
mod service;
mod settings;
mod streams;
pub mod tls;
mod tls_handshake;
mod tls_outcome;
pub mod tls_socket;
mod tracked_body;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use crate::config::{Address, Listener};
pub use crate::listener::accept_loop::WorkerListener;
use crate::listener::bind::{Bound, Inherited};
pub use crate::listener::make_service::MakeService;
pub use crate::listener::places::Places;
use crate::listener::places::{Counters, PlacePool};
use crate::listener::settings::ListenerSettings;
use crate::listener::tls::TlsSettings;
use crate::shutdown::{self, Phase, Trigger};

/// A bound listener. Its owner changes its settings and shuts it down.
#[derive(Debug)]
pub struct Listening {
    /// The current config of the listener.
    pub config: Listener,
    /// The bound address; `None` on a unix socket. If the config has port 0, this is the address with the
    /// port that the kernel chose.
    pub local: Option<SocketAddr>,
    /// Starts the listener's shutdown.
    pub trigger: Trigger,
    settings: watch::Sender<Arc<ListenerSettings>>,
    /// Duplicates of the sockets, for a process that may replace the current process.
    sockets: Vec<Bound>,
}

impl Listening {
    /// Binds the address of `config`. Returns at least one socket for each worker.
    ///
    /// # Errors
    ///
    /// The errors of [`bind::sockets`].
    pub fn bind(
        config: &Listener,
        tls: Option<TlsSettings>,
        workers: usize,
        places: Places,
        inherited: &mut Inherited,
    ) -> io::Result<(Self, Vec<WorkerListener>)> {
        let (local, sockets) = bind::sockets(&config.address, workers, inherited)?;
        // With port 0 the label has the port that the kernel chose.
        let label = match &config.address {
            Address::Tcp(_) => local.map(|local| local.to_string()),
            _ => None,
        };
        let label = label.unwrap_or_else(|| config.address.to_string());
        let settings = ListenerSettings::new(
            label.into(),
            config,
            tls,
            Arc::default(),
            Arc::new(PlacePool::new(places)),
        );
        let (trigger, shutdown) = shutdown::channel();
        let settings = watch::Sender::new(Arc::new(settings));
        let kept = sockets
            .iter()
            .map(Bound::try_clone)
            .collect::<io::Result<Vec<_>>>()?;
        let workers = sockets
            .into_iter()
            .map(|socket| WorkerListener {
                settings: settings.subscribe(),
                socket,
                shutdown: shutdown.clone(),
            })
            .collect();
        let listening = Self {
            config: config.clone(),
            local,
            trigger,
            settings,
            sockets: kept,
        };
        Ok((listening, workers))
    }

    /// Applies new settings to connections that are accepted after this call. The address does not change.
    pub fn change(&mut self, config: &Listener, tls: Option<TlsSettings>, places: Places) {
        let pool = Arc::clone(&self.settings.borrow().places);
        pool.resize(places);
        let settings = ListenerSettings::new(self.label(), config, tls, self.counters(), pool);
        self.settings.send_replace(Arc::new(settings));
        self.config = config.clone();
    }

    /// Returns duplicates of the sockets, for a process that replaces the current process.
    ///
    /// # Errors
    ///
    /// The OS error when descriptors have run out.
    pub fn hand_on(&self) -> io::Result<Vec<Bound>> {
        self.sockets.iter().map(Bound::try_clone).collect()
    }

    /// Returns the listener's address as it appears in logs and metrics.
    #[must_use]
    pub fn label(&self) -> Arc<str> {
        Arc::clone(&self.settings.borrow().label)
    }

    fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.settings.borrow().counters)
    }

    /// Returns the number of open connections.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.counters().open()
    }

    /// Returns the number of connections accepted since the listener was bound.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.counters().accepted()
    }

    /// Returns the number of connections that were answered 503 because the listener was full.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        self.counters().turned_away()
    }

    /// Returns the number of connections that were closed because their PROXY header was missing,
    /// malformed, late, or from an untrusted peer.
    #[must_use]
    pub fn bad_proxy_headers(&self) -> u64 {
        self.counters().bad_proxy_header.count()
    }

    /// Returns the number of TLS handshakes since the listener was bound, by their result. On a listener without
    /// TLS, only `tls_on_plain_port` is returned.
    #[must_use]
    pub fn tls_handshakes(&self) -> Vec<(&'static str, u64)> {
        self.counters().tls.all(self.config.tls)
    }

    /// Stops accepting, after the connections in the kernel's queue have been accepted. Open connections
    /// end after their next response.
    pub fn drain(&mut self) {
        // An open duplicate would keep the address bound although no worker accepts connections there.
        self.sockets.clear();
        self.trigger.advance(Phase::Draining);
    }
}
