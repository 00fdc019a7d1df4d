//! Determines whether the endpoints in use are reachable; the readiness of the node depends on it.
//!
//! The results of the connects that requests make are recorded, and are the main source. An endpoint is
//! unreachable in any of these cases: it has no address, no connection to it was ever established, connects
//! to each of its addresses fail, or the last HEAD probe got no response. A node that is not ready gets no
//! traffic, so no request would show that the endpoint works again. Therefore
//! [`watch`](crate::origin::exchange::watch) probes unreachable endpoints.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::origin::endpoint::address_health::Address;
use crate::origin::endpoint::addresses::AddressSet;
use crate::origin::error::Error;

/// The timeout of a probe's connect. The kernel repeats a lost SYN after one second, so one lost SYN does
/// not fail a probe.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// An address that has worked counts as lost when connects to it have failed for this time. When an endpoint
/// moves, all its old addresses fail at once. The first failure requests a resolution, and DNS usually
/// returns the new addresses within this time.
const PATIENCE: Duration = Duration::from_millis(1200);

/// The result of evaluating the endpoints.
#[derive(Debug)]
pub(crate) struct Reachability {
    /// Whether at least one endpoint is reachable, or there is no endpoint.
    pub(crate) is_fit: bool,
    /// One message for each unreachable endpoint: its name and the reason.
    pub(crate) troubles: Vec<String>,
}

/// Evaluates the recorded results of the endpoints, without I/O.
#[must_use]
pub(crate) fn evaluate<'a>(
    sets: impl IntoIterator<Item = &'a AddressSet>,
    now: Instant,
) -> Reachability {
    let mut troubles = Vec::new();
    let (mut has_good, mut is_empty) = (false, true);
    for set in sets {
        is_empty = false;
        match trouble(set, now) {
            Some(trouble) => troubles.push(format!("{}: {trouble}", set.label())),
            None => has_good = true,
        }
    }
    Reachability {
        is_fit: has_good || is_empty,
        troubles,
    }
}

/// Returns why an endpoint is unreachable, or `None` if it is reachable.
#[must_use]
pub(crate) fn trouble(set: &AddressSet, now: Instant) -> Option<String> {
    let snapshot = set.snapshot();
    let addresses = snapshot.addresses();
    if addresses.is_empty() {
        return Some(match set.failure() {
            Some(failure) => format!("no address: {failure}"),
            None => "no address".to_owned(),
        });
    }
    if addresses
        .iter()
        .all(|address| address.is_lost(now, PATIENCE))
    {
        let mut text = match addresses {
            [only] => format!("its address {} cannot be connected to", only.socket),
            many => format!("none of its {} addresses can be connected to", many.len()),
        };
        let age = set.age(now).unwrap_or_default().as_secs();
        if age > 0 {
            text.push_str(&format!(", resolved {age} s ago"));
        }
        if let Some(failure) = set.connect_failure() {
            text.push_str(": ");
            text.push_str(&failure);
        }
        return Some(text);
    }
    if set.is_silent() {
        return Some("accepts connections and does not answer `server.probe_path`".to_owned());
    }
    (!set.was_reached()).then(|| "not connected to yet".to_owned())
}

/// Returns whether `address` accepts a connection. The connection is closed at once. If this process has no
/// free descriptor or local port, returns true, because the address did not cause that failure.
///
/// Cancel-safe.
pub(crate) async fn accepts(address: Arc<Address>) -> bool {
    let began = Instant::now();
    let connecting = TcpStream::connect(address.socket);
    match tokio::time::timeout(PROBE_TIMEOUT, connecting).await {
        Ok(Ok(_)) => {
            address.note_accepted(Instant::now());
            return true;
        }
        Ok(Err(error)) => match Error::from_connect(error, address.socket) {
            Error::Busy => return true,
            error => address.note_failure(began, Instant::now(), error),
        },
        Err(_) => address.note_failure(began, Instant::now(), "no answer to a connect"),
    }
    false
}
