//! The actions of signals and commands: reload, drain, undrain, reopen the log files.

use crate::app::Running;
use crate::config;
use crate::supervise::error::CommandError;
use crate::supervise::files::{ConfigFiles, WatchedFiles};
use crate::supervise::supervisor::Supervisor;
use crate::supervise::{systemd, warnings};
use crate::telemetry;
use crate::telemetry::sink::SharedSink;

/// The number of problems of a config that the log and the response to a command show. The number is limited,
/// because the supervision waits until the text is made, and each of ten thousand routes can have a problem.
const SHOWN: usize = 20;

/// Reopens the log files.
pub(super) fn reopen(logs: &[SharedSink]) {
    for log in logs {
        if let Err(error) = log.reopen() {
            tracing::error!(%error, "cannot reopen a log file");
        }
    }
}

/// Loads the config file and serves it. Returns a summary of the changes.
///
/// # Errors
///
/// [`CommandError::Config`] and [`CommandError::Start`]. After an error, the old config stays in use.
pub(super) fn reload(
    running: &mut Running,
    supervisor: &Supervisor,
    watched: &mut WatchedFiles,
) -> Result<String, CommandError> {
    systemd::reloading();
    let files = ConfigFiles::new(&supervisor.path, supervisor.env);
    let outcome = load_and_change(running, supervisor);
    systemd::ready();
    match &outcome {
        Ok(_) => *watched = WatchedFiles::new(files, running.config()),
        Err(error) => {
            watched.note_config_read(files);
            running.state().note_refused(error.to_string());
            tracing::error!(%error, "config not reloaded, the old one stays in use");
        }
    }
    outcome
}

fn load_and_change(running: &mut Running, supervisor: &Supervisor) -> Result<String, CommandError> {
    let loaded = config::load(&supervisor.path, supervisor.env)
        .map_err(|problems| CommandError::Config(problems.render_first(SHOWN)))?;
    let warnings = warnings::log_warnings(&loaded.warnings);
    let level = loaded.config.log.level;
    let changed = running.change(loaded.config).map_err(CommandError::Start)?;
    telemetry::set_level(level);
    running.state().set_warnings(warnings);
    let routes = running.config().routes.len();
    let [added, removed, keys] = [
        changed.added.join(", "),
        changed.removed.join(", "),
        changed.needs_restart.join(", "),
    ];
    tracing::info!(routes, added, removed, "config reloaded");
    if !keys.is_empty() {
        tracing::warn!(keys, "a restart is needed for some changed keys");
    }
    let mut text = format!("reloaded; routes: {routes}");
    for (what, list) in [
        ("listening on", added),
        ("no longer listening on", removed),
        ("a restart is needed for the changes of:", keys),
    ] {
        if !list.is_empty() {
            text.push_str(&format!("; {what} {list}"));
        }
    }
    Ok(text)
}

/// Makes the node report not ready, and makes its clients reconnect. The process continues to serve.
pub(super) fn drain(running: &mut Running) -> String {
    running.leave();
    let connections = running.state().connections();
    tracing::info!(is_leaving = true, connections, "drain by command");
    format!(
        "draining: not ready, clients are asked to reconnect, {connections} connections open; `undrain` reverts it"
    )
}

/// Reverts [`drain`].
pub(super) fn undrain(running: &mut Running) -> String {
    running.rejoin();
    let connections = running.state().connections();
    tracing::info!(is_leaving = false, connections, "drain by command");
    "not draining".to_owned()
}
