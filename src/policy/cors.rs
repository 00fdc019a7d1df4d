//! Answers preflights, and says on every answer which pages may read it.
//!
//! What OSS itself says about cross-origin requests is replaced: two `Access-Control-Allow-Origin`
//! make a browser refuse. `Origin` is kept from OSS for the same reason.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use tower::Service;

use crate::config::policy as config;
use crate::http::respond::{self, Reason};
use crate::http::{Request, Response};
use crate::oss::cors::{self as rules, Matched, Rule};
use crate::policy::Gate;

/// OSS's text, with its spelling.
const REFUSED: &str = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Requet-Headers are not whitelisted by the resource's CORS spec.";

const UPSTREAM: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
];

/// The rules, compiled.
#[derive(Debug)]
pub struct Cors {
    rules: Vec<Rule>,
    answers: Vec<Answer>,
    varies: bool,
}

/// What a rule adds to answers.
#[derive(Debug)]
struct Answer {
    methods: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

impl Cors {
    /// Compiles the rules.
    #[must_use]
    pub fn new(config: &config::Cors) -> Self {
        let joined = |names: &[String]| {
            (!names.is_empty())
                .then(|| HeaderValue::try_from(names.join(", ")).ok())
                .flatten()
        };
        Self {
            rules: config.rules.iter().map(|rule| rule.rule.clone()).collect(),
            answers: config
                .rules
                .iter()
                .map(|rule| Answer {
                    methods: joined(&rule.rule.methods),
                    expose: joined(&rule.expose),
                    max_age: rule.max_age.map(HeaderValue::from),
                })
                .collect(),
            varies: config.vary_origin,
        }
    }

    /// The rule that allows a request; for OPTIONS, the request it asks about.
    #[must_use]
    pub fn decide(&self, method: &Method, headers: &HeaderMap) -> Option<Matched> {
        let origin = headers.get(header::ORIGIN)?;
        self.decide_for(origin, method, headers)
    }

    /// [`Cors::decide`] with the origin taken out of the headers.
    fn decide_for(
        &self,
        origin: &HeaderValue,
        method: &Method,
        headers: &HeaderMap,
    ) -> Option<Matched> {
        let origin = origin.as_bytes();
        if method == Method::OPTIONS {
            let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
            let names = headers
                .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
                .map_or(&b""[..], HeaderValue::as_bytes);
            let names = rules::asked_headers(names);
            return rules::find(&self.rules, origin, asked.as_bytes(), &names);
        }
        let none = std::iter::empty();
        rules::find(&self.rules, origin, method.as_str().as_bytes(), &none)
    }

    /// Adds to the answer that a layer above this one makes to `request` what this one would have.
    pub fn allow_own(&self, request: &Request, headers: &mut HeaderMap) {
        self.tidy(headers, false);
        if let Some(matched) = self.decide(request.method(), request.headers()) {
            self.allow(headers, request.headers().get(header::ORIGIN), matched);
        }
    }

    fn preflight(&self, request: &Request, matched: Option<Matched>) -> Response {
        let Some(matched) = matched else {
            return respond::error(
                request.context(),
                &Reason {
                    status: StatusCode::FORBIDDEN,
                    code: "AccessForbidden",
                    kind: "cors_refused",
                    message: REFUSED,
                    ..Reason::DEFAULT
                },
            );
        };
        let mut response = Response::default();
        let asked = request
            .headers()
            .get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let names: Vec<&[u8]> = asked
            .map(|names| rules::asked_headers(names.as_bytes()).collect())
            .unwrap_or_default();
        let allowed = names.join(&b", "[..]);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        if let Ok(allowed) = HeaderValue::from_bytes(&allowed)
            && !allowed.is_empty()
        {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        }
        self.allow(headers, request.headers().get(header::ORIGIN), matched);
        response
    }

    fn allow(&self, headers: &mut HeaderMap, origin: Option<&HeaderValue>, matched: Matched) {
        let any = HeaderValue::from_static("*");
        let origin = if matched.is_any { Some(&any) } else { origin };
        let answer = self.answers.get(matched.rule);
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
            (
                header::ACCESS_CONTROL_ALLOW_METHODS,
                answer.and_then(|answer| answer.methods.as_ref()),
            ),
            (
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                answer.and_then(|answer| answer.expose.as_ref()),
            ),
            (
                header::ACCESS_CONTROL_MAX_AGE,
                answer.and_then(|answer| answer.max_age.as_ref()),
            ),
        ] {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
    }

    /// Takes out what OSS says, and says that the answer depends on the origin. One look at the
    /// names: almost always OSS has said nothing.
    fn tidy(&self, headers: &mut HeaderMap, is_from_below: bool) {
        let (mut has_others, mut varies) = (false, false);
        for (name, value) in &*headers {
            if *name == header::VARY {
                varies |= varies_by_origin(value);
            } else {
                has_others |= name.as_str().starts_with("access-control-");
            }
        }
        if is_from_below && has_others {
            for name in &UPSTREAM {
                headers.remove(name);
            }
        }
        if self.varies && !varies {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
    }
}

fn varies_by_origin(value: &HeaderValue) -> bool {
    value.as_bytes().split(|byte| *byte == b',').any(|name| {
        let name = name.trim_ascii();
        name == b"*" || name.eq_ignore_ascii_case(b"origin")
    })
}

/// Applies the rules.
#[derive(Clone, Debug)]
pub struct CorsService<S> {
    policy: Option<Arc<Cors>>,
    inner: S,
}

impl<S> CorsService<S> {
    /// In front of `inner`.
    pub fn new(policy: Option<Arc<Cors>>, inner: S) -> Self {
        Self { policy, inner }
    }
}

impl<S> Service<Request> for CorsService<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = Infallible;
    type Future = CorsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let Some(policy) = &self.policy else {
            return CorsFuture {
                policy: None,
                allowed: None,
                inner: Gate::Passed(self.inner.call(request)),
            };
        };
        if request.method() == Method::OPTIONS {
            let matched = policy.decide(request.method(), request.headers());
            return CorsFuture {
                inner: Gate::refuse(policy.preflight(&request, matched)),
                policy: Some(Arc::clone(policy)),
                allowed: None,
            };
        }
        let allowed = request
            .headers_mut()
            .remove(header::ORIGIN)
            .and_then(|origin| {
                let matched = policy.decide_for(&origin, request.method(), request.headers());
                Some((matched?, origin))
            });
        CorsFuture {
            allowed,
            policy: Some(Arc::clone(policy)),
            inner: Gate::Passed(self.inner.call(request)),
        }
    }
}

/// The future of [`CorsService`].
#[derive(Debug)]
pub struct CorsFuture<F> {
    policy: Option<Arc<Cors>>,
    allowed: Option<(Matched, HeaderValue)>,
    inner: Gate<F>,
}

impl<F> Future for CorsFuture<F>
where
    F: Future<Output = Result<Response, Infallible>> + Unpin,
{
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(mut response) = ready!(Pin::new(&mut self.inner).poll(cx));
        let this = self.get_mut();
        if let Some(policy) = &this.policy {
            let headers = response.headers_mut();
            policy.tidy(headers, matches!(this.inner, Gate::Passed(_)));
            if let Some((matched, origin)) = this.allowed.take() {
                policy.allow(headers, Some(&origin), matched);
            }
        }
        Poll::Ready(Ok(response))
    }
}
