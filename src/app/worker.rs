//! One worker: its listeners, connections and periodic tasks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::http::access::{Access, AccessBody, AccessLayer};
use crate::http::context::ConnectionInfo;
use crate::listener::{MakeService, WorkerListener};
use crate::origin::link::{pool, retained};
use crate::route::RouterService;
use crate::shutdown::{Phase, Shutdown};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::{RequestMetrics, WorkerGauges};

/// The interval at which a worker removes expired connections from its pool and flushes its part of the
/// access log.
const HOUSEKEEPING: Duration = Duration::from_millis(200);

/// Makes the service of each client connection.
#[derive(Clone, Debug)]
pub(super) struct Services {
    pub(super) access: AccessLayer,
    pub(super) router: RouterService,
}

impl MakeService<AccessBody> for Services {
    type Service = Access<RouterService>;

    fn make(&self, info: Arc<ConnectionInfo>) -> Self::Service {
        self.access.layer(self.router.clone(), info)
    }
}

/// A worker before it runs.
#[derive(Debug)]
pub(super) struct Worker {
    /// The channel that brings the listeners to serve. Further listeners arrive when a new config adds them.
    pub(super) listeners: mpsc::UnboundedReceiver<WorkerListener>,
    pub(super) services: Services,
    pub(super) shutdown: Shutdown,
    pub(super) log: Option<Arc<AccessLog>>,
    pub(super) metrics: Option<Arc<RequestMetrics>>,
    /// The value of `server.retry_buffer`.
    pub(super) retry_buffer: usize,
}

impl Worker {
    /// Serves until all connections have drained, or until [`Phase::Stopping`].
    pub(super) async fn run(self) {
        let Self {
            mut listeners,
            services,
            mut shutdown,
            log,
            metrics,
            retry_buffer,
        } = self;
        retained::set_limit(retry_buffer);
        let mut stopping = shutdown.clone();
        let tasks = TaskTracker::new();
        let services = Services {
            access: services.access.on_worker(tasks.clone()),
            ..services
        };
        let keeping = async {
            loop {
                tokio::time::sleep(HOUSEKEEPING).await;
                pool::sweep(tokio::time::Instant::now());
                if let Some(log) = &log {
                    log.flush();
                }
                if let Some(metrics) = &metrics {
                    metrics.note_worker(WorkerGauges {
                        idle_upstream: pool::idle_connections(),
                        retry_buffer: retained::used(),
                        retry_declined: retained::declined(),
                    });
                }
            }
        };
        let serving = async {
            let mut listening = JoinSet::new();
            loop {
                tokio::select! {
                    Some(listener) = listeners.recv() => {
                        listening.spawn(listener.run(services.clone(), tasks.clone()));
                    }
                    Some(ended) = listening.join_next() => note_end(ended),
                    () = shutdown.reached(Phase::Draining) => break,
                }
            }
            while let Some(ended) = listening.join_next().await {
                note_end(ended);
            }
            tasks.close();
            tasks.wait().await;
        };
        tokio::select! {
            () = serving => {}
            () = keeping => {}
            // When this function returns, the event loop is dropped, which closes all of its connections.
            () = stopping.reached(Phase::Stopping) => {
                let open = tasks.len();
                if let Some(log) = &log {
                    log.set_stopping();
                }
                if open > 0 {
                    tracing::warn!(connections = open, "closing connections before their end");
                }
            }
        }
        pool::clear();
    }
}

fn note_end(ended: Result<std::io::Result<()>, tokio::task::JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "listener failed"),
        Err(error) => tracing::error!(%error, "listener task panicked"),
    }
}
