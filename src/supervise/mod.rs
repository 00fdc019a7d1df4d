//! The life of a serving process: signals, commands of the admin listener, files that change, memory,
//! and what systemd wants to know. One loop on the main thread; the workers never wait for it.
//!
//! | Signal | Does |
//! | --- | --- |
//! | SIGTERM, SIGQUIT, SIGINT | drain, then end; a second one ends at once |
//! | SIGHUP | load the config again |
//! | SIGUSR1 | reopen the log files |
//! | SIGUSR2 | start the binary that is installed now, hand over the sockets, drain |

mod files;
mod memory;
mod succession;
mod systemd;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::admin::{self, Command, Show, Verb};
use crate::app::Running;
use crate::app::state::State;
use crate::config::{self, Address, Config, Env};
use crate::health::Health;
use crate::listener::bind::{self, Bound, Inherited};
use crate::supervise::files::Watched;
pub use crate::supervise::succession::{Predecessor, inherited};
use crate::telemetry;
use crate::telemetry::sink::SharedSink;

/// How long a new process waits for its first answer from DNS before it takes over regardless.
const FITNESS: Duration = Duration::from_secs(5);
/// How often files and memory are looked at.
const ROUND: Duration = Duration::from_secs(1);

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

/// What a process needs besides its proxy.
pub struct Supervisor {
    /// The config file.
    pub path: PathBuf,
    /// Looks up environment variables.
    pub env: Env<'static>,
    /// The log files.
    pub logs: Vec<SharedSink>,
    /// The binary to start when the process is to be replaced.
    pub program: Option<PathBuf>,
    /// The socket of the admin listener.
    pub admin: Option<Bound>,
    /// The process this one replaces.
    pub predecessor: Option<Predecessor>,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// The socket of the admin listener.
///
/// # Errors
///
/// Those of [`bind::sockets`].
pub fn bind_admin(config: &Config, inherited: &mut Inherited) -> std::io::Result<Option<Bound>> {
    let Some(admin) = &config.admin else {
        return Ok(None);
    };
    let (local, mut sockets) = bind::sockets(&admin.address, 1, inherited)?;
    let address = local.map_or_else(|| admin.address.to_string(), |local| local.to_string());
    tracing::info!(%address, "admin listener");
    Ok(sockets.pop())
}

/// The signals of a process. Until it exists, SIGHUP and the others end the process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    quit: Signal,
    interrupt: Signal,
    hang_up: Signal,
    reopen: Signal,
    upgrade: Signal,
}

/// What a signal asks for.
enum Asked {
    End,
    Reload,
    Reopen,
    Upgrade,
}

impl Signals {
    /// Takes over the signals; inside the runtime that waits for them.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::End,
            _ = self.quit.recv() => Asked::End,
            _ = self.interrupt.recv() => Asked::End,
            _ = self.hang_up.recv() => Asked::Reload,
            _ = self.reopen.recv() => Asked::Reopen,
            _ = self.upgrade.recv() => Asked::Upgrade,
        }
    }
}

/// Serves until told to end, then drains and stops. The proxy need not accept connections yet.
///
/// # Errors
///
/// When the admin socket cannot be listened to; the proxy is stopped then, too.
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
    if let Some(predecessor) = supervisor.predecessor.take() {
        // Until then the old process answers alone: a health check sees no gap.
        wait_for_fitness(&running.state().health).await;
        running.open();
        predecessor.tell_serving();
    } else {
        running.open();
    }
    let kept = supervisor
        .admin
        .as_ref()
        .map(Bound::try_clone)
        .transpose()?;
    let admin = match (supervisor.admin.take(), running.config().admin.clone()) {
        (Some(socket), Some(config)) => {
            let show = Arc::new(running.state());
            let task = async move { admin::serve(socket, &config, show, sender).await };
            Some(tokio::spawn(task))
        }
        _ => None,
    };
    systemd::ready();
    let watchdog = systemd::watchdog();
    let mut watched = Watched::new(&supervisor.path, running.config());
    let mut memory = memory::Guard::default();
    let mut round = tokio::time::interval(ROUND);
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::End => break,
                Asked::Reload => {
                    // The outcome is in the log.
                    drop(reload(running, supervisor, &mut watched));
                }
                Asked::Reopen => reopen(&supervisor.logs),
                Asked::Upgrade => {
                    if upgrade(running, supervisor, kept.as_ref()).await.is_ok() {
                        break;
                    }
                }
            },
            Some(command) = commands.recv() => {
                let (verb, outcome) = match command.verb {
                    Verb::Reload => ("reload", reload(running, supervisor, &mut watched)),
                    Verb::Drain | Verb::Undrain => ("drain", leave(running, command.verb == Verb::Drain)),
                    Verb::Upgrade => ("upgrade", upgrade(running, supervisor, kept.as_ref()).await),
                };
                let ends = verb == "upgrade" && outcome.is_ok();
                answer(command, outcome);
                if ends {
                    // Lets the answer reach who asked before the admin listener goes.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    break;
                }
            }
            _ = round.tick() => {
                let has_room = memory.has_room(running.config().server.max_memory);
                let health = &running.state().health;
                if health.set_overloaded(!has_room) {
                    tracing::warn!(has_room, "memory limit: new requests are answered 503 while there is no room");
                }
                let news = watched.look();
                if news.certificates {
                    for error in running.renew_certificates() {
                        tracing::error!(%error, "certificate not renewed, the one before it stays");
                    }
                    tracing::info!("certificates read again");
                }
                if news.config && running.config().server.watch_config {
                    drop(reload(running, supervisor, &mut watched));
                }
                if watchdog {
                    systemd::alive();
                }
            }
        }
    }
    end(running, signals, &supervisor.logs, admin).await;
    Ok(())
}

