//! From a bound address to connections: sockets, the accept loop, the limit on connections.
//!
//! Serves any cloneable service and knows no router. Every worker has its own listening socket on the
//! same address (SO_REUSEPORT), and the kernel spreads the connections over them. When descriptors
//! run out the loop pauses instead of spinning; when the limit is reached it stops accepting until a
//! connection ends, and clients wait in the kernel's queue.

pub mod accept;
pub mod bind;
pub mod chatter;
pub mod connection;
pub mod cork;
pub mod deadline;
mod greeting;
pub mod io;
pub mod proxy_protocol;
mod refusal;
pub mod service;
pub mod streams;
pub mod tls;

use std::convert::Infallible;
use std::io as std_io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tower::Service;

use crate::config::{Address, Limits, Listener, ProxyProtocol, Timeouts};
use crate::http::Received;
use crate::http::context::ConnectionInfo;
use crate::http::forwarded;
pub use crate::listener::accept::WorkerListener;
use crate::listener::accept::{Counters, Permits};
use crate::listener::bind::{Bound, Inherited};
use crate::listener::deadline::Deadlines;
use crate::shutdown::{self, Phase, Trigger};

/// Makes the service of one connection.
pub trait MakeService<B>: Clone + Send + 'static {
    /// The service.
    type Service: Service<
            Received,
            Response = http::Response<B>,
            Error = Infallible,
            Future: Unpin + Send + 'static,
        > + Send
        + Unpin
        + 'static;

    /// The service for the connection `info` describes.
    fn make(&self, info: Arc<ConnectionInfo>) -> Self::Service;
}

/// What all workers of one listener share.
pub struct Shared {
    /// The address as the config writes it.
    pub label: Arc<str>,
    timeouts: Timeouts,
    limits: Limits,
    has_http2: bool,
    tls: Option<TlsAcceptor>,
    proxy_protocol: ProxyProtocol,
    trusted: Arc<[ipnet::IpNet]>,
    health_path: Option<Arc<str>>,
    /// Kept when the settings change, as the counters are.
    permits: Arc<Permits>,
    counters: Arc<Counters>,
}

/// For the head of a request that will be refused.
const REFUSED_HEADER: Duration = Duration::from_secs(2);
/// How often it is said that connections have no PROXY header.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// How many connections a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Served.
    pub served: usize,
    /// Over that: answered 503, with `Retry-After`. Above both, clients wait in the kernel's queue.
    pub refused: usize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn new(
        label: Arc<str>,
        config: &Listener,
        tls: Option<TlsAcceptor>,
        counters: Arc<Counters>,
        permits: Arc<Permits>,
    ) -> Self {
        Self {
            label,
            timeouts: config.timeouts.clone(),
            limits: config.limits.clone(),
            has_http2: config.http2,
            tls,
            proxy_protocol: config.proxy_protocol,
            trusted: config.trusted_proxies.clone().into(),
            health_path: config.health_path.as_deref().map(Into::into),
            permits,
            counters,
        }
    }

    /// Whether a peer with this address says who its clients are.
    #[must_use]
    pub fn trusts(&self, peer: std::net::IpAddr) -> bool {
        forwarded::is_in(&self.trusted, peer)
    }

    /// For a request's head. A connection that will be refused gets less: others wait for its place.
    fn header_timeout(&self, is_refused: bool) -> Duration {
        if is_refused {
            self.timeouts.header.min(REFUSED_HEADER)
        } else {
            self.timeouts.header
        }
    }

    /// The deadlines of a connection that begins now.
    fn deadlines(&self, is_refused: bool) -> Deadlines {
        let timeouts = Timeouts {
            header: self.header_timeout(is_refused),
            ..self.timeouts.clone()
        };
        Deadlines::new(&timeouts, Instant::now())
    }

    /// Notes a connection that was closed for want of a proper PROXY header. Said once a minute: where
    /// the balancer is set up otherwise, it is every connection.
    fn note_stranger(&self, peer: Option<SocketAddr>, why: &dyn std::fmt::Display) {
        let so_far = self.counters.strangers.fetch_add(1, Relaxed) + 1;
        let now = Instant::now();
        let mut told = self
            .counters
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY) {
            *told = Some(now);
            tracing::warn!(listener = %self.label, ?peer, %why, so_far, "connections closed: no PROXY header to go by");
        }
    }

    /// Whether clients speak TLS here.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

