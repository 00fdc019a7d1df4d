//! Handles responses that force a browser to download: logs a warning, or removes the header fields if the
//! config says so.
//!
//! On its default domains, OSS adds two header fields to responses with web content types:
//! `x-oss-force-download`, and a `Content-Disposition` that makes a browser save the file. On a domain bound
//! to the bucket, OSS sends neither of them.

use std::collections::HashSet;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::header::{self, HeaderName};
use tower::Service;

use crate::http::context::RequestContext;
use crate::http::{Request, Response};

const FORCED: HeaderName = HeaderName::from_static("x-oss-force-download");
const EC: HeaderName = HeaderName::from_static("x-oss-ec");

/// The handling of the headers of a forced download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForcedDownload {
    /// The headers are sent to the client, and a warning is logged once per bucket.
    Keep,
    /// The headers are removed.
    Strip,
}

/// The setting, and the buckets for which a warning has been logged.
#[derive(Debug)]
pub struct Preview {
    forced: ForcedDownload,
    /// Locked only for responses that force a download.
    warned: Mutex<HashSet<Arc<str>>>,
}

impl Preview {
    /// Creates the policy; no warning has been logged yet.
    #[must_use]
    pub fn new(forced: ForcedDownload) -> Self {
        Self {
            forced,
            warned: Mutex::default(),
        }
    }

    fn apply(&self, context: &RequestContext, response: &mut Response) {
        if !response.headers().contains_key(FORCED) {
            return;
        }
        let headers = response.headers_mut();
        if self.forced == ForcedDownload::Strip {
            headers.remove(FORCED);
            headers.remove(header::CONTENT_DISPOSITION);
            return;
        }
        let bucket = context.outcome().bucket.clone().unwrap_or_default();
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert(Arc::clone(&bucket)) {
            let ec = headers.get(EC);
            tracing::warn!(
                %bucket, ?ec,
                "OSS forces downloads on the domain that is sent to it; for previews bind a domain to the bucket and set `origin.host` to it"
            );
        }
    }
}

/// The service that applies [`Preview`].
#[derive(Clone, Debug)]
pub struct PreviewService<S> {
    policy: Arc<Preview>,
    inner: S,
}

impl<S> PreviewService<S> {
    /// Creates a service that applies `policy` and sends the requests on to `inner`.
    pub fn new(policy: Arc<Preview>, inner: S) -> Self {
        Self { policy, inner }
    }
}

impl<S> Service<Request> for PreviewService<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = Infallible;
    type Future = PreviewFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        PreviewFuture {
            policy: Arc::clone(&self.policy),
            context: Arc::clone(request.context()),
            inner: self.inner.call(request),
        }
    }
}

/// The future of [`PreviewService`].
#[derive(Debug)]
pub struct PreviewFuture<F> {
    policy: Arc<Preview>,
    context: Arc<RequestContext>,
    inner: F,
}

impl<F> Future for PreviewFuture<F>
where
    F: Future<Output = Result<Response, Infallible>> + Unpin,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // The response is changed in place, because moving it costs about 50 instructions in each layer.
        let mut polled = Pin::new(&mut this.inner).poll(cx);
        if let Poll::Ready(Ok(response)) = &mut polled {
            this.policy.apply(&this.context, response);
        }
        polled
    }
}
