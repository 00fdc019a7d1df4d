//! What systemd is told (sd_notify(3)). Without it, nothing happens.

use sd_notify::NotifyState;

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot tell systemd");
    }
}

/// The process serves.
pub(super) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// The config is being loaded again.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// The process drains and will end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Another process is the main one from now on.
pub(super) fn main_process(pid: u32) {
    tell(&[NotifyState::MainPid(pid), NotifyState::Ready]);
}

/// Whether the process has to say again and again that it lives.
pub(super) fn has_watchdog() -> bool {
    sd_notify::watchdog_enabled().is_some()
}

/// The process lives.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}
