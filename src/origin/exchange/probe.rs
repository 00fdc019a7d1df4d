//! A probe of one upstream address. It runs the same steps as a client's request.

use std::sync::Arc;

use http::{HeaderMap, Method, Request, Uri};
use tokio::time::Instant;

use crate::origin::endpoint::address_health::Address;
use crate::origin::endpoint::readiness::PROBE_TIMEOUT;
use crate::origin::exchange::attempt::{Deadlines, attempt};
use crate::origin::exchange::liveness::Liveness;
use crate::origin::link::host::Host;
use crate::origin::link::upload::UploadBody;

/// Connects to `address` and completes the TLS handshake of `host`. If `path` is given, also sends a HEAD
/// request for this path. Any response counts as a success, because even a refusal shows that OSS is
/// reachable. Returns whether all steps succeeded, and records the result in the health of the address.
pub(crate) async fn probe(host: &Host, address: Arc<Address>, path: Option<&Uri>) -> bool {
    let deadline = Instant::now() + PROBE_TIMEOUT;
    let candidates = [Arc::clone(&address)];
    let connecting = host.connect_to(&candidates, PROBE_TIMEOUT, deadline);
    let Ok((mut connection, _)) = connecting.await else {
        return false;
    };
    let Some(path) = path else { return true };
    let mut headers = HeaderMap::new();
    host.put_host(&mut headers);
    let mut head = Request::new(()).into_parts().0;
    head.method = Method::HEAD;
    head.uri = path.clone();
    head.headers = headers;
    let request = Request::from_parts(head, UploadBody::Empty);
    let deadlines = Deadlines {
        first_byte: PROBE_TIMEOUT,
        idle: PROBE_TIMEOUT,
    };
    let liveness = Liveness::NotChecked;
    let now = Instant::now();
    match attempt(&mut connection, request, None, deadlines, liveness, now).await {
        Ok(_) => {
            address.note_success();
            true
        }
        Err(failure) => {
            address.note_break(Instant::now(), &failure.error);
            false
        }
    }
}
