//! The old process of an upgrade: starts the new binary and waits until it serves.
//!
//! For a moment both processes accept connections from the same sockets. Therefore no connection is refused,
//! and no connection in a queue is lost. The old process continues unchanged until the new one reports that
//! it serves. If the new process ends or does not report in time, it is killed and the old process keeps
//! serving.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use tokio::net::UnixDatagram;
use tokio::process::Child;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::app::Running;
use crate::listener::bind::Bound;
use crate::supervise::error::{CommandError, UpgradeError};
use crate::supervise::systemd;
use crate::supervise::upgrade_protocol::{
    FIRST_DESCRIPTOR, FIT, LEAVING, REPORT_SOCKET, SERVING, SOCKETS, STATE,
};

/// How long a new process may take until it serves.
const SERVING_TIMEOUT: Duration = Duration::from_secs(30);

/// A new process that does not serve yet.
#[derive(Debug)]
pub(super) struct Successor {
    outcome: JoinHandle<Result<u32, UpgradeError>>,
    cancel: oneshot::Sender<()>,
}

/// Starts `program` with the arguments of this process, and passes it all listening sockets.
///
/// # Errors
///
/// [`UpgradeError::UnknownBinary`], [`UpgradeError::Sockets`] and [`UpgradeError::Spawn`].
pub(super) fn start(
    running: &Running,
    program: Option<&Path>,
    admin: Option<&Bound>,
) -> Result<Successor, UpgradeError> {
    let program = program.ok_or(UpgradeError::UnknownBinary)?;
    let (command, reports) = prepare(running, program, admin).map_err(UpgradeError::Sockets)?;
    let spawn_error = |error| UpgradeError::Spawn {
        program: program.to_owned(),
        error,
    };
    let child = tokio::process::Command::from(command)
        .spawn()
        .map_err(spawn_error)?;
    let pid = child
        .id()
        .ok_or_else(|| spawn_error(io::Error::other("ended at once")))?;
    tracing::info!(pid, program = %program.display(), "new process started");
    let (cancel, cancelled) = oneshot::channel();
    let outcome = tokio::spawn(wait_until_it_serves(child, pid, reports, cancelled));
    Ok(Successor { outcome, cancel })
}

/// Returns the command that starts `program` with all listening sockets, and the socket on which the new
/// process reports.
fn prepare(
    running: &Running,
    program: &Path,
    admin: Option<&Bound>,
) -> io::Result<(Command, UnixDatagram)> {
    let mut sockets = running.sockets()?;
    if let (Some(socket), Some(config)) = (admin, &running.config().admin) {
        sockets.push((config.address.to_string(), socket.try_clone()?));
    }
    let (reports, passed) = std::os::unix::net::UnixDatagram::pair()?;
    reports.set_nonblocking(true)?;
    let mut names: Vec<&str> = sockets.iter().map(|(name, _)| name.as_str()).collect();
    names.push(REPORT_SOCKET);
    let names = serde_json::to_string(&names)?;
    let descriptors = sockets
        .into_iter()
        .map(|(_, socket)| OwnedFd::from(socket))
        .chain([OwnedFd::from(passed)]);
    let mappings: Vec<FdMapping> = descriptors
        .zip(FIRST_DESCRIPTOR..)
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
        // The new process inherits the environment variables of systemd's watchdog. `WATCHDOG_PID` restricts
        // them to the id of this process. The id of the new process is not known yet, so `WATCHDOG_PID` is
        // removed.
        .env_remove("WATCHDOG_PID")
        .fd_mappings(mappings)
        .map_err(io::Error::other)?;
    Ok((command, UnixDatagram::from_std(reports)?))
}

/// Waits until the new process serves, and returns the id of the new process. On any error the new process is
/// killed.
async fn wait_until_it_serves(
    mut child: Child,
    pid: u32,
    reports: UnixDatagram,
    cancelled: oneshot::Receiver<()>,
) -> Result<u32, UpgradeError> {
    let mut report = [0; 1024];
    let error = tokio::select! {
        received = reports.recv(&mut report) => {
            let length = received.unwrap_or(0);
            let text = String::from_utf8_lossy(report.get(..length).unwrap_or_default());
            if text == SERVING {
                return Ok(pid);
            }
            UpgradeError::NotServing(text.into_owned())
        }
        ended = child.wait() => match ended {
            Ok(status) => UpgradeError::Ended(status),
            Err(error) => UpgradeError::Wait(error),
        },
        () = tokio::time::sleep(SERVING_TIMEOUT) => UpgradeError::Timeout(SERVING_TIMEOUT),
        _ = cancelled => UpgradeError::Cancelled,
    };
    // If the new process still runs, it must not accept connections any more, so it is killed.
    if let Err(error) = child.kill().await {
        tracing::debug!(%error, pid, "the new process has ended already");
    }
    Err(error)
}

impl Successor {
    /// Kills the new process, unless it already serves.
    pub(super) async fn cancel(self) {
        // Sending fails if the outcome has already been determined.
        let _sent = self.cancel.send(());
        drop(self.outcome.await);
    }
}

/// Waits for the outcome of `successor`, and then sets `successor` to `None`. Returns the id of the process
/// that serves, or the error. If `successor` is `None`, waits for ever.
pub(super) async fn outcome(successor: &mut Option<Successor>) -> Result<u32, UpgradeError> {
    let Some(waited) = successor else {
        return std::future::pending().await;
    };
    let outcome = (&mut waited.outcome).await;
    *successor = None;
    outcome.unwrap_or_else(|error| Err(UpgradeError::Task(error)))
}

/// Records and logs the outcome of an upgrade, and returns the response to the command.
///
/// # Errors
///
/// [`CommandError::Upgrade`].
pub(super) fn conclude(
    running: &mut Running,
    outcome: Result<u32, UpgradeError>,
) -> Result<String, CommandError> {
    match outcome {
        Ok(pid) => {
            running.set_replaced();
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
            Err(CommandError::Upgrade(error))
        }
    }
}
