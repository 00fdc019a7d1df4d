//! Replacing the running binary: the new process gets the listening sockets of the old one.
//!
//! Both accept from the same sockets for a moment, so no connection is refused and none that waits in
//! a queue is lost. The sockets are passed as systemd passes them, from descriptor 3 on, with their
//! addresses in [`SOCKETS`]; the last one is a datagram socket on which the new process tells that it
//! serves. Until then the old one goes on as if nothing had happened, and goes on for good when the
//! new one ends or stays silent.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::app::Running;
use crate::listener::bind::{Bound, Inherited};
use crate::supervise::systemd;

/// Environment variable with the addresses of the passed sockets, as a JSON list.
const SOCKETS: &str = "OSSGATE_SOCKETS";
/// Environment variable with what the old process was: any of the words below.
const STATE: &str = "OSSGATE_STATE";
const LEAVING: &str = "leaving ";
const FIT: &str = "fit ";
/// What the new process says when it serves; anything else is why it does not.
pub(super) const SERVING: &str = "serving";
/// The name of the socket on which the new process tells that it serves.
const TELLS: &str = "tells";
/// How long the new process may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first passed descriptor.
const FIRST: i32 = 3;

/// Starts `program` with the arguments of this process.
pub(super) fn start(
    running: &Running,
    program: Option<&Path>,
    admin: Option<&Bound>,
) -> Result<Successor, String> {
    let program = program.ok_or("this process does not know its own binary")?;
    let mut sockets = running.sockets().map_err(|error| error.to_string())?;
    if let (Some(socket), Some(config)) = (admin, &running.config().admin) {
        let socket = socket.try_clone().map_err(|error| error.to_string())?;
        sockets.push((config.address.to_string(), socket));
    }
    let (heard, tells) = UnixDatagram::pair().map_err(|error| error.to_string())?;
    heard
        .set_nonblocking(true)
        .map_err(|error| error.to_string())?;
    let mut names: Vec<&str> = sockets.iter().map(|(name, _)| name.as_str()).collect();
    names.push(TELLS);
    let names = serde_json::to_string(&names).map_err(|error| error.to_string())?;
    let descriptors = sockets
        .into_iter()
        .map(|(_, socket)| OwnedFd::from(socket))
        .chain([OwnedFd::from(tells)]);
    let mappings: Vec<FdMapping> = descriptors
        .zip(FIRST..)
        .map(|(parent_fd, child_fd)| FdMapping {
            parent_fd,
            child_fd,
        })
        .collect();
    let count = mappings.len();
    let health = &running.state().health;
    let state = format!(
        "{}{}",
        if health.is_leaving() { LEAVING } else { "" },
        if health.is_fit() { FIT } else { "" }
    );
    let mut command = Command::new(program);
    command
        .args(std::env::args_os().skip(1))
        .env(SOCKETS, names)
        .env(STATE, state)
        .env("LISTEN_FDS", count.to_string())
        .env_remove("LISTEN_PID")
        .env_remove("LISTEN_FDNAMES")
        // The watchdog goes on for the new process; its id is not known here.
        .env_remove("WATCHDOG_PID")
        .fd_mappings(mappings)
        .map_err(|error| error.to_string())?;
    let mut child = tokio::process::Command::from(command)
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let pid = child.id().ok_or("the new process has ended at once")?;
    tracing::info!(pid, program = %program.display(), "new process started");
    let heard = tokio::net::UnixDatagram::from_std(heard).map_err(|error| error.to_string())?;
    let (give_up, given_up) = oneshot::channel::<()>();
    let outcome = tokio::spawn(async move {
        let mut word = [0; 1024];
        let why = tokio::select! {
            told = heard.recv(&mut word) => {
                let length = told.unwrap_or(0);
                let told = String::from_utf8_lossy(word.get(..length).unwrap_or_default());
                if told == SERVING {
                    return Ok(pid);
                }
                format!("the new process does not serve: {told}")
            }
            ended = child.wait() => match ended {
                Ok(status) => format!("the new process ended before it served: {status}; its log says why"),
                Err(error) => error.to_string(),
            },
            () = tokio::time::sleep(PATIENCE) => {
                format!("the new process did not serve within {} s", PATIENCE.as_secs())
            }
            _ = given_up => "this process was told to end".to_owned(),
        };
        // Ended or not: it must not take connections any more.
        if let Err(error) = child.kill().await {
            tracing::debug!(%error, pid, "the new process has ended by itself");
        }
        Err(why)
    });
    Ok(Successor { outcome, give_up })
}

