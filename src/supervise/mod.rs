//! Supervises a serving process: signals, commands of the admin listener, changed files, memory, and the
//! notifications to systemd. The supervision is one loop on the main thread; the workers never wait for this
//! loop.
//!
//! | Signal | Effect |
//! | --- | --- |
//! | SIGTERM, SIGQUIT, SIGINT | drain, then end; a second one ends the process at once |
//! | SIGHUP | reload the config |
//! | SIGUSR1 | reopen the log files |
//! | SIGUSR2 | start the binary that is installed now, hand over the sockets, drain |

mod commands;
mod ending;
mod error;
mod files;
mod memory;
mod periodic;
mod signals;
mod supervisor;
mod systemd;
mod upgrade_protocol;
mod upgrade_start;
mod upgrade_takeover;
mod warnings;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::admin::{self, Command, CommandOutcome, Show, Verb};
use crate::app::Running;
use crate::app::state::State;
use crate::config::Config;
use crate::health::Health;
use crate::listener::bind::{self, Bound, Inherited};
use crate::supervise::error::CommandError;
use crate::supervise::files::{ConfigFiles, WatchedFiles};
use crate::supervise::memory::MemoryWatch;
use crate::supervise::signals::SignalAction;
pub use crate::supervise::signals::Signals;
pub use crate::supervise::supervisor::Supervisor;
use crate::supervise::upgrade_start::Successor;
pub use crate::supervise::upgrade_takeover::{Predecessor, inherited};
use crate::supervise::warnings::ExpiryWatch;
pub use crate::supervise::warnings::log_warnings;

/// The interval of the periodic checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

impl Show for Arc<State> {
    fn metrics(&self) -> String {
        State::metrics(self)
    }

    fn status(&self) -> serde_json::Value {
        State::status(self)
    }

    fn health(&self) -> &Health {
        &self.health
    }
}

/// Binds the socket of the admin listener, or takes it from `inherited`. Returns `None` for a config
/// without an admin listener.
///
/// # Errors
///
/// The errors of [`bind::sockets`], with the address in the text. When the address is in use, the text also
/// says what to do.
pub fn bind_admin(config: &Config, inherited: &mut Inherited) -> std::io::Result<Option<Bound>> {
    let Some(admin) = &config.admin else {
        return Ok(None);
    };
    let bound = bind::sockets(&admin.address, 1, inherited);
    let (local, mut sockets) = bound.map_err(|error| {
        let kind = error.kind();
        let mut text = format!("{}: {error}", admin.address);
        if kind == std::io::ErrorKind::AddrInUse {
            text.push_str(
                "; another process listens there, perhaps another ossgate: give each process its own `address` in `[admin]`",
            );
        }
        std::io::Error::new(kind, text)
    })?;
    let address = local.map_or_else(|| admin.address.to_string(), |local| local.to_string());
    tracing::info!(%address, "admin listener");
    Ok(sockets.pop())
}

/// Serves until a signal or an upgrade ends the process, then drains and stops the proxy. If `running` does
/// not accept connections yet, this function opens it.
///
/// # Errors
///
/// The OS error if the admin socket cannot be used; [`std::io::ErrorKind::Other`] if this process cannot take
/// over from the old process of an upgrade, or if a thread of the proxy has ended. The proxy is also stopped
/// after an error.
pub async fn run(
    mut running: Running,
    mut supervisor: Supervisor,
    mut signals: Signals,
) -> std::io::Result<()> {
    let outcome = serve(&mut running, &mut supervisor, &mut signals).await;
    running.stop();
    outcome
}