/// Waits until this process is ready, or until it is clear that it will not be so soon.
async fn wait_for_fitness(health: &Health) {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let waiting = async {
        while !health.is_ready() {
            pace.tick().await;
        }
    };
    // Not ready, it is no worse than its predecessor is.
    drop(tokio::time::timeout(FITNESS, waiting).await);
}

fn answer(command: Command, outcome: Result<String, String>) {
    // Who asked may be gone.
    drop(command.reply.send(outcome));
}

async fn end(
    running: &mut Running,
    signals: &mut Signals,
    logs: &[SharedSink],
    admin: Option<tokio::task::JoinHandle<std::io::Result<std::convert::Infallible>>>,
) {
    let is_succeeded = running.is_succeeded();
    tracing::info!("draining");
    if is_succeeded {
        // The successor answers there now.
        if let Some(admin) = &admin {
            admin.abort();
        }
    } else {
        systemd::stopping();
    }
    let again = async {
        loop {
            match signals.next().await {
                Asked::End => return,
                Asked::Reopen => reopen(logs),
                Asked::Reload | Asked::Upgrade => {
                    tracing::warn!("this process is draining: nothing to reload or to hand over");
                }
            }
        }
    };
    tokio::select! {
        () = running.drain() => {}
        () = again => tracing::warn!("told twice: stopping now"),
    }
    if let Some(admin) = admin {
        admin.abort();
    }
    if !is_succeeded
        && let Some(admin) = &running.config().admin
        && let Address::Unix(path) = &admin.address
        && let Err(error) = std::fs::remove_file(path)
    {
        tracing::debug!(path = %path.display(), %error, "cannot remove the socket file");
    }
}

fn reopen(logs: &[SharedSink]) {
    for log in logs {
        if let Err(error) = log.reopen() {
            tracing::error!(%error, "cannot reopen a log file");
        }
    }
}

/// Loads the config file and serves it, or goes on with the one before it.
fn reload(
    running: &mut Running,
    supervisor: &Supervisor,
    watched: &mut Watched,
) -> Result<String, String> {
    systemd::reloading();
    let outcome = load_and_change(running, supervisor);
    systemd::ready();
    *watched = Watched::new(&supervisor.path, running.config());
    match &outcome {
        Ok(text) => tracing::info!("config reloaded: {text}"),
        Err(text) => {
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
    let mut text = format!("{} routes", running.config().routes.len());
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

fn leave(running: &Running, is_leaving: bool) -> Result<String, String> {
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

async fn upgrade(
    running: &mut Running,
    supervisor: &Supervisor,
    admin: Option<&Bound>,
) -> Result<String, String> {
    let started = succession::start(running, supervisor.program.as_deref(), admin).await;
    match started {
        Ok(pid) => {
            running.set_succeeded();
            systemd::main_process(pid);
            let text = format!(
                "process {pid} serves, process {} drains",
                std::process::id()
            );
            tracing::info!("upgraded: {text}");
            Ok(text)
        }
        Err(error) => {
            tracing::error!(%error, "not upgraded, this process goes on");
            Err(format!("not upgraded, the old process goes on: {error}"))
        }
    }
}
