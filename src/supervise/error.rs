//! The errors of commands and of an upgrade.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::app::StartError;

/// The error of a command. A failed command changes nothing: the process continues as before.
#[derive(Debug)]
pub(super) enum CommandError {
    /// The config file has problems. The text shows the first of them, for the log and for the response.
    Config(String),
    /// The config cannot be served.
    Start(StartError),
    /// The upgrade failed.
    Upgrade(UpgradeError),
    /// An upgrade is in progress.
    UpgradeInProgress,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => f.write_str(problems),
            Self::Start(error) => fmt::Display::fmt(error, f),
            Self::Upgrade(error) => {
                write!(f, "not upgraded, the old process goes on: {error}")
            }
            Self::UpgradeInProgress => f.write_str("another process is about to replace this one"),
        }
    }
}

impl std::error::Error for CommandError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start(error) => Some(error),
            Self::Upgrade(error) => Some(error),
            Self::Config(_) | Self::UpgradeInProgress => None,
        }
    }
}

/// The error of an upgrade.
#[derive(Debug)]
pub(super) enum UpgradeError {
    /// The path of the running binary is unknown.
    UnknownBinary,
    /// A socket could not be duplicated or passed on.
    Sockets(io::Error),
    /// The new process could not be started.
    Spawn {
        /// The path of the new binary.
        program: PathBuf,
        /// The OS error.
        error: io::Error,
    },
    /// The new process ended before it served.
    Ended(ExitStatus),
    /// Waiting for the exit of the new process failed.
    Wait(io::Error),
    /// The new process does not serve, and reported this reason.
    NotServing(String),
    /// The new process did not serve within this time.
    Timeout(Duration),
    /// This process started to drain before the new one served.
    Cancelled,
    /// The task that waits for the new process panicked.
    Task(tokio::task::JoinError),
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownBinary => f.write_str("the path of the running binary is unknown"),
            Self::Sockets(error) => write!(f, "cannot pass on the sockets: {error}"),
            Self::Spawn { program, error } => write!(f, "{}: {error}", program.display()),
            Self::Ended(status) => write!(
                f,
                "the new process ended before it served: {status}; its log has the reason"
            ),
            Self::Wait(error) => write!(f, "cannot wait for the new process: {error}"),
            Self::NotServing(reason) => write!(f, "the new process does not serve: {reason}"),
            Self::Timeout(time) => write!(
                f,
                "the new process did not serve within {} s",
                time.as_secs()
            ),
            Self::Cancelled => f.write_str("this process started to drain"),
            Self::Task(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for UpgradeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Sockets(error) | Self::Spawn { error, .. } | Self::Wait(error) => Some(error),
            Self::Task(error) => Some(error),
            Self::UnknownBinary
            | Self::Ended(_)
            | Self::NotServing(_)
            | Self::Timeout(_)
            | Self::Cancelled => None,
        }
    }
}
