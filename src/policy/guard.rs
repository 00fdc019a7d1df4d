//! Lets through only the methods and operations a route serves.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use tower::Service;

use crate::http::respond::{self, Reason};
use crate::http::{Request, Response};
use crate::oss::addressing::Layout;
use crate::oss::guard::{self, Preset, Refused};
use crate::policy::Gate;

/// The rule, compiled.
#[derive(Debug)]
pub struct Guard {
    /// Methods the route serves; empty: all.
    pub methods: Vec<Method>,
    /// Which operations.
    pub preset: Preset,
    /// Where keys begin.
    pub layout: Layout,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'q> {
    /// The route does not serve the method.
    Method,
    /// The preset does not let the operation through.
    Preset(Refused<'q>),
}

impl Guard {
    /// Whether a request goes on.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn decide<'t, 'h>(
        &self,
        method: &Method,
        host: impl FnOnce() -> &'h str,
        target: &'t str,
        headers: &HeaderMap,
    ) -> Result<(), Verdict<'t>> {
        if !self.methods.is_empty() && !self.methods.contains(method) {
            return Err(Verdict::Method);
        }
        if self.preset == Preset::Full {
            return Ok(());
        }
        guard::check(self.preset, method, self.layout.key(host, target), headers)
            .map_err(Verdict::Preset)
    }

    fn refuse(&self, request: &Request, why: &Verdict<'_>) -> Response {
        let refuse = |status, code, kind, message: &str| {
            respond::error(
                request.context(),
                &Reason {
                    status,
                    code,
                    kind,
                    message,
                    ..Reason::DEFAULT
                },
            )
        };
        match why {
            Verdict::Method => {
                let message =
                    "This route of the proxy does not serve the request method. OSS was not asked.";
                let mut response = refuse(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "MethodNotAllowed",
                    "method_not_allowed",
                    message,
                );
                let names: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
                if let Ok(value) = HeaderValue::try_from(names.join(", ")) {
                    response.headers_mut().insert(header::ALLOW, value);
                }
                response
            }
            Verdict::Preset(Refused::Method) => refuse(
                StatusCode::FORBIDDEN,
                "ProxyAccessDenied",
                "guard_refused",
                &format!(
                    "The proxy's guard `{}` lets no {} through here. OSS was not asked.",
                    self.preset.as_str(),
                    request.method()
                ),
            ),
            Verdict::Preset(Refused::Header(name)) => refuse(
                StatusCode::FORBIDDEN,
                "ProxyAccessDenied",
                "guard_refused",
                &format!(
                    "The proxy's guard `{}` does not let `{name}` through. OSS was not asked.",
                    self.preset.as_str()
                ),
            ),
            Verdict::Preset(Refused::SubResource(name)) => refuse(
                StatusCode::FORBIDDEN,
                "ProxyAccessDenied",
                "guard_refused",
                &format!(
                    "The proxy's guard `{}` does not let `?{name}` through. OSS was not asked.",
                    self.preset.as_str()
                ),
            ),
        }
    }
}

/// Applies the rule.
#[derive(Clone, Debug)]
pub struct GuardService<S> {
    policy: Option<Arc<Guard>>,
    inner: S,
}

impl<S> GuardService<S> {
    /// In front of `inner`.
    pub fn new(policy: Option<Arc<Guard>>, inner: S) -> Self {
        Self { policy, inner }
    }
}

impl<S> Service<Request> for GuardService<S>
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
        if let Some(policy) = &self.policy {
            let verdict = policy.decide(
                request.method(),
                || request.host(),
                request.target(),
                request.headers(),
            );
            if let Err(why) = verdict {
                return Gate::refuse(policy.refuse(&request, &why));
            }
        }
        Gate::Passed(self.inner.call(request))
    }
}
