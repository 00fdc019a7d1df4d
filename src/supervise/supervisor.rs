//! The parameters of the supervision loop.

use std::path::PathBuf;

use crate::config::Env;
use crate::listener::bind::Bound;
use crate::supervise::upgrade_takeover::Predecessor;
use crate::telemetry::sink::SharedSink;

/// The data that the supervision loop needs, except the proxy itself.
pub struct Supervisor {
    /// The path of the config file.
    pub path: PathBuf,
    /// A function that returns the value of an environment variable.
    pub env: Env<'static>,
    /// The log files, which SIGUSR1 reopens.
    pub logs: Vec<SharedSink>,
    /// The binary that an upgrade starts. If it is `None`, an upgrade fails.
    pub program: Option<PathBuf>,
    /// The socket of the admin listener. `None` means no admin listener.
    pub admin: Option<Bound>,
    /// The old process that this process replaces; `None` if this process was not started by an upgrade.
    pub predecessor: Option<Predecessor>,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
