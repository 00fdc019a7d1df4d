//! Notifications to systemd (sd_notify(3)). Without systemd they have no effect.

use sd_notify::NotifyState;

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot notify systemd");
    }
}

/// Notifies that the process serves.
pub(super) fn ready() {
    notify(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// Notifies that the config is being reloaded.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
}

/// Notifies that the process is draining and will end.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Notifies that the process `pid` is the main process from now on.
pub(super) fn main_process(pid: u32) {
    notify(&[NotifyState::MainPid(pid), NotifyState::Ready]);
}

/// Whether the watchdog of systemd expects the periodic notification [`alive`].
pub(super) fn has_watchdog() -> bool {
    sd_notify::watchdog_enabled().is_some()
}

/// Notifies the watchdog that the process is alive.
pub(super) fn alive() {
    notify(&[NotifyState::Watchdog]);
}
