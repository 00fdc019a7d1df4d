//! Handles one request from its head to its response, and applies the scripted faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::demo::origin::body::OriginBody;
use crate::demo::origin::dispatch;
use crate::demo::origin::error::OssError;
use crate::demo::origin::receive::{BodyCutShort, RequestBody, receive};
use crate::demo::origin::request::OssRequest;
use crate::demo::origin::respond::Reply;
use crate::demo::origin::script::Fault;
use crate::demo::origin::state::OriginState;
use crate::demo::origin::target::{self, Place, Query};

/// A switch that makes a connection suppress its next `100 Continue`. The server of the connection puts the
/// switch into the extensions of each request, and [`Fault::IgnoreExpect`] sets it.
#[derive(Clone, Debug, Default)]
pub struct ExpectSwitch(Arc<AtomicBool>);

impl ExpectSwitch {
    fn ignore(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether the next `100 Continue` must be suppressed, and resets the switch.
    #[must_use]
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Returns the response to one request.
pub(super) async fn serve<B>(state: &OriginState, request: Request<B>) -> Response<OriginBody>
where
    B: Body<Data = Bytes> + Send,
{
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let host = target::host_of(&parts.uri, &parts.headers);
    let entry = state.seen.push(&parts, &host);
    let name = target::name_of(&host);
    let place = state.store.bound(&name).map_or_else(
        || target::place_of(&name, &state.options.endpoints),
        Place::Bucket,
    );
    let (bucket, key) = target::split(parts.uri.path(), place);
    let request_id = state.next_request_id();
    let faults = state.script.take(&key);
    let request = OssRequest {
        state,
        query: Query::parse(parts.uri.query()),
        raw_query: parts.uri.query(),
        method: &parts.method,
        headers: &parts.headers,
        host: &host,
        bucket,
        key,
        entry: &entry,
        now: (state.options.now)(),
    };
    if faults.contains(&Fault::IgnoreExpect)
        && let Some(switch) = parts.extensions.get::<ExpectSwitch>()
    {
        switch.ignore();
    }
    let body: RequestBody<'_> = Box::pin(body.map_err(|_| BodyCutShort));
    let mut reply = Box::pin(answer(&request, body, &faults))
        .await
        .unwrap_or_else(|error| Reply::error(&error, &request_id, &host, &parts.method));
    for fault in &faults {
        match *fault {
            Fault::StallAt(byte) => reply.body.stall_at(byte),
            Fault::ResetAt(byte) => reply.body.reset_at(byte),
            Fault::AnnounceLength(length) => {
                reply.length = Some(length);
                reply.body.hide_length();
            }
            Fault::DelayAnswer(time) => tokio::time::sleep(time).await,
            Fault::Delay(_) | Fault::Status(_) | Fault::ForbidEarly | Fault::IgnoreExpect => {}
        }
    }
    let date = httpdate::fmt_http_date(request.now);
    reply.finish(&request_id, &date, started.elapsed().as_millis())
}

/// Returns the reply of the handler. If a scripted fault replaces this reply by an error, returns that error.
async fn answer(
    request: &OssRequest<'_>,
    body: RequestBody<'_>,
    faults: &[Fault],
) -> Result<Reply, OssError> {
    for fault in faults {
        match *fault {
            Fault::Delay(time) => tokio::time::sleep(time).await,
            Fault::ForbidEarly => return Err(OssError::Scripted(403)),
            Fault::DelayAnswer(_)
            | Fault::StallAt(_)
            | Fault::ResetAt(_)
            | Fault::AnnounceLength(_)
            | Fault::Status(_)
            | Fault::IgnoreExpect => {}
        }
    }
    let scripted = faults.iter().find_map(|fault| match fault {
        Fault::Status(status) => Some(*status),
        Fault::Delay(_)
        | Fault::DelayAnswer(_)
        | Fault::StallAt(_)
        | Fault::ResetAt(_)
        | Fault::AnnounceLength(_)
        | Fault::ForbidEarly
        | Fault::IgnoreExpect => None,
    });
    if let Some(status) = scripted {
        // The body is read and counted, but not stored.
        drop(receive(body, &HeaderMap::new(), Some(0), request.entry).await);
        return Err(OssError::Scripted(status));
    }
    dispatch::answer(request, body).await
}