/// A listener that is bound: who holds it decides over its settings and its end.
#[derive(Debug)]
pub struct Listening {
    /// As the config has it now.
    pub config: Listener,
    /// The address really bound, for port 0; absent on a unix socket.
    pub local: Option<SocketAddr>,
    /// Begins its end.
    pub trigger: Trigger,
    settings: watch::Sender<Arc<Shared>>,
    /// Held for the process that may come after this one.
    sockets: Vec<Bound>,
}

impl Listening {
    /// Binds `config`; the sockets are for the workers, in turn.
    ///
    /// # Errors
    ///
    /// Those of [`bind::sockets`].
    pub fn bind(
        config: &Listener,
        tls: Option<Arc<rustls::ServerConfig>>,
        workers: usize,
        places: Places,
        inherited: &mut Inherited,
    ) -> std_io::Result<(Self, Vec<WorkerListener>)> {
        let (local, sockets) = bind::sockets(&config.address, workers, inherited)?;
        // With port 0 the config does not say where.
        let label = match &config.address {
            Address::Tcp(_) => local.map(|local| local.to_string()),
            _ => None,
        };
        let label = label.unwrap_or_else(|| config.address.to_string());
        let tls = tls.map(TlsAcceptor::from);
        let shared = Arc::new(Shared::new(
            label.into(),
            config,
            tls,
            Arc::default(),
            Arc::new(Permits::new(places)),
        ));
        let (trigger, shutdown) = shutdown::channel();
        let settings = watch::Sender::new(shared);
        let kept = sockets
            .iter()
            .map(Bound::try_clone)
            .collect::<std_io::Result<Vec<_>>>()?;
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

    /// New settings, for the connections that come from now on. The address stays.
    pub fn change(
        &mut self,
        config: &Listener,
        tls: Option<Arc<rustls::ServerConfig>>,
        places: Places,
    ) {
        let tls = tls.map(TlsAcceptor::from);
        let permits = Arc::clone(&self.settings.borrow().permits);
        permits.resize(places);
        let shared = Shared::new(self.label(), config, tls, self.counters(), permits);
        self.settings.send_replace(Arc::new(shared));
        self.config = config.clone();
    }

    /// Copies of the sockets, to be handed on.
    ///
    /// # Errors
    ///
    /// When descriptors have run out.
    pub fn hand_on(&self) -> std_io::Result<Vec<Bound>> {
        self.sockets.iter().map(Bound::try_clone).collect()
    }

    /// The label of its connections in logs.
    #[must_use]
    pub fn label(&self) -> Arc<str> {
        Arc::clone(&self.settings.borrow().label)
    }

    fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.settings.borrow().counters)
    }

    /// Open connections.
    #[must_use]
    pub fn connections(&self) -> u64 {
        let counters = self.counters();
        // In this order: a connection that ends in between is counted as open, not as minus one.
        let ended = counters.ended.load(Relaxed);
        counters.accepted.load(Relaxed).saturating_sub(ended)
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.counters().accepted.load(Relaxed)
    }

    /// Those of them that were answered 503 for lack of room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.counters().refused.load(Relaxed)
    }

    /// Connections closed for want of a proper PROXY header.
    #[must_use]
    pub fn strangers(&self) -> u64 {
        self.counters().strangers.load(Relaxed)
    }

    /// Stops accepting once what waits in the kernel's queue has been accepted; connections end after
    /// their next answer.
    pub fn drain(&mut self) {
        // A copy that stays open would keep the address alive with nobody to accept.
        self.sockets.clear();
        self.trigger.advance(Phase::Draining);
    }
}
