//! The layer around the router. It assigns the request id, measures times, and records each request when
//! its response has ended.
//!
//! The layer wraps the whole router and not each route, so requests for unknown hosts and refused requests
//! are also recorded. The context of a request is passed to the [`Recorder`] when the response body is
//! dropped. At that time it is known how many bytes were sent and whether the response ended early. This
//! layer does not format or write anything.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::http::context::{
    AbortReason, ConnectionInfo, LineText, RequestContext, RequestFacts, RequestId, UploadState,
};
use crate::http::forwarded;
use crate::http::message::Target;
use crate::http::respond;
use crate::http::{BodyError, Received, Request, Response, ResponseBody};

/// The maximum time that an exchange with OSS continues after its client has disconnected. The deadlines
/// of the origin nearly always end such an exchange earlier.
const FINISH: Duration = Duration::from_secs(300);

/// Receives the context of each request that has ended.
pub trait Recorder: Send + Sync + std::fmt::Debug {
    /// Records one request that has ended. Called on the worker thread, so it must not block.
    fn record(&self, context: Arc<RequestContext>);
}

/// The settings of the access layer, shared by all connections.
#[derive(Clone, Debug)]
pub struct AccessLayer {
    recorder: Option<Arc<dyn Recorder>>,
    seed: u64,
    tasks: TaskTracker,
}

impl AccessLayer {
    /// Creates the settings. `recorder` is `None` when requests are neither logged nor counted. `seed`
    /// makes the request ids of two processes differ.
    #[must_use]
    pub fn new(recorder: Option<Arc<dyn Recorder>>, seed: u64) -> Self {
        Self {
            recorder,
            seed,
            tasks: TaskTracker::new(),
        }
    }

    /// Returns a copy of the layer for one worker. An exchange that continues after its client has
    /// disconnected runs as a task of `tasks`.
    #[must_use]
    pub fn on_worker(&self, tasks: TaskTracker) -> Self {
        Self {
            tasks,
            ..self.clone()
        }
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
    S::Future: Unpin + Send + 'static,
{
    type Response = http::Response<AccessBody>;
    type Error = Infallible;
    type Future = AccessFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Received) -> Self::Future {
        let context = Arc::new(self.context(&request));
        request.body_mut().set_context(&context);
        let inner = self.inner.call(Request::new(request, Arc::clone(&context)));
        AccessFuture(Some(Exchange {
            inner,
            record: Record {
                context,
                recorder: self.layer.recorder.clone(),
            },
            tasks: self.layer.tasks.clone(),
        }))
    }
}

/// Passes the context to the recorder when dropped. The drop happens when the response body has ended or
/// the client has disconnected. If the exchange continues without its client, the drop happens at the end
/// of the exchange.
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
            match (self.context.upload(), outcome.status) {
                (UploadState::BrokenOff, _) | (UploadState::Open, None) => {
                    outcome.aborted = Some(AbortReason::UploadIncomplete);
                }
                (UploadState::None | UploadState::Whole, None) => {
                    outcome.aborted = Some(AbortReason::ClientGone);
                }
                (UploadState::None | UploadState::Open | UploadState::Whole, Some(_)) => {}
            }
            drop(outcome);
            recorder.record(Arc::clone(&self.context));
        }
    }
}

/// A request whose response has not begun.
#[derive(Debug)]
struct Exchange<F> {
    inner: F,
    record: Record,
    tasks: TaskTracker,
}

/// The future of [`Access`].
///
/// hyper drops this future when the client's connection or HTTP/2 stream has ended. If the request body
/// has already been read to its end, the exchange continues as a task of its own: the client has sent the
/// complete upload, and OSS must store the object even if the client does not wait for the response.
#[derive(Debug)]
pub struct AccessFuture<F>(Option<Exchange<F>>)
where
    F: Future<Output = Result<Response, Infallible>> + Unpin + Send + 'static;

impl<F> Future for AccessFuture<F>
where
    F: Future<Output = Result<Response, Infallible>> + Unpin + Send + 'static,
{
    type Output = Result<http::Response<AccessBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(exchange) = &mut this.0 else {
            return Poll::Pending;
        };
        let Ok(mut response) = ready!(Pin::new(&mut exchange.inner).poll(cx));
        let record = this.0.take().map(|exchange| exchange.record);
        if let Some(record) = &record {
            response
                .headers_mut()
                .insert(respond::REQUEST_ID, record.context.id.to_header());
            record.context.outcome().status = Some(response.status());
        }
        Poll::Ready(Ok(response.map(|inner| AccessBody {
            inner,
            bytes_out: 0,
            has_failed: false,
            record,
        })))
    }
}

impl<F> Drop for AccessFuture<F>
where
    F: Future<Output = Result<Response, Infallible>> + Unpin + Send + 'static,
{
    fn drop(&mut self) {
        let Some(exchange) = self.0.take() else {
            return;
        };
        if exchange.record.context.upload() != UploadState::Whole {
            return;
        }
        // If the worker has already ended, there is no runtime, and the exchange is dropped.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let tasks = exchange.tasks.clone();
            tasks.spawn_on(finish(exchange), &runtime);
        }
    }
}

/// Finishes an exchange whose client has disconnected. At the end of the exchange, the request is recorded
/// without a status.
async fn finish<F>(exchange: Exchange<F>)
where
    F: Future<Output = Result<Response, Infallible>> + Unpin,
{
    // The exchange writes its outcome into the context, which is recorded after the exchange or after this
    // time limit. The response itself is not used.
    drop(tokio::time::timeout(FINISH, exchange.inner).await);
    drop(exchange.record);
}

/// A response body that counts its bytes. The request ends when the body is dropped.
#[derive(Debug)]
pub struct AccessBody {
    inner: ResponseBody,
    bytes_out: u64,
    has_failed: bool,
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
        match &frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.bytes_out = self
                    .bytes_out
                    .saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
            }
            Some(Err(_)) => self.has_failed = true,
            None => {}
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
            outcome.aborted = if self.has_failed {
                Some(AbortReason::OriginBroke)
            } else if self.inner.is_end_stream() {
                None
            } else {
                Some(AbortReason::ClientGone)
            };
        }
    }
}
