//! The settings of a listener. A connection uses the same settings from its start to its end.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::{Limits, Listener, ProxyProtocol, Timeouts};
use crate::listener::deadline::Deadlines;
use crate::listener::places::{Admission, Counters, PlacePool};
use crate::listener::tls::TlsSettings;
use crate::net::ranges::IpRanges;

/// The maximum time for the head of a request on a connection over the listener's connection limit. The
/// time is short, because other clients wait for the permit of that connection.
const HEADER_WHEN_TURNED_AWAY: Duration = Duration::from_secs(2);

/// The settings of a listener, shared by its workers. A reload replaces them for connections accepted
/// after it.
pub(super) struct ListenerSettings {
    /// The listener's address as it appears in logs and metrics.
    pub(super) label: Arc<str>,
    pub(super) timeouts: Timeouts,
    pub(super) limits: Limits,
    pub(super) has_http2: bool,
    /// The TLS settings; `None` on a listener without TLS.
    pub(super) tls: Option<TlsSettings>,
    pub(super) proxy_protocol: ProxyProtocol,
    pub(super) trusted: Arc<IpRanges>,
    pub(super) health_path: Option<Arc<[u8]>>,
    /// The permits for connections. A reload keeps this object.
    pub(super) places: Arc<PlacePool>,
    /// The connection counters. A reload keeps this object.
    pub(super) counters: Arc<Counters>,
}

impl fmt::Debug for ListenerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerSettings")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

impl ListenerSettings {
    /// Creates the settings from `config`.
    pub(super) fn new(
        label: Arc<str>,
        config: &Listener,
        tls: Option<TlsSettings>,
        counters: Arc<Counters>,
        places: Arc<PlacePool>,
    ) -> Self {
        Self {
            label,
            timeouts: config.timeouts.clone(),
            limits: config.limits.clone(),
            has_http2: config.http2,
            tls,
            proxy_protocol: config.proxy_protocol,
            trusted: Arc::new(IpRanges::new(&config.trusted_proxies)),
            health_path: config.decoded_health_path().as_deref().map(Into::into),
            places,
            counters,
        }
    }

    /// Whether `peer` is a trusted proxy. The client address that a trusted proxy reports is believed.
    pub(super) fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.contains(peer)
    }

    /// Returns the time limit for the head of a request.
    pub(super) fn header_timeout(&self, admission: Admission) -> Duration {
        match admission {
            Admission::Served => self.timeouts.header,
            Admission::TurnedAway => self.timeouts.header.min(HEADER_WHEN_TURNED_AWAY),
        }
    }

    /// Returns the deadlines of a connection that begins now.
    pub(super) fn deadlines(&self, admission: Admission) -> Deadlines {
        let header = self.header_timeout(admission);
        Deadlines::new(header, self.timeouts.stall, Instant::now())
    }

    /// Counts a connection that is closed because its PROXY header is missing, malformed, late, or from an
    /// untrusted peer. Logs it unless such a connection was logged less than a minute ago.
    pub(super) fn note_bad_proxy_header(
        &self,
        peer: Option<SocketAddr>,
        reason: &dyn fmt::Display,
    ) {
        if let Some(so_far) = self.counters.bad_proxy_header.note(Instant::now()) {
            tracing::warn!(listener = %self.label, peer = peer.map(tracing::field::display), %reason, so_far, "connections closed: no usable PROXY header");
        }
    }
}
