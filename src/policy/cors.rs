//! Cross-origin rules: responds to preflights, and adds the CORS headers to the responses of all other
//! requests that a rule allows.
//!
//! A browser rejects a response with two `Access-Control-Allow-Origin`. So `Origin` is not forwarded to OSS,
//! which then usually sends no CORS headers, and CORS headers that OSS sends all the same are removed.
//!
//! The layer is above `https`: a preflight without TLS also gets its response here, because browsers do
//! not follow a redirect of a preflight (Fetch standard, CORS-preflight fetch).

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use tower::Service;

use crate::config::policy::{self as config, PrivateNetwork};
use crate::http::respond::{self, Reason};
use crate::http::{Request, Response};
use crate::oss::cors::{self as rules, Matched, Rule};
use crate::policy::gate::GateFuture;

/// The error message of OSS, including its misspellings, because clients may compare it.
const REFUSED: &str = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Requet-Headers are not whitelisted by the resource's CORS spec.";

/// The CORS headers that OSS may send.
const CORS_HEADERS: [HeaderName; 7] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ALLOW_PRIVATE_NETWORK,
];

/// The header field of a preflight with which a page from a public address requests access to a private
/// address (Private Network Access).
const REQUEST_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-request-private-network");
/// The header field of the response that permits access to a private address.
const ALLOW_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");

/// The compiled rules.
#[derive(Debug)]
pub struct Cors {
    rules: Vec<Rule>,
    /// The response headers of each rule, in the order of `rules`.
    rule_headers: Vec<RuleHeaders>,
    /// Whether every response carries `Vary: Origin`.
    varies: bool,
}

/// The response headers that are the same for every request that a rule allows.
#[derive(Debug)]
struct RuleHeaders {
    methods: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
    private_network: PrivateNetwork,
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
            rule_headers: config
                .rules
                .iter()
                .map(|rule| RuleHeaders {
                    methods: joined(&rule.rule.methods),
                    expose: joined(&rule.expose),
                    max_age: rule.max_age.map(HeaderValue::from),
                    private_network: rule.private_network,
                })
                .collect(),
            varies: config.vary_origin,
        }
    }

    /// Returns the rule that allows a request. For OPTIONS, the rule must allow the request that the
    /// preflight describes.
    #[must_use]
    pub fn decide(&self, method: &Method, headers: &HeaderMap) -> Option<Matched> {
        self.decide_for(sole(headers, &header::ORIGIN)?, method, headers)
    }

    /// Does the same as [`Cors::decide`], for an `Origin` that has already been removed from the headers.
    fn decide_for(
        &self,
        origin: &HeaderValue,
        method: &Method,
        headers: &HeaderMap,
    ) -> Option<Matched> {
        let origin = origin.as_bytes();
        if method == Method::OPTIONS {
            let method = sole(headers, &header::ACCESS_CONTROL_REQUEST_METHOD)?;
            let names = requested_headers(headers);
            let names = rules::requested_headers(&names);
            return rules::find(&self.rules, origin, method.as_bytes(), &names);
        }
        let none = std::iter::empty();
        rules::find(&self.rules, origin, method.as_str().as_bytes(), &none)
    }

    /// Returns the response to a preflight: 200 with the headers of the rule, or 403 when no rule
    /// matches.
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
        let requested = requested_headers(request.headers());
        let names: Vec<&[u8]> = rules::requested_headers(&requested).collect();
        let allowed = names.join(&b", "[..]);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        if let Ok(allowed) = HeaderValue::from_bytes(&allowed)
            && !allowed.is_empty()
        {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        }
        self.allow(headers, request.headers().get(header::ORIGIN), matched);
        let permits = self
            .rule_headers
            .get(matched.rule)
            .is_some_and(|rule| rule.private_network == PrivateNetwork::Allow);
        let asks = sole(request.headers(), &REQUEST_PRIVATE_NETWORK);
        if permits && asks.is_some_and(|value| value == "true") {
            headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
        response
    }

    /// Adds the headers of the rule that matched.
    fn allow(&self, headers: &mut HeaderMap, origin: Option<&HeaderValue>, matched: Matched) {
        let any = HeaderValue::from_static("*");
        let origin = if matched.is_any { Some(&any) } else { origin };
        let fixed = self.rule_headers.get(matched.rule);
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
            (
                header::ACCESS_CONTROL_ALLOW_METHODS,
                fixed.and_then(|fixed| fixed.methods.as_ref()),
            ),
            (
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                fixed.and_then(|fixed| fixed.expose.as_ref()),
            ),
            (
                header::ACCESS_CONTROL_MAX_AGE,
                fixed.and_then(|fixed| fixed.max_age.as_ref()),
            ),
        ] {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
    }

    /// Removes the CORS headers of OSS from a response, and adds `Vary: Origin` if the config requires it. A
    /// response of this layer (`is_from_below` is false) keeps its CORS headers. OSS almost never sends CORS
    /// headers, so one loop over all names first checks whether there are any.
    fn tidy(&self, headers: &mut HeaderMap, is_from_below: bool) {
        let (mut has_cors_headers, mut varies) = (false, false);
        for (name, value) in &*headers {
            if *name == header::VARY {
                varies |= varies_by_origin(value);
            } else {
                has_cors_headers |= name.as_str().starts_with("access-control-");
            }
        }
        if is_from_below && has_cors_headers {
            for name in &CORS_HEADERS {
                headers.remove(name);
            }
        }
        if self.varies && !varies {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
    }
}