/// A process that is to replace this one.
#[derive(Debug)]
pub(super) struct Successor {
    outcome: JoinHandle<Result<u32, String>>,
    give_up: oneshot::Sender<()>,
}

impl Successor {
    /// Ends it.
    pub(super) async fn give_up(self) {
        // It may have concluded in this moment: then it serves, and is not ended.
        let _told = self.give_up.send(());
        drop(self.outcome.await);
    }
}

/// Waits until `successor` serves, its process id, or has failed; for ever when there is none. Then there
/// is none any more.
pub(super) async fn outcome(successor: &mut Option<Successor>) -> Result<u32, String> {
    let Some(waited) = successor else {
        return std::future::pending().await;
    };
    let outcome = (&mut waited.outcome).await;
    *successor = None;
    outcome.unwrap_or_else(|error| Err(error.to_string()))
}

/// Takes the outcome in, and says it.
pub(super) fn conclude(
    running: &mut Running,
    outcome: Result<u32, String>,
) -> Result<String, String> {
    match outcome {
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

/// The old process, which waits to hear that this one serves.
#[derive(Debug)]
pub struct Predecessor {
    hears: UnixDatagram,
    /// Whether it was leaving its load balancer; so is this one then.
    pub(super) is_leaving: bool,
    /// Whether it could reach an endpoint.
    pub(super) was_fit: bool,
}

impl Predecessor {
    /// Tells it that this process serves ([`SERVING`]), or why not.
    pub(super) fn tell(self, word: &str) {
        if let Err(error) = self.hears.send(word.as_bytes()) {
            tracing::warn!(%error, "cannot tell the process before this one");
        }
    }
}

/// The sockets this process was started with: by systemd (sd_listen_fds(3)) or by the process before
/// it. Called once, before any thread is started. `env` looks up environment variables.
#[must_use]
pub fn inherited(env: &dyn Fn(&str) -> Option<String>) -> (Inherited, Option<Predecessor>) {
    let names: Vec<String> = match env(SOCKETS) {
        Some(names) => serde_json::from_str(&names).unwrap_or_default(),
        None => env("LISTEN_FDNAMES")
            .unwrap_or_default()
            .split(':')
            .map(|name| format!("fd:{name}"))
            .collect(),
    };
    let mut passed = listenfd::ListenFd::from_env();
    let (mut inherited, mut predecessor) = (Inherited::default(), None);
    for index in 0..passed.len() {
        let name = names.get(index).map_or("fd:unknown", String::as_str);
        if name == TELLS {
            if let Ok(Some(socket)) = passed.take_unix_datagram(index) {
                let state = env(STATE).unwrap_or_default();
                predecessor = Some(Predecessor {
                    hears: socket,
                    is_leaving: state.contains(LEAVING),
                    was_fit: state.contains(FIT),
                });
            }
        } else if let Ok(Some(socket)) = passed.take_tcp_listener(index) {
            inherited.push(name.to_owned(), Bound::Tcp(socket));
        } else if let Ok(Some(socket)) = passed.take_unix_listener(index) {
            inherited.push(name.to_owned(), Bound::Unix(socket));
        } else {
            tracing::warn!(name, "a passed descriptor is no listening stream socket");
        }
    }
    (inherited, predecessor)
}
