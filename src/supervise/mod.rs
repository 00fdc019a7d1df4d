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
mod signals;
mod succession;
mod systemd;
mod verbs;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use crate::admin::{self, Command, Show, Verb};
use crate::app::Running;
use crate::app::state::State;
use crate::config::{Address, Config, Env};
use crate::health::Health;
use crate::listener::bind::{self, Bound, Inherited};
use crate::net::unix;
use crate::supervise::files::Watched;
use crate::supervise::signals::Asked;
pub use crate::supervise::signals::Signals;
use crate::supervise::succession::Successor;
pub use crate::supervise::succession::{Predecessor, inherited};
use crate::telemetry::sink::SharedSink;

/// How long a new process may take to reach an endpoint.
const FITNESS: Duration = Duration::from_secs(10);
/// How long a replaced process may take to answer those who have asked it.
const LAST_ANSWER: Duration = Duration::from_secs(2);
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

/// Serves until told to end, then drains and stops. The proxy need not accept connections yet.
///
/// # Errors
///
/// When the admin socket cannot be listened to, when an upgrade cannot be taken over, or when a thread
/// of the proxy is gone; the proxy is stopped then, too.
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
    take_over(running, supervisor.predecessor.take()).await?;
    let kept = supervisor
        .admin
        .as_ref()
        .map(Bound::try_clone)
        .transpose()?;
    let closing = Arc::new(Notify::new());
    let admin = match (supervisor.admin.take(), running.config().admin.clone()) {
        (Some(socket), Some(config)) => {
            let (show, closing) = (Arc::new(running.state()), Arc::clone(&closing));
            let task = async move { admin::serve(socket, &config, show, sender, closing).await };
            Some(tokio::spawn(task))
        }
        _ => None,
    };
    systemd::ready();
    let mut watched = Watched::new(&supervisor.path, running.config());
    let mut memory = memory::Guard::default();
    let mut round = tokio::time::interval(ROUND);
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The process that is to replace this one, and who waits for it.
    let mut successor: Option<Successor> = None;
    let mut waits: Option<Command> = None;
    let mut lost = None;
    loop {
        let verb = tokio::select! {
            asked = signals.next() => match asked {
                Asked::End => break,
                Asked::Reopen => {
                    verbs::reopen(&supervisor.logs);
                    continue;
                }
                Asked::Reload => (Verb::Reload, None),
                Asked::Upgrade => (Verb::Upgrade, None),
            },
            Some(command) = commands.recv() => (command.verb, Some(command)),
            outcome = succession::outcome(&mut successor) => {
                let is_good = outcome.is_ok();
                if is_good {
                    // The successor answers from now on; who has asked is still told.
                    closing.notify_one();
                }
                let text = succession::conclude(running, outcome);
                if let Some(command) = waits.take() {
                    answer(command, text);
                }
                if is_good {
                    break;
                }
                continue;
            }
            _ = round.tick() => {
                look_around(running, supervisor, &mut watched, &mut memory);
                lost = running.lost_thread().map(|name| {
                    std::io::Error::other(format!("the thread {name} has ended by a fault"))
                });
                if lost.is_some() {
                    // The others finish what they have, and whoever started this process starts another.
                    tracing::error!("a thread is gone: ending");
                    break;
                }
                continue;
            }
        };
        let (verb, command) = verb;
        let outcome = match verb {
            Verb::Drain | Verb::Undrain => verbs::leave(running, verb == Verb::Drain),
            Verb::Reload | Verb::Upgrade if successor.is_some() => {
                let text = "another process is about to replace this one";
                tracing::warn!(?verb, "refused: {text}");
                Err(text.to_owned())
            }
            // The outcome is in the log, too.
            Verb::Reload => verbs::reload(running, supervisor, &mut watched),
            Verb::Upgrade => {
                match succession::start(running, supervisor.program.as_deref(), kept.as_ref()) {
                    Ok(started) => {
                        successor = Some(started);
                        waits = command;
                        continue;
                    }
                    Err(error) => succession::conclude(running, Err(error)),
                }
            }
        };
        if let Some(command) = command {
            answer(command, outcome);
        }
    }
    drop(commands);
    if let Some(successor) = successor {
        successor.give_up().await;
    }
    end(running, signals, &supervisor.logs, admin).await;
    lost.map_or(Ok(()), Err)
}

/// What is looked at again and again.
fn look_around(
    running: &mut Running,
    supervisor: &Supervisor,
    watched: &mut Watched,
    memory: &mut memory::Guard,
) {
    let has_room = memory.has_room(running.config().server.max_memory);
    if running.state().health.set_overloaded(!has_room) {
        tracing::warn!(
            has_room,
            "memory limit: new requests are answered 503 while there is no room"
        );
    }
    let news = watched.look();
    if !news.certificates.is_empty() {
        let errors = running.renew_certificates(&news.certificates);
        for error in &errors {
            tracing::warn!(%error, "certificate not renewed, the one before it stays");
        }
        let renewed = news.certificates.len() - errors.len();
        if renewed > 0 {
            tracing::info!(renewed, "certificates renewed");
        }
    }
    if news.config && running.config().server.watch_config {
        drop(verbs::reload(running, supervisor, watched));
    }
    if systemd::has_watchdog() {
        systemd::alive();
    }
}

/// Begins to serve, in the place of `predecessor` if there is one: it answers alone until this process
/// could, so that a health check sees no gap.
async fn take_over(running: &mut Running, predecessor: Option<Predecessor>) -> std::io::Result<()> {
    let Some(predecessor) = predecessor else {
        running.open();
        return Ok(());
    };
    let state = running.state();
    let is_fit = wait_for_fitness(&state.health).await && state.proves_fit().await;
    if !is_fit && predecessor.was_fit {
        let troubles = state.health.troubles().join("; ");
        predecessor.tell(&format!("it can reach no endpoint: {troubles}"));
        // The sockets, and their files, are still the other process's.
        running.set_succeeded();
        return Err(std::io::Error::other("no endpoint can be reached"));
    }
    running.open();
    if predecessor.is_leaving {
        running.set_leaving(true);
    }
    predecessor.tell(succession::SERVING);
    Ok(())
}

/// Waits until an endpoint can be reached, or until it is clear that none will be soon.
async fn wait_for_fitness(health: &Health) -> bool {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let waiting = async {
        while !health.is_fit() {
            pace.tick().await;
        }
    };
    tokio::time::timeout(FITNESS, waiting).await.is_ok()
}

fn answer(command: Command, outcome: Result<String, String>) {
    // Who asked may be gone.
    drop(command.reply.send(outcome));
}

async fn end(
    running: &mut Running,
    signals: &mut Signals,
    logs: &[SharedSink],
    admin: Option<tokio::task::JoinHandle<std::io::Result<()>>>,
) {
    let is_succeeded = running.is_succeeded();
    tracing::info!("draining");
    if !is_succeeded {
        systemd::stopping();
    }
    // Nobody has told a process that is replaced to end.
    let mut is_told = !is_succeeded;
    let again = async {
        loop {
            match signals.next().await {
                Asked::End if is_told => return,
                Asked::End => is_told = true,
                Asked::Reopen => verbs::reopen(logs),
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
    if let Some(mut admin) = admin {
        // After a hand-over it ends by itself, once it has told who asked for it.
        if is_succeeded {
            drop(tokio::time::timeout(LAST_ANSWER, &mut admin).await);
        }
        admin.abort();
    }
    if !is_succeeded
        && let Some(admin) = &running.config().admin
        && let Address::Unix(path) = &admin.address
    {
        unix::remove_closed(path);
    }
}
