//! Enforces HTTPS, and tells browsers to remember it (RFC 6797).

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use tower::Service;

use crate::config::policy::{self as config, HttpsMode};
use crate::http::authority::Authority;
use crate::http::respond::{self, Reason};
use crate::http::{Request, Response};
use crate::policy::Gate;
use crate::policy::cors::Cors;

/// Where a certificate authority looks for the proof of a name (RFC 8555 section 8.3); it asks in
/// clear text.
const CHALLENGE: &str = "/.well-known/acme-challenge/";

/// The rule, compiled.
#[derive(Debug)]
pub struct Https {
    mode: HttpsMode,
    port: usize,
    hsts: Option<HeaderValue>,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// It is sent to this address.
    Redirect(String),
    /// It is refused.
    Refuse,
}

impl Https {
    /// Compiles the rule.
    #[must_use]
    pub fn new(config: &config::Https) -> Self {
        let hsts = config.hsts.as_ref().and_then(|hsts| {
            let mut text = format!("max-age={}", hsts.max_age.as_secs());
            if hsts.include_subdomains {
                text.push_str("; includeSubDomains");
            }
            if hsts.preload {
                text.push_str("; preload");
            }
            HeaderValue::try_from(text).ok()
        });
        Self {
            mode: config.mode,
            port: config.port,
            hsts,
        }
    }

    /// What becomes of a request for `target`, path and query, of `host`, which is asked for only when it
    /// is needed; without a host there is nothing to redirect to.
    pub fn decide<'h>(
        &self,
        is_https: bool,
        host: impl FnOnce() -> Option<Authority<'h>>,
        target: &str,
    ) -> Verdict {
        if is_https || self.mode == HttpsMode::Off || target.starts_with(CHALLENGE) {
            return Verdict::Pass;
        }
        if self.mode == HttpsMode::Require {
            return Verdict::Refuse;
        }
        let Some(host) = host() else {
            return Verdict::Refuse;
        };
        let name = host.host;
        let port = if self.port == 443 {
            String::new()
        } else {
            format!(":{}", self.port)
        };
        Verdict::Redirect(if name.contains(':') {
            format!("https://[{name}]{port}{target}")
        } else {
            format!("https://{name}{port}{target}")
        })
    }
}

/// Applies the rule.
#[derive(Clone, Debug)]
pub struct HttpsService<S> {
    policy: Option<Arc<Https>>,
    cors: Option<Arc<Cors>>,
    inner: S,
}

impl<S> HttpsService<S> {
    /// In front of `inner`. `cors`: what its own answers need before a script may read or follow them.
    pub fn new(policy: Option<Arc<Https>>, cors: Option<Arc<Cors>>, inner: S) -> Self {
        Self {
            policy,
            cors,
            inner,
        }
    }

    fn own(&self, request: &Request, mut answer: Response) -> Response {
        if let Some(cors) = &self.cors {
            cors.allow_own(request, answer.headers_mut());
        }
        answer
    }
}

impl<S> Service<Request> for HttpsService<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = Infallible;
    type Future = HttpsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Some(policy) = &self.policy else {
            return HttpsFuture {
                hsts: None,
                inner: Gate::Passed(self.inner.call(request)),
            };
        };
        let context = request.context();
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let verdict = policy.decide(context.is_https, || context.authority(), target);
        let hsts = policy.hsts.clone().filter(|_| context.is_https);
        let inner = match verdict {
            Verdict::Pass => Gate::Passed(self.inner.call(request)),
            Verdict::Redirect(location) => {
                Gate::refuse(self.own(&request, redirect(&request, &location)))
            }
            Verdict::Refuse => {
                let reason = Reason {
                    status: StatusCode::FORBIDDEN,
                    code: "ProxyHttpsRequired",
                    kind: "https_required",
                    message: "This route of the proxy is served over HTTPS only. OSS was not asked.",
                    ..Reason::DEFAULT
                };
                Gate::refuse(self.own(&request, respond::error(context, &reason)))
            }
        };
        HttpsFuture { hsts, inner }
    }
}

fn redirect(request: &Request, location: &str) -> Response {
    let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
    let mut response = Response::default();
    // 308 keeps method and body (RFC 9110 section 15.4.9); old clients know 301 better.
    *response.status_mut() = if is_read {
        StatusCode::MOVED_PERMANENTLY
    } else {
        StatusCode::PERMANENT_REDIRECT
    };
    // Host and target were bytes of a request head, so they can be a header value.
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The future of [`HttpsService`].
#[derive(Debug)]
pub struct HttpsFuture<F> {
    hsts: Option<HeaderValue>,
    inner: Gate<F>,
}

impl<F> Future for HttpsFuture<F>
where
    F: Future<Output = Result<Response, Infallible>> + Unpin,
{
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(mut response) = ready!(Pin::new(&mut self.inner).poll(cx));
        if let Some(hsts) = self.hsts.take() {
            response
                .headers_mut()
                .insert(header::STRICT_TRANSPORT_SECURITY, hsts);
        }
        Poll::Ready(Ok(response))
    }
}
