//! The signals of the process and the action of each.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The handlers of the signals. Before the handlers are installed, each of these signals kills the process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    quit: Signal,
    interrupt: Signal,
    hang_up: Signal,
    reopen: Signal,
    upgrade: Signal,
}

/// The action of a signal.
pub(super) enum SignalAction {
    /// Drains and ends the process.
    End,
    /// Reloads the config.
    Reload,
    /// Reopens the log files.
    Reopen,
    /// Starts the new binary and ends this process.
    Upgrade,
}

impl Signals {
    /// Installs the handlers. This function must be called inside the runtime that waits for the signals.
    ///
    /// # Errors
    ///
    /// The OS error if a handler cannot be installed.
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

    /// Waits for the next signal. Cancel-safe.
    pub(super) async fn next(&mut self) -> SignalAction {
        tokio::select! {
            _ = self.terminate.recv() => SignalAction::End,
            _ = self.quit.recv() => SignalAction::End,
            _ = self.interrupt.recv() => SignalAction::End,
            _ = self.hang_up.recv() => SignalAction::Reload,
            _ = self.reopen.recv() => SignalAction::Reopen,
            _ = self.upgrade.recv() => SignalAction::Upgrade,
        }
    }
}
