//! Hotlink protection: refuses objects to pages of sites that may not show them.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use http::header;
use http::{HeaderMap, Method, StatusCode};
use tower::Service;

use crate::config::policy::{self as config, RefererMode};
use crate::http::respond::{self, Reason};
use crate::http::{Request, Response};
use crate::oss::addressing::Layout;
use crate::oss::glob::TooLarge;
use crate::oss::referer::{MESSAGE, Rules, Verdict};
use crate::policy::Gate;

/// The rules, compiled.
#[derive(Debug)]
pub struct Referer {
    rules: Rules,
    mode: RefererMode,
    layout: Layout,
    /// Whether the bucket itself is an object, too: the index of a website.
    has_index: bool,
    /// Requests that would have been refused.
    reported: AtomicU64,
}

impl Referer {
    /// Compiles the rules.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub fn new(
        config: &config::Referer,
        layout: Layout,
        has_index: bool,
    ) -> Result<Self, TooLarge> {
        fn texts(list: &[config::Located]) -> Vec<&str> {
            list.iter().map(|pattern| pattern.text.as_str()).collect()
        }
        Ok(Self {
            rules: Rules::new(
                config.switches(),
                &texts(&config.allow),
                &texts(&config.deny),
            )?,
            mode: config.mode,
            layout,
            has_index,
            reported: AtomicU64::new(0),
        })
    }

    /// What the rules say; `None` for a request they are not for: one that is signed by header, a
    /// form, a preflight, an operation on the bucket itself.
    #[must_use]
    pub fn decide<'h>(
        &self,
        method: &Method,
        headers: &HeaderMap,
        host: impl FnOnce() -> &'h str,
        target: &str,
    ) -> Option<Verdict> {
        if method == Method::OPTIONS || headers.contains_key(header::AUTHORIZATION) {
            return None;
        }
        let key = self.layout.key(host, target).unwrap_or_default();
        let is_bucket = key.is_empty() || key.starts_with('?');
        if is_bucket && (!self.has_index || method == Method::POST) {
            return None;
        }
        let referer = headers.get(header::REFERER);
        Some(self.rules.check(referer.map(http::HeaderValue::as_bytes)))
    }

    /// Whether a refusal is only reported.
    #[must_use]
    pub fn only_reports(&self) -> bool {
        self.mode == RefererMode::Report
    }
}

/// Applies the rules.
#[derive(Clone, Debug)]
pub struct RefererService<S> {
    policy: Option<Arc<Referer>>,
    inner: S,
}

impl<S> RefererService<S> {
    /// In front of `inner`.
    pub fn new(policy: Option<Arc<Referer>>, inner: S) -> Self {
        Self { policy, inner }
    }
}

impl<S> Service<Request> for RefererService<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Gate<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if let Some(policy) = &self.policy
            && let Some(verdict) = policy.decide(
                request.method(),
                request.headers(),
                || request.host(),
                request.target(),
            )
            && let Some(ec) = verdict.ec()
        {
            if !policy.only_reports() {
                return Gate::refuse(refusal(&request, ec));
            }
            let so_far = policy.reported.fetch_add(1, Relaxed) + 1;
            let referer = request.headers().get(header::REFERER);
            let route = request.context().outcome().route.clone();
            tracing::info!(?route, ?referer, ec, so_far, "referer would be refused");
        }
        Gate::Passed(self.inner.call(request))
    }
}

fn refusal(request: &Request, ec: &str) -> Response {
    respond::error(
        request.context(),
        &Reason {
            status: StatusCode::FORBIDDEN,
            code: "AccessDenied",
            kind: "referer_refused",
            message: MESSAGE,
            ec: Some(ec),
            ..Reason::DEFAULT
        },
    )
}
