//! The new process of an upgrade: takes over the sockets and reports to the old process.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::app::Running;
use crate::health::Health;
use crate::listener::bind::{Bound, Inherited};
use crate::supervise::upgrade_protocol::{FIT, LEAVING, REPORT_SOCKET, SERVING, SOCKETS, STATE};

/// How long a new process may take to reach an endpoint.
const FITNESS_TIMEOUT: Duration = Duration::from_secs(10);

/// The old process, which waits until this process reports that it serves.
#[derive(Debug)]
pub struct Predecessor {
    reports: UnixDatagram,
    /// Whether the old process was draining by command. If so, this process also drains by command.
    is_leaving: bool,
    /// Whether the old process could reach an endpoint.
    was_fit: bool,
}

impl Predecessor {
    /// Reports [`SERVING`], or the reason why this process does not serve.
    fn report(self, text: &str) {
        if let Err(error) = self.reports.send(text.as_bytes()) {
            tracing::warn!(%error, "cannot report to the old process");
        }
    }
}

/// Returns the sockets that systemd (sd_listen_fds(3)) or the old process of an upgrade passed to this
/// process. This function must be called only once, before any thread is started. `env` returns environment
/// variables by name.
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
        if name == REPORT_SOCKET {
            if let Ok(Some(socket)) = passed.take_unix_datagram(index) {
                let state = env(STATE).unwrap_or_default();
                predecessor = Some(Predecessor {
                    reports: socket,
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

/// Accepts connections, and takes over from `predecessor` if there is one. Until this process has reached an
/// endpoint, only the old process serves, so that no health check fails in between. If the old process could
/// not reach an endpoint, this process accepts connections even if it reaches no endpoint.
///
/// # Errors
///
/// [`std::io::ErrorKind::Other`] when this process reaches no endpoint although the old process did.
pub(super) async fn take_over(
    running: &mut Running,
    predecessor: Option<Predecessor>,
) -> std::io::Result<()> {
    let Some(predecessor) = predecessor else {
        running.open();
        return Ok(());
    };
    let state = running.state();
    let is_fit = wait_for_fitness(&state.health).await && state.proves_fit().await;
    if !is_fit && predecessor.was_fit {
        let troubles = state.health.troubles().join("; ");
        predecessor.report(&format!("it can reach no endpoint: {troubles}"));
        // The old process still uses the sockets and their files, so this process must not remove the files.
        running.set_replaced();
        return Err(std::io::Error::other("no endpoint can be reached"));
    }
    running.open();
    if predecessor.is_leaving {
        running.leave();
    }
    predecessor.report(SERVING);
    Ok(())
}

/// Waits until an endpoint can be reached. Returns `false` after [`FITNESS_TIMEOUT`].
async fn wait_for_fitness(health: &Health) -> bool {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let waiting = async {
        while !health.is_fit() {
            pace.tick().await;
        }
    };
    tokio::time::timeout(FITNESS_TIMEOUT, waiting).await.is_ok()
}
