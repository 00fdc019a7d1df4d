//! Hotlink protection: refuses requests for objects that sites embed in their web pages without
//! permission.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::header;
use http::{HeaderMap, Method, StatusCode};

use crate::config::policy::{self as config, RefererMode};
use crate::http::Request;
use crate::http::respond::Reason;
use crate::oss::addressing::{Layout, Level};
use crate::oss::referer::{MESSAGE, Rules, Verdict};
use crate::oss::signature::is_signed_in_header;
use crate::policy::gate::{Gate, Refusal};

/// The compiled rules.
#[derive(Debug)]
pub struct Referer {
    /// The rules. Routes with equal lists share them.
    rules: Arc<Rules>,
    mode: RefererMode,
    layout: Layout,
    root: BucketRoot,
    /// The number of requests that would have been refused, in the mode `report`.
    reported: AtomicU64,
}

/// The resource of a request that has no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketRoot {
    /// An operation on the bucket, such as a listing.
    Bucket,
    /// The index document of a website, which the rules protect like any other object.
    IndexDocument,
}

impl Referer {
    /// Creates the policy. `rules` are the compiled rules of `config`.
    #[must_use]
    pub fn new(
        config: &config::Referer,
        rules: Arc<Rules>,
        layout: Layout,
        root: BucketRoot,
    ) -> Self {
        Self {
            rules,
            mode: config.mode,
            layout,
            root,
            reported: AtomicU64::new(0),
        }
    }

    /// Returns the decision about a request. `None` means that the rules do not apply: the request has a
    /// signature in the header, or is a form upload, a preflight, or an operation on the bucket itself.
    /// `host` is called only if the host can name the bucket.
    #[must_use]
    pub fn decide<'t>(
        &self,
        method: &Method,
        headers: &HeaderMap,
        host: impl FnOnce() -> &'t str,
        target: &'t str,
    ) -> Option<Verdict> {
        if method == Method::OPTIONS || is_signed_in_header(headers) {
            return None;
        }
        let parts = self.layout.split(host, target);
        let is_object = self.layout.level(parts.as_ref()) == Level::Object;
        if !is_object && (self.root == BucketRoot::Bucket || method == Method::POST) {
            return None;
        }
        let mut referers = headers.get_all(header::REFERER).iter();
        let first = referers.next().map(http::HeaderValue::as_bytes);
        let verdict = self.rules.check(first);
        // It is not documented which of several Referers OSS reads, so each must be allowed.
        let mut others = referers.map(|referer| self.rules.check(Some(referer.as_bytes())));
        Some(if verdict.is_refused() {
            verdict
        } else {
            others.find(|other| other.is_refused()).unwrap_or(verdict)
        })
    }

    /// Logs a request that would have been refused.
    fn report(&self, request: &Request, ec: &str) {
        let so_far = self.reported.fetch_add(1, Relaxed) + 1;
        let referer = request.headers().get(header::REFERER);
        let route = request.context().outcome().route.clone();
        tracing::info!(?route, ?referer, ec, so_far, "referer would be refused");
    }
}

impl Gate for Referer {
    fn refuse(&self, request: &Request) -> Option<Refusal> {
        let verdict = self.decide(
            request.method(),
            request.headers(),
            || request.host(),
            request.target(),
        );
        let ec = verdict?.ec()?;
        if self.mode == RefererMode::Report {
            self.report(request, ec);
            return None;
        }
        Some(Refusal::error(
            request,
            &Reason {
                status: StatusCode::FORBIDDEN,
                code: "AccessDenied",
                kind: "referer_refused",
                message: MESSAGE,
                ec: Some(ec),
                ..Reason::DEFAULT
            },
        ))
    }
}
