//! The drain of the process. Signals are still handled during the drain.

use std::io;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::app::Running;
use crate::config::Address;
use crate::net::unix;
use crate::supervise::signals::{SignalAction, Signals};
use crate::supervise::{commands, systemd};
use crate::telemetry::sink::SharedSink;

/// How long the admin listener of a replaced process may take to complete its last responses.
const LAST_ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Drains the process. Usually a first termination signal has started the drain; a second termination signal
/// ends the drain early.
pub(super) async fn drain(
    running: &mut Running,
    signals: &mut Signals,
    logs: &[SharedSink],
    admin: Option<JoinHandle<io::Result<()>>>,
) {
    let is_replaced = running.is_replaced();
    tracing::info!("draining");
    if !is_replaced {
        systemd::stopping();
    }
    // A replaced process drains without a termination signal. Therefore the first termination signal does not
    // end this drain.
    let mut has_signal = !is_replaced;
    let again = async {
        loop {
            match signals.next().await {
                SignalAction::End if has_signal => return,
                SignalAction::End => has_signal = true,
                SignalAction::Reopen => commands::reopen(logs),
                SignalAction::Reload | SignalAction::Upgrade => {
                    tracing::warn!("signal ignored: this process is draining");
                }
            }
        }
    };
    tokio::select! {
        () = running.drain() => {}
        () = again => tracing::warn!("second signal to end: stopping now"),
    }
    if let Some(mut admin) = admin {
        // After an upgrade, the admin listener stops by itself as soon as it has responded to the upgrade
        // command.
        if is_replaced {
            drop(tokio::time::timeout(LAST_ANSWER_TIMEOUT, &mut admin).await);
        }
        admin.abort();
    }
    if !is_replaced
        && let Some(admin) = &running.config().admin
        && let Address::Unix(path) = &admin.address
    {
        unix::remove_closed(path);
    }
}