async fn serve(
    running: &mut Running,
    supervisor: &mut Supervisor,
    signals: &mut Signals,
) -> std::io::Result<()> {
    let (sender, mut commands) = mpsc::channel(16);
    upgrade_takeover::take_over(running, supervisor.predecessor.take()).await?;
    // A duplicate of the admin socket, to pass to the new process of an upgrade.
    let kept = supervisor
        .admin
        .as_ref()
        .map(Bound::try_clone)
        .transpose()?;
    let closing = Arc::new(Notify::new());
    let admin = serve_admin(running, supervisor, sender, &closing);
    systemd::ready();
    let files = ConfigFiles::new(&supervisor.path, supervisor.env);
    let mut watched = WatchedFiles::new(files, running.config());
    let mut memory = MemoryWatch::default();
    let mut expiry = ExpiryWatch::new(Instant::now());
    let mut checks = tokio::time::interval(CHECK_INTERVAL);
    checks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The new process of an upgrade in progress, and the command that waits for the outcome.
    let mut successor: Option<Successor> = None;
    let mut upgrade: Option<Command> = None;
    let mut lost = None;
    loop {
        let (verb, command) = tokio::select! {
            action = signals.next() => match action {
                SignalAction::End => break,
                SignalAction::Reopen => {
                    commands::reopen(&supervisor.logs);
                    continue;
                }
                SignalAction::Reload => (Verb::Reload, None),
                SignalAction::Upgrade => (Verb::Upgrade, None),
            },
            Some(command) = commands.recv() => (command.verb, Some(command)),
            outcome = upgrade_start::outcome(&mut successor) => {
                let is_good = outcome.is_ok();
                if is_good {
                    // The new process now serves the admin address. The pending upgrade command still gets
                    // its response.
                    closing.notify_one();
                }
                let outcome = upgrade_start::conclude(running, outcome);
                answer(upgrade.take(), outcome);
                if is_good {
                    break;
                }
                continue;
            }
            _ = checks.tick() => {
                periodic::check(running, supervisor, &mut watched, &mut memory);
                if expiry.is_due(Instant::now()) {
                    warnings::log_expiring(&running.state());
                }
                lost = running.lost_thread().map(|name| {
                    std::io::Error::other(format!("thread {name} has ended by a fault"))
                });
                if lost.is_some() {
                    // A thread has ended. The other workers finish their requests and this process exits. The
                    // service manager then starts a new process.
                    tracing::error!("a thread has ended by a fault: draining");
                    break;
                }
                continue;
            }
        };
        let outcome = match verb {
            Verb::Drain => Ok(commands::drain(running)),
            Verb::Undrain => Ok(commands::undrain(running)),
            Verb::Reload | Verb::Upgrade if successor.is_some() => {
                let error = CommandError::UpgradeInProgress;
                tracing::warn!(?verb, %error, "command not carried out");
                Err(error)
            }
            Verb::Reload => commands::reload(running, supervisor, &mut watched),
            Verb::Upgrade => {
                match upgrade_start::start(running, supervisor.program.as_deref(), kept.as_ref()) {
                    Ok(started) => {
                        successor = Some(started);
                        upgrade = command;
                        continue;
                    }
                    Err(error) => upgrade_start::conclude(running, Err(error)),
                }
            }
        };
        answer(command, outcome);
    }
    drop(commands);
    if let Some(successor) = successor {
        successor.cancel().await;
    }
    ending::drain(running, signals, &supervisor.logs, admin).await;
    lost.map_or(Ok(()), Err)
}

/// Starts the admin listener, if the config has one.
fn serve_admin(
    running: &Running,
    supervisor: &mut Supervisor,
    commands: mpsc::Sender<Command>,
    closing: &Arc<Notify>,
) -> Option<JoinHandle<std::io::Result<()>>> {
    let (socket, config) = (supervisor.admin.take()?, running.config().admin.clone()?);
    let (show, closing) = (Arc::new(running.state()), Arc::clone(closing));
    Some(tokio::spawn(async move {
        admin::serve(socket, &config, show, commands, closing).await
    }))
}

/// Sends `outcome` as the response to `command`. An action that a signal has started has no command; its
/// outcome is only logged.
fn answer(command: Option<Command>, outcome: Result<String, CommandError>) {
    let Some(command) = command else {
        return;
    };
    let outcome = match outcome {
        Ok(text) => CommandOutcome::Done(text),
        Err(error) => CommandOutcome::Failed(error.to_string()),
    };
    // Sending fails if the client has closed its connection.
    drop(command.reply.send(outcome));
}