/// Returns the value of a field that browsers send once. Returns `None` when there is no value or more than
/// one, because a rule that allows only one of several values must not allow the request.
fn sole<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Option<&'r HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Returns the header names that a preflight requests. Several fields are one list (RFC 9110 section
/// 5.3).
fn requested_headers(headers: &HeaderMap) -> Cow<'_, [u8]> {
    let mut fields = headers
        .get_all(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .iter()
        .map(HeaderValue::as_bytes);
    let first = Cow::Borrowed(fields.next().unwrap_or_default());
    fields.fold(first, |list, more| [&*list, more].join(&b","[..]).into())
}

fn varies_by_origin(value: &HeaderValue) -> bool {
    value.as_bytes().split(|byte| *byte == b',').any(|name| {
        let name = name.trim_ascii();
        name == b"*" || name.eq_ignore_ascii_case(b"origin")
    })
}

/// The service that applies [`Cors`]. Without a policy, CORS headers pass unchanged in both directions.
#[derive(Clone, Debug)]
pub struct CorsService<S> {
    policy: Option<Arc<Cors>>,
    inner: S,
}

impl<S> CorsService<S> {
    /// Creates a service that applies `policy` and sends the requests on to `inner`.
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
                inner: GateFuture::Passed(self.inner.call(request)),
            };
        };
        if request.method() == Method::OPTIONS {
            let matched = policy.decide(request.method(), request.headers());
            return CorsFuture {
                inner: GateFuture::refused(policy.preflight(&request, matched)),
                policy: Some(Arc::clone(policy)),
                allowed: None,
            };
        }
        let is_sole = sole(request.headers(), &header::ORIGIN).is_some();
        let origin = request.headers_mut().remove(header::ORIGIN);
        let allowed = origin.filter(|_| is_sole).and_then(|origin| {
            let matched = policy.decide_for(&origin, request.method(), request.headers());
            Some((matched?, origin))
        });
        CorsFuture {
            allowed,
            policy: Some(Arc::clone(policy)),
            inner: GateFuture::Passed(self.inner.call(request)),
        }
    }
}

/// The future of [`CorsService`].
#[derive(Debug)]
pub struct CorsFuture<F> {
    policy: Option<Arc<Cors>>,
    /// The rule that allows the request, and the request's `Origin`.
    allowed: Option<(Matched, HeaderValue)>,
    /// A preflight gets its response from this layer; every other request is sent to the inner service.
    inner: GateFuture<F>,
}

impl<F> Future for CorsFuture<F>
where
    F: Future<Output = Result<Response, Infallible>> + Unpin,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // The response is changed in place, because moving it costs about 50 instructions in each layer.
        let mut polled = Pin::new(&mut this.inner).poll(cx);
        if let Poll::Ready(Ok(response)) = &mut polled
            && let Some(policy) = &this.policy
        {
            let headers = response.headers_mut();
            policy.tidy(headers, matches!(this.inner, GateFuture::Passed(_)));
            if let Some((matched, origin)) = this.allowed.take() {
                policy.allow(headers, Some(&origin), matched);
            }
        }
        polled
    }
}
