//! Sends a client's request to OSS and returns a response that can be passed on.
//!
//! - [`rewrite`]: determines the bucket of a request, and the target that is sent to OSS. Does no I/O.
//! - [`locate`]: calls `rewrite`, and also accepts ListBuckets, which names no bucket. Does no I/O.
//! - `fields`: changes the header fields that the config names in requests. Does no I/O.
//! - `outgoing`: conversion of a client's request into the request for OSS.
//! - `attempt`: one request and the head of its response on one connection, with the deadlines.
//! - `liveness`: checks whether the address or the host still accepts connections while a response takes
//!   long.
//! - [`repeat`]: the rule that decides whether a request is sent again. Does no I/O.
//! - `failure_log`: events about requests that got no response.
//! - `signing`: signatures with the access key of the route's credentials.
//! - `answer_head`, `deliver`: checks of a response, and its conversion into the response for the client.
//! - [`watch`], `probe`: reachability checks of the endpoints, for readiness.
//! - `download`, `resume`, `entity`: the body of a response, and its continuation after a connection error.
//!
//! This is the highest layer of `origin`. It uses the other three modules.

mod answer_head;
pub(crate) mod attempt;
mod deliver;
mod download;
mod entity;
mod failure_log;
pub(crate) mod fields;
mod liveness;
pub(crate) mod locate;
mod outgoing;
mod probe;
pub(crate) mod repeat;
mod resume;
pub(crate) mod rewrite;
mod signing;
mod unanswered;
pub(crate) mod watch;

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;

use crate::http::context::RequestContext;
use crate::http::signing::SignRequests;
use crate::http::{Received, Response};
use crate::origin::error::Error;
use crate::origin::exchange::attempt::{Deadlines, attempt};
use crate::origin::exchange::deliver::Answered;
use crate::origin::exchange::failure_log::FailureLog;
use crate::origin::exchange::fields::{FieldChange, FieldChanges};
use crate::origin::exchange::liveness::Liveness;
use crate::origin::exchange::locate::Service;
use crate::origin::exchange::outgoing::Outgoing;
use crate::origin::exchange::repeat::{Attempted, BodyState, Decision, RequestKind};
use crate::origin::exchange::rewrite::{Destination, Rewrite};
use crate::origin::exchange::signing::Signing;
pub(crate) use crate::origin::exchange::unanswered::Unanswered;
use crate::origin::link::reuse::{Acceptable, Age};
use crate::origin::link::upload::Upload;
use crate::origin::tiers::buckets::BucketTable;
use crate::origin::tiers::choice::{self, Chosen, NoConnection};
use crate::origin::tiers::signed_host::{Scheme, SignedHost};
use crate::oss::addressing::{Layout, split_query};

/// The parts of a request that decide where it is sent.
#[derive(Clone, Copy, Debug)]
pub struct HeadToSend<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path and query.
    pub target: &'a str,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The host without port. Empty if the request has no host.
    pub host: &'a str,
    /// The host as received: the authority of the request target, otherwise the first `Host` field.
    pub host_text: &'a [u8],
    /// The scheme that the client used.
    pub scheme: Scheme,
}

/// The settings for exchanging the requests of one route with OSS.
#[derive(Debug)]
pub(crate) struct Exchange {
    rewrite: Rewrite,
    buckets: BucketTable,
    /// The settings for ListBuckets, if the route passes ListBuckets on; otherwise `None`.
    service: Option<Service>,
    /// The signer of the route; `None` if it has no credentials.
    signer: Option<Arc<dyn SignRequests>>,
    fields: FieldChanges,
    deadlines: Deadlines,
    failures: FailureLog,
}

impl Exchange {
    /// Combines the settings of a route.
    #[must_use]
    pub(crate) fn new(
        rewrite: Rewrite,
        buckets: BucketTable,
        service: Option<Service>,
        signer: Option<Arc<dyn SignRequests>>,
        fields: FieldChanges,
        deadlines: Deadlines,
    ) -> Self {
        Self {
            rewrite,
            buckets,
            service,
            signer,
            fields,
            deadlines,
            failures: FailureLog::default(),
        }
    }

    /// Returns the buckets of the route.
    #[must_use]
    pub(crate) fn buckets(&self) -> &BucketTable {
        &self.buckets
    }

    /// Returns the positions of bucket and key in the requests of the route.
    #[must_use]
    pub(crate) fn layout(&self) -> &Layout {
        &self.rewrite.layout
    }

