//! Hotlink protection: refuses requests for objects that sites embed in their web pages without
//! permission.

mod reports;

use std::sync::Arc;

use http::header;
use http::{HeaderMap, Method, StatusCode};

use crate::http::Request;
use crate::http::respond::Reason;
use crate::oss::addressing::{Layout, Level};
use crate::oss::referer::{MESSAGE, Rules, Verdict};
use crate::oss::signature::is_signed_in_header;
use crate::policy::gate::{Gate, Refusal};

pub use self::reports::{ReportedRoute, Reports};

/// The compiled rules.
#[derive(Debug)]
pub struct Referer {
    /// The rules. Routes with equal lists share them.
    rules: Arc<Rules>,
    /// The reports of the route in the mode `report`; `None` in the mode `enforce`.
    report: Option<Arc<ReportedRoute>>,
    layout: Layout,
    root: BucketRoot,
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
    /// Creates the policy. With `report`, no request is refused.
    #[must_use]
    pub fn new(
        report: Option<Arc<ReportedRoute>>,
        rules: Arc<Rules>,
        layout: Layout,
        root: BucketRoot,
    ) -> Self {
        Self {
            rules,
            report,
            layout,
            root,
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
        if let Some(report) = &self.report {
            let context = request.context();
            context.outcome().would_refuse_referer = true;
            report.note(context.start);
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
