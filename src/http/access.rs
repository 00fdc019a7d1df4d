//! The layer around the router: request id, timings, and one record when the response has ended.
//!
//! It wraps the router and not a route, so unknown hosts and refusals are recorded too. The record
//! goes to the [`Recorder`] when the response body is dropped. Only then are the bytes sent, and
//! whether the response ended early, known. This layer does not format or write anything.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;
use tower::Service;

use crate::http::context::{ConnectionInfo, LineText, RequestContext, RequestFacts, RequestId};
use crate::http::forwarded;
use crate::http::message::Target;
use crate::http::respond;
use crate::http::{BodyError, Received, Request, Response, ResponseBody};

/// Receives the finished records.
pub trait Recorder: Send + Sync + std::fmt::Debug {
    /// Records one request that has ended. Called on the worker thread, so it must not block.
    fn record(&self, context: Arc<RequestContext>);
}

/// The settings of the access layer, shared by all connections.
#[derive(Clone, Debug)]
pub struct AccessLayer {
    recorder: Option<Arc<dyn Recorder>>,
    seed: u64,
}

impl AccessLayer {
    /// `recorder` is `None` when requests are neither logged nor counted. `seed` keeps the request ids
    /// of two processes apart.
    #[must_use]
    pub fn new(recorder: Option<Arc<dyn Recorder>>, seed: u64) -> Self {
        Self { recorder, seed }
    }

    /// Returns the service for one client connection.
    pub fn layer<S>(&self, inner: S, connection: Arc<ConnectionInfo>) -> Access<S> {
        Access {
            inner,
            connection,
            layer: self.clone(),
        }
    }
}

/// The access layer around the service of one client connection.
#[derive(Clone, Debug)]
pub struct Access<S> {
    inner: S,
    connection: Arc<ConnectionInfo>,
    layer: AccessLayer,
}

impl<S> Access<S> {
    fn context(&self, request: &Received) -> RequestContext {
        let headers = request.headers();
        let text = |name| {
            headers
                .get(name)
                .map_or(&b""[..], |value: &http::HeaderValue| value.as_bytes())
        };
        let target = Target::parse(request);
        let mut is_https = self.connection.tls.is_some();
        let mut client = self.connection.client;
        if self.connection.is_trusted {
            is_https |= forwarded::is_https(headers);
            client = forwarded::client(headers, &self.connection.trusted_proxies).or(client);
        }
        let text = if self.layer.recorder.is_some() {
            LineText::new([
                target.as_str().as_bytes(),
                target.host_text(),
                text(header::REFERER),
                text(header::USER_AGENT),
            ])
        } else {
            LineText::new([b"", target.host_text(), b"", b""])
        };
        let prefers_html = headers
            .get(header::ACCEPT)
            .is_some_and(|accept| accept.as_bytes().starts_with(b"text/html"));
        RequestContext::new(
            RequestId::next(self.layer.seed),
            Arc::clone(&self.connection),
            Instant::now(),
            RequestFacts {
                client,
                method: request.method().clone(),
                version: request.version(),
                is_https,
                prefers_html,
                authority: target.parsed_authority(),
            },
            text,
        )
    }
}

impl<S> Service<Received> for Access<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = http::Response<AccessBody>;
    type Error = Infallible;
    type Future = AccessFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Received) -> Self::Future {
        let context = Arc::new(self.context(&request));
        AccessFuture {
            inner: self.inner.call(Request::new(request, Arc::clone(&context))),
            record: Some(Record {
                context,
                recorder: self.layer.recorder.clone(),
            }),
        }
    }
}

/// Passes the context to the recorder when dropped: at the end of the response, or earlier when the
/// client disconnects.
#[derive(Debug)]
struct Record {
    context: Arc<RequestContext>,
    recorder: Option<Arc<dyn Recorder>>,
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(recorder) = &self.recorder {
            let total = self.context.start.elapsed();
            let mut outcome = self.context.outcome();
            outcome.total = total;
            outcome.is_aborted |= outcome.status.is_none();
            drop(outcome);
            recorder.record(Arc::clone(&self.context));
        }
    }
}

/// The future of [`Access`].
#[derive(Debug)]
pub struct AccessFuture<F> {
    inner: F,
    record: Option<Record>,
}

impl<F> Future for AccessFuture<F>
where
    F: Future<Output = Result<Response, Infallible>> + Unpin,
{
    type Output = Result<http::Response<AccessBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Ok(mut response) = ready!(Pin::new(&mut this.inner).poll(cx));
        let record = this.record.take();
        if let Some(record) = &record {
            response
                .headers_mut()
                .insert(respond::REQUEST_ID, record.context.id.to_header());
            record.context.outcome().status = Some(response.status());
        }
        Poll::Ready(Ok(response.map(|inner| AccessBody {
            inner,
            bytes_out: 0,
            record,
        })))
    }
}

/// A response body whose bytes are counted. The request ends when it is dropped.
#[derive(Debug)]
pub struct AccessBody {
    inner: ResponseBody,
    bytes_out: u64,
    record: Option<Record>,
}

impl Body for AccessBody {
    type Data = Bytes;
    type Error = BodyError;

    #[inline]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.bytes_out = self
                .bytes_out
                .saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for AccessBody {
    fn drop(&mut self) {
        if let Some(record) = &self.record {
            let mut outcome = record.context.outcome();
            outcome.bytes_out = self.bytes_out;
            outcome.is_aborted = !self.inner.is_end_stream();
        }
    }
}
