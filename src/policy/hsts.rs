//! Adds `Strict-Transport-Security` to the responses over TLS (RFC 6797).
//!
//! The field must not be sent without TLS (RFC 6797 section 7.2). The layer is above every other policy
//! except `ip`, so that the refusals of all other policies and the responses to preflights also carry the
//! field.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{self, HeaderValue};
use tower::Service;

use crate::config::policy as config;
use crate::http::{Request, Response};

/// The complete value of the header field.
#[derive(Debug)]
pub struct Hsts(HeaderValue);

impl Hsts {
    /// Compiles the settings. Returns `None` only if the text is not a valid field value. This never
    /// happens, because the text consists of a number and fixed words.
    #[must_use]
    pub fn new(config: &config::Hsts) -> Option<Self> {
        let mut text = format!("max-age={}", config.max_age.as_secs());
        if config.include_subdomains {
            text.push_str("; includeSubDomains");
        }
        if config.preload {
            text.push_str("; preload");
        }
        HeaderValue::try_from(text).ok().map(Self)
    }
}

/// The service that applies [`Hsts`]. Without a policy, responses are not changed.
#[derive(Clone, Debug)]
pub struct HstsService<S> {
    policy: Option<Arc<Hsts>>,
    inner: S,
}

impl<S> HstsService<S> {
    /// Creates a service that applies `policy` and sends the requests on to `inner`.
    pub fn new(policy: Option<Arc<Hsts>>, inner: S) -> Self {
        Self { policy, inner }
    }
}

impl<S> Service<Request> for HstsService<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = Infallible;
    type Future = HstsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let value = match &self.policy {
            Some(policy) if request.context().is_https => Some(policy.0.clone()),
            Some(_) | None => None,
        };
        HstsFuture {
            value,
            inner: self.inner.call(request),
        }
    }
}

/// The future of [`HstsService`].
#[derive(Debug)]
pub struct HstsFuture<F> {
    value: Option<HeaderValue>,
    inner: F,
}

impl<F> Future for HstsFuture<F>
where
    F: Future<Output = Result<Response, Infallible>> + Unpin,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // The response is changed in place, because moving it costs about 50 instructions in each layer.
        let mut polled = Pin::new(&mut this.inner).poll(cx);
        if let Poll::Ready(Ok(response)) = &mut polled
            && let Some(value) = this.value.take()
        {
            response
                .headers_mut()
                .insert(header::STRICT_TRANSPORT_SECURITY, value);
        }
        polled
    }
}
