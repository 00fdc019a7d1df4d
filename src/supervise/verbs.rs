//! What signals and commands do: load the config again, leave and come back, reopen the logs.

use crate::app::Running;
use crate::config;
use crate::supervise::files::Watched;
use crate::supervise::{Supervisor, systemd};
use crate::telemetry;
use crate::telemetry::sink::SharedSink;

pub(super) fn reopen(logs: &[SharedSink]) {
    for log in logs {
        if let Err(error) = log.reopen() {
            tracing::error!(%error, "cannot reopen a log file");
        }
    }
}

/// Loads the config file and serves it, or goes on with the one before it.
pub(super) fn reload(
    running: &mut Running,
    supervisor: &Supervisor,
    watched: &mut Watched,
) -> Result<String, String> {
    systemd::reloading();
    let outcome = load_and_change(running, supervisor);
    systemd::ready();
    match &outcome {
        Ok(text) => {
            *watched = Watched::new(&supervisor.path, running.config());
            tracing::info!("config {text}");
        }
        Err(text) => {
            watched.note_config_read();
            running.state().note_refused();
            tracing::error!("config not reloaded, the one before it stays: {text}");
        }
    }
    outcome
}

fn load_and_change(running: &mut Running, supervisor: &Supervisor) -> Result<String, String> {
    let loaded =
        config::load(&supervisor.path, supervisor.env).map_err(|problems| problems.to_string())?;
    for warning in loaded.warnings.iter() {
        tracing::warn!("{}", loaded.warnings.line(warning));
    }
    let level = loaded.config.log.level;
    let changed = running
        .change(loaded.config)
        .map_err(|error| error.to_string())?;
    telemetry::set_level(level);
    let routes = running.config().routes.len();
    let mut text = format!("reloaded; routes: {routes}");
    for (what, addresses) in [
        ("listening on", &changed.added),
        ("no longer listening on", &changed.removed),
    ] {
        if !addresses.is_empty() {
            text.push_str(&format!("; {what} {}", addresses.join(", ")));
        }
    }
    if !changed.needs_restart.is_empty() {
        let keys = changed.needs_restart.join(", ");
        tracing::warn!("a restart is needed for the changes of: {keys}");
        text.push_str(&format!("; a restart is needed for the changes of: {keys}"));
    }
    Ok(text)
}

pub(super) fn leave(running: &mut Running, is_leaving: bool) -> Result<String, String> {
    running.set_leaving(is_leaving);
    let state = running.state();
    let connections: u64 = state.connections();
    tracing::info!(is_leaving, connections, "drain by command");
    Ok(if is_leaving {
        format!(
            "draining: not ready, clients are asked to connect anew, {connections} connections open; `undrain` takes it back"
        )
    } else {
        "not draining".to_owned()
    })
}
