//! Whether the endpoints in use can be reached; readiness depends on it.
//!
//! The connects of requests are the first source. An endpoint is unreachable when it has no address, when
//! no address was ever connected to, or when connects to each of its addresses fail. A node that is not
//! ready gets no traffic, so no request would notice that the endpoint works again:
//! [`watch`](crate::origin::exchange::watch) probes unreachable endpoints.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::origin::endpoint::address_health::Address;
use crate::origin::endpoint::addresses::AddressSet;
use crate::origin::error::Error;

/// The longest wait for the connect of a check. The kernel repeats a lost SYN after one second.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long connects to an address that has worked must fail before the address counts as lost. When an
/// endpoint moves, all its addresses fail at once; the first failure requests a resolution, and DNS has
/// the new addresses within this time.
const PATIENCE: Duration = Duration::from_millis(1200);

/// Which endpoints can be reached.
#[derive(Debug)]
pub(crate) struct Reachability {
    /// Whether at least one endpoint can be reached, or there is none.
    pub(crate) is_fit: bool,
    /// One text for each endpoint that cannot be reached: its name and the reason.
    pub(crate) troubles: Vec<String>,
}

/// Evaluates what is known of the endpoints, without I/O.
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

/// Why an endpoint cannot be reached; `None` when it can.
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
        let age = set.age(now).unwrap_or_default().as_secs();
        return Some(format!(
            "none of its {} addresses can be connected to; resolved {age} s ago",
            addresses.len()
        ));
    }
    (!set.was_reached()).then(|| "not connected to yet".to_owned())
}

/// Whether `address` accepts a connection, which is closed at once. True as well when this process has no
/// descriptor or port left for the connect: that says nothing about the address.
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
        Ok(Err(error)) => match Error::from_connect(error) {
            Error::Busy => return true,
            error => address.note_failure(began, Instant::now(), error),
        },
        Err(_) => address.note_failure(began, Instant::now(), "no answer to a connect"),
    }
    false
}