    /// Returns the changes of the header fields of a request.
    pub(crate) fn field_changes<'s>(
        &'s self,
        headers: &HeaderMap,
        raw_query: Option<&str>,
    ) -> impl Iterator<Item = FieldChange<'s>> + use<'s> {
        self.fields.of_request(headers, raw_query)
    }

    /// Returns the destination to which `request` would be sent.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchBucket`] if the bucket is not served, [`Error::NoBucket`] if the request names none,
    /// [`Error::SignatureBoundToHost`] if its signature is for another host, [`Error::NotSigned`] if it is not
    /// signed and the route does not sign it.
    pub(crate) fn destination(&self, request: &HeadToSend<'_>) -> Result<Destination, Error> {
        let located = locate::locate(
            &self.rewrite,
            &self.buckets,
            self.service.as_ref(),
            request.method,
            || request.host,
            request.target,
        )?;
        let tiers = &located.bucket.tiers;
        let (_, query) = split_query(request.target);
        SignedHost::of(request.headers, query, request.host_text, request.scheme)
            .map_or(Ok(()), |signed| signed.check(tiers))?;
        let host = tiers.first();
        let bucket = located.bucket.name.as_deref();
        let admission = match &self.signer {
            None => None,
            Some(signer) => {
                let parts = (request.method, request.headers);
                let target = split_query(&located.target);
                let addressing = self.rewrite.addressing;
                Some(signing::admit(
                    &**signer, parts, bucket, addressing, target,
                )?)
            }
        };
        Ok(Destination {
            admission,
            bucket: bucket.map(str::to_owned),
            endpoint: host.endpoint.to_string(),
            host: String::from_utf8_lossy(host.host.as_bytes()).into_owned(),
            target: located.target.into_owned(),
        })
    }

    /// Sends a request to OSS and returns the response for the client.
    ///
    /// # Errors
    ///
    /// [`Unanswered`] with any [`Error`]: OSS could not be reached, did not respond, or its response cannot be
    /// passed on.
    pub(crate) async fn forward(
        &self,
        request: Received,
        context: &Arc<RequestContext>,
    ) -> Result<Response, Unanswered> {
        let result = self.exchange(request, context).await;
        if let Err(Unanswered { error, endpoint }) = &result
            && let Some(endpoint) = endpoint
        {
            self.failures.note(error, endpoint, context);
        }
        result
    }

    async fn exchange(
        &self,
        request: Received,
        context: &Arc<RequestContext>,
    ) -> Result<Response, Unanswered> {
        let service = self.service.as_ref();
        let mut outgoing =
            outgoing::prepare(&self.rewrite, &self.buckets, service, request, context)?;
        if let Some(head) = &mut outgoing.head {
            let (query, host) = (head.uri.query(), context.text.host());
            SignedHost::of(&head.headers, query, host, Scheme::of(context))
                .map_or(Ok(()), |signed| signed.check(&outgoing.bucket.tiers))?;
            // The fields are changed before the first attempt, so that every attempt and every request for the
            // rest of a download has the changes.
            self.fields.apply(&mut head.headers, query);
        }
        if let (Some(signer), Some(head)) = (&self.signer, &mut outgoing.head) {
            let name = outgoing.bucket.name.as_ref();
            outgoing.signing = Signing::of(signer, head, name, self.rewrite.addressing).await?;
        }
        let is_empty = |upload: &mut Arc<Upload>| upload.is_announced_empty();
        if let Some(upload) = outgoing.upload.take_if(is_empty) {
            // The client announced the length 0, but the stream has not ended. OSS would take the head alone
            // for a complete upload and create an empty object, although the client may still reset the
            // stream. Therefore the end of the stream is awaited first.
            if !upload.reads_empty().await {
                return Err(Error::ClientBody.into());
            }
        }
        let result = self.send(&mut outgoing, context).await;
        if let Some(upload) = &outgoing.upload {
            context.outcome().bytes_in = upload.received();
        }
        let answered = result?;
        let now = Instant::now();
        context.outcome().first_byte = Some(now.saturating_duration_since(context.start));
        let host = Arc::clone(&answered.host);
        deliver::deliver(
            &self.rewrite,
            self.deadlines,
            answered,
            outgoing,
            context,
            now,
        )
        .map_err(|error| Unanswered::at(&host, error))
    }

    /// Sends a request, repeatedly if necessary, until a response begins or [`repeat::decide`] returns
    /// `Stop`.
    async fn send(
        &self,
        outgoing: &mut Outgoing,
        context: &RequestContext,
    ) -> Result<Answered, Unanswered> {
        let mut head = outgoing.head.take();
        let kind = outgoing.kind;
        let tiers = &outgoing.bucket.tiers;
        let mut attempts = 0_u32;
        let mut has_learned = false;
        while let Some(mut parts) = head.take() {
            let acceptable = match (attempts, kind) {
                (0, RequestKind::Read) => Acceptable::Any,
                (0, RequestKind::Idempotent) if outgoing.upload.is_none() => Acceptable::Any,
                // OSS may already have closed an idle connection. A request that fails on such a connection
                // may not be repeatable, so the kernel is first asked whether the connection is open.
                (0, RequestKind::Idempotent | RequestKind::Once) => Acceptable::ConfirmedOpen,
                (_, _) => Acceptable::New,
            };
            let Chosen {
                host,
                tier,
                mut connection,
            } = match choice::connection(tiers, &parts, context, acceptable).await {
                Ok(chosen) => chosen,
                Err(NoConnection { error, host }) => {
                    context.outcome().endpoint = Some(Arc::clone(&host.endpoint));
                    return Err(Unanswered::at(&host, error));
                }
            };
            host.put_host(&mut parts.headers);
            if tiers.has_alternatives() {
                tiers.note_tier(tier, context);
            }
            {
                let mut outcome = context.outcome();
                outcome.upstream = Some(connection.address.socket);
                outcome.reused = connection.age == Age::Reused;
                outcome.retries = attempts;
            }
            let copy = repeat::needs_copy(kind).then(|| parts.clone());
            let now = match connection.age {
                Age::Reused => context.start,
                Age::Fresh => Instant::now(),
            };
            // The head is signed after it was copied, so that the copy for the next attempt has no signature yet.
            let signing = outgoing.signing.as_ref();
            let stamp = match signing {
                None => None,
                Some(signing) => Some(signing.sign(&mut parts)?),
            };
            let request = outgoing.build(parts);
            let upload = outgoing.upload.as_ref();
            let liveness = match kind {
                RequestKind::Read | RequestKind::Idempotent => Liveness::of(tiers, tier),
                RequestKind::Once => Liveness::NotChecked,
            };
            let exchanged = attempt(
                &mut connection,
                request,
                upload,
                self.deadlines,
                liveness,
                now,
            );
            let failure = match exchanged.await {
                Ok(mut answer) => {
                    let mut document = None;
                    if let (Some(signing), Some(stamp)) = (signing, stamp)
                        && answer.status() == StatusCode::FORBIDDEN
                        && upload.is_none()
                    {
                        // Boxed, because only refused requests need it.
                        let idle = self.deadlines.idle;
                        let learned = signing.learns(stamp, &mut answer, &mut connection, idle);
                        let learned = Box::pin(learned)
                            .await
                            .map_err(|error| Unanswered::at(&host, error))?;
                        document = learned.body;
                        let is_again = learned.is_again && !has_learned;
                        if let Some(code) = learned.own_fault
                            && !(is_again && kind == RequestKind::Read)
                        {
                            return Err(Unanswered::at(&host, Error::OwnSignature(code)));
                        }
                        if is_again && kind == RequestKind::Read {
                            has_learned = true;
                            attempts += 1;
                            head = copy;
                            continue;
                        }
                    }
                    return Ok(Answered {
                        answer,
                        document,
                        connection,
                        host,
                        copy: copy.filter(|_| kind == RequestKind::Read),
                    });
                }
                Err(failure) => failure,
            };
            if connection.age == Age::Fresh && failure.is_break() {
                connection
                    .address
                    .note_break(Instant::now(), &failure.error);
            }
            let decision = repeat::decide(&Attempted {
                kind,
                body: BodyState::of(upload.map(|upload| &**upload)),
                end: failure.end(&connection),
                attempts: attempts + 1,
                has_budget: host.has_retry_budget(),
            });
            if decision == Decision::Stop || !host.take_retry() {
                return Err(Unanswered::at(&host, failure.error));
            }
            tracing::debug!(address = %connection.address.socket, error = %failure.error, "sending again");
            // The copy is preferred to the unsent request, because the proxy has not signed the copy.
            let unsent = failure.unsent.map(|request| request.into_parts().0);
            head = copy.or(unsent);
            if let Some(upload) = upload {
                upload.rewind();
            }
            attempts += 1;
        }
        // This line is never reached: the first round has a head, and a decision to send the request again
        // always provides the head for the next round.
        Err(Error::Busy.into())
    }
}
