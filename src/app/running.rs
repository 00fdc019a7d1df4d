//! A serving proxy, with its reload, drain, hand-over and shutdown.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::app::change::lists::RenewedLists;
use crate::app::change::{Changed, LiveConfig};
use crate::app::error::StartError;
use crate::app::state::State;
use crate::config::{Address, Config};
use crate::listener::WorkerListener;
use crate::listener::bind::Bound;
use crate::net::unix;
use crate::runtime;
use crate::shutdown::{Phase, Trigger};
use crate::telemetry::access_log;

/// A serving proxy. Dropping it does not stop the threads; [`Running::stop`] does.
#[derive(Debug)]
pub struct Running {
    parts: Parts,
    /// The time of the `drain` command that is in effect; `None` if there is none.
    left_at: Option<Instant>,
    /// Whether another process has taken over the sockets.
    is_replaced: bool,
}

/// The started parts of a proxy.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) live: LiveConfig,
    pub(super) trigger: Trigger,
    pub(super) threads: Vec<JoinHandle<()>>,
    /// The channel that closes when every worker has drained.
    pub(super) drained: mpsc::Receiver<()>,
    /// The channels that pass listeners to the workers, one per worker.
    pub(super) listeners: Vec<mpsc::UnboundedSender<WorkerListener>>,
    /// Bound listeners that have not been passed to a worker yet.
    pub(super) waiting: Vec<WorkerListener>,
    pub(super) log: Option<access_log::Writer>,
}

impl Running {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            left_at: None,
            is_replaced: false,
        }
    }

    /// Returns the bound address of each listener, in the order of the config; `None` for a Unix socket.
    #[must_use]
    pub fn addresses(&self) -> Vec<Option<SocketAddr>> {
        let state = self.state();
        let listeners = state.listeners();
        listeners.iter().map(|listener| listener.local).collect()
    }

    /// Returns the state that the admin listener shows.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.parts.live.state()
    }

    /// Returns the config in use.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.parts.live.config()
    }

    /// Returns the name of a thread that has ended before the shutdown; `None` when all threads run. Without
    /// one of its threads the proxy is incomplete.
    #[must_use]
    pub fn lost_thread(&self) -> Option<&str> {
        runtime::ended(&self.parts.threads)
    }

    /// Passes the bound listeners to the workers, which accept connections from then on.
    pub fn open(&mut self) {
        let waiting = std::mem::take(&mut self.parts.waiting);
        self.distribute(waiting);
    }

    fn distribute(&mut self, bound: Vec<WorkerListener>) {
        for (index, listener) in bound.into_iter().enumerate() {
            let worker = self
                .parts
                .listeners
                .get(index % self.parts.listeners.len().max(1));
            // If the worker has ended, sending fails and the listener is dropped.
            if worker.is_some_and(|worker| worker.send(listener).is_err()) {
                tracing::error!("cannot pass a listener to a worker that has ended");
            }
        }
    }

    /// Serves `config` from now on. After an error nothing has changed.
    ///
    /// # Errors
    ///
    /// [`StartError::Route`], [`StartError::Tls`] and [`StartError::Bind`].
    pub fn change(&mut self, config: Config) -> Result<Changed, StartError> {
        let (changed, bound) = self.parts.live.change(config)?;
        self.distribute(bound);
        Ok(changed)
    }

    /// Reads the files of some certificates again. `indexes` are their indexes in the config. A certificate
    /// whose files cannot be used keeps its previous version. Returns one error per such certificate.
    pub fn renew_certificates(&mut self, indexes: &[usize]) -> Vec<String> {
        self.parts.live.renew_certificates(indexes)
    }

    /// Reads the files of `ip.file` at `paths` again, and serves their networks from now on. A file that cannot
    /// be used keeps its previous networks; until it can be used, the config counts as not reloaded.
    pub fn renew_lists(&mut self, paths: &[PathBuf]) -> RenewedLists {
        self.parts.live.renew_lists(paths)
    }

    /// Returns a duplicate of each listening socket, for another process, with the listener's address in the
    /// config.
    ///
    /// # Errors
    ///
    /// The OS error if no descriptor is left.
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

    /// Drains by command: the node reports not ready from now on, and closes each client connection after its
    /// next response. The node still accepts connections and serves requests.
    pub fn leave(&mut self) {
        self.left_at.get_or_insert_with(Instant::now);
        let state = self.state();
        state.health.set_leaving(true);
        state.settle_clients();
    }

    /// Reverts [`Running::leave`].
    pub fn rejoin(&mut self) {
        self.left_at = None;
        let state = self.state();
        state.health.set_leaving(false);
        state.settle_clients();
    }

    /// Whether another process has taken over the sockets.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        self.is_replaced
    }

    /// Records that another process has taken over the sockets.
    pub fn set_replaced(&mut self) {
        self.is_replaced = true;
    }

    /// Drains. First, the node reports not ready and still accepts connections for `drain_delay`; this step
    /// is skipped if another process has taken over the sockets. Then the listeners stop accepting, and
    /// requests in flight may finish within `drain_timeout`.
    ///
    /// Cancel-safe: if the future is dropped, the drain remains in its current phase, and [`Running::stop`]
    /// completes it.
    pub async fn drain(&mut self) {
        let server = self.config().server.clone();
        let state = self.state();
        if !self.is_replaced {
            state.health.set_leaving(true);
            // After a drain command, health checks have already been failing for some time. This time is
            // subtracted from the delay.
            let since = self.left_at.map_or(Duration::ZERO, |left| left.elapsed());
            tokio::time::sleep(server.drain_delay.saturating_sub(since)).await;
        }
        for listener in &mut *state.listeners() {
            listener.drain();
        }
        self.parts.trigger.advance(Phase::Draining);
        // The channel closes when every worker has dropped its sender.
        let ended = tokio::time::timeout(server.drain_timeout, self.parts.drained.recv()).await;
        if ended.is_err() {
            tracing::warn!("drain timeout: closing the remaining connections");
        }
    }

    /// Stops at once: closes the remaining connections, waits for the threads, and flushes the access
    /// log.
    pub fn stop(self) {
        self.parts.trigger.advance(Phase::Stopping);
        for thread in self.parts.threads {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
        let state = self.parts.live.state();
        for listener in &*state.listeners() {
            if let Address::Unix(path) = &listener.config.address
                && !self.is_replaced
            {
                unix::remove_closed(path);
            }
        }
        if let Some(log) = self.parts.log {
            log.finish();
        }
    }
}
