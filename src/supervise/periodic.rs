//! Periodic checks: memory, changed files and the watchdog.

use crate::app::Running;
use crate::supervise::files::WatchedFiles;
use crate::supervise::memory::MemoryWatch;
use crate::supervise::supervisor::Supervisor;
use crate::supervise::{commands, systemd, warnings};

/// Runs all checks once.
pub(super) fn check(
    running: &mut Running,
    supervisor: &Supervisor,
    watched: &mut WatchedFiles,
    memory: &mut MemoryWatch,
) {
    let has_room = memory.has_room(running.config().server.max_memory);
    if running.state().health.set_overloaded(!has_room) {
        if has_room {
            tracing::info!("memory limit: new requests are served again");
        } else {
            tracing::warn!("memory limit reached: new requests are answered 503");
        }
    }
    let changed = watched.poll();
    if !changed.certificates.is_empty() {
        let errors = running.renew_certificates(&changed.certificates);
        for error in &errors {
            tracing::warn!(%error, "certificate not renewed, the old one stays in use");
        }
        let renewed = changed.certificates.len() - errors.len();
        if renewed > 0 {
            tracing::info!(renewed, "certificates renewed");
            // A renewed file can contain an old certificate.
            warnings::log_expiring(&running.state());
        }
    }
    if !changed.lists.is_empty() {
        let renewed = running.renew_lists(&changed.lists);
        for list in &renewed.lists {
            let (file, networks) = (list.path.display(), list.networks.len());
            tracing::info!(%file, networks, "address list reloaded");
        }
        for warning in &renewed.warnings {
            tracing::warn!("{warning}");
        }
        for error in &renewed.errors {
            tracing::error!(%error, "address list not reloaded, the old one stays in use");
        }
    }
    if changed.config && running.config().server.watch_config {
        // The outcome is dropped, because `reload` has already logged it.
        drop(commands::reload(running, supervisor, watched));
    }
    if systemd::has_watchdog() {
        systemd::alive();
    }
}
