//! Changes the header fields of responses.
//!
//! The layer is above all policies that refuse requests, except `ip`. So the refusals of these policies and the
//! proxy's own error responses are also changed. The path of the client's request selects the rules, even when
//! the policy `website` requests another object.
//!
//! Fields about an object (see [`is_about_object`]) are only set or added if the response contains the object,
//! confirms a copy of it, or redirects permanently. With `Cache-Control: max-age=31536000` on a 404 or 503
//! response, clients would not request the object again for a year.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use tower::Service;

use crate::config::policy::HeaderRule;
use crate::http::message::StandIn;
use crate::http::{Request, Response};
use crate::oss::spelling;

/// The fields that describe the content of an object.
const CONTENT: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
];
/// The fields that tell caches how long they may keep a response. Their values have the form of `Cache-Control`.
const LIFETIME: [HeaderName; 3] = [
    header::CACHE_CONTROL,
    HeaderName::from_static("cdn-cache-control"),
    HeaderName::from_static("surrogate-control"),
];

/// The compiled rules. A value that is put into a response is shared with the rule and not copied.
#[derive(Debug)]
pub struct Headers {
    rules: Box<[Rule]>,
}

#[derive(Debug)]
struct Rule {
    /// The decoded suffixes of the paths that the rule is for. Empty if the rule is for every path.
    suffixes: Box<[Box<[u8]>]>,
    remove: Box<[HeaderName]>,
    set: Box<[NewField]>,
    add: Box<[NewField]>,
}

#[derive(Debug)]
struct NewField {
    name: HeaderName,
    value: HeaderValue,
    is_about_object: bool,
}

/// The rules of a route that are for one request. Bit `n` stands for rule `n`; a route has at most 64 rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matching(u64);

impl Matching {
    /// Whether no rule is for the request.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the rule with this index is for the request.
    #[must_use]
    pub fn contains(self, index: usize) -> bool {
        u32::try_from(index)
            .ok()
            .and_then(|index| self.0.checked_shr(index))
            .is_some_and(|bits| bits & 1 != 0)
    }
}

impl Headers {
    /// Compiles the rules.
    #[must_use]
    pub fn new(rules: &[HeaderRule]) -> Self {
        let fields = |fields: &[crate::config::Field]| {
            let compiled = fields.iter().map(|field| NewField {
                name: field.name.clone(),
                value: field.value.clone(),
                is_about_object: is_about_object(&field.name, &field.value),
            });
            compiled.collect()
        };
        let rules = rules.iter().map(|rule| Rule {
            suffixes: (rule.suffix.iter())
                .map(|suffix| spelling::decode(suffix).into())
                .collect(),
            remove: rule.remove.clone().into(),
            set: fields(&rule.set),
            add: fields(&rule.add),
        });
        Self {
            rules: rules.collect(),
        }
    }

    /// Returns the rules that are for a request with the path `path`. The path is not decoded.
    #[must_use]
    pub fn matching(&self, path: &str) -> Matching {
        let is_for = |rule: &Rule| {
            rule.suffixes.is_empty()
                || (rule.suffixes.iter()).any(|suffix| spelling::ends_with(path, suffix))
        };
        let bits = self.rules.iter().enumerate().map(|(index, rule)| {
            // The config has at most 64 rules, so no bit is lost.
            let bit = u32::try_from(index)
                .ok()
                .and_then(|at| 1_u64.checked_shl(at));
            bit.filter(|_| is_for(rule)).unwrap_or(0)
        });
        Matching(bits.fold(0, |all, bit| all | bit))
    }

    /// Applies the rules `matching` to a response. `object` says whether fields about the object are set
    /// and added. Fields are removed in any case.
    fn apply(&self, matching: Matching, object: ObjectFields, headers: &mut HeaderMap) {
        for (index, rule) in self.rules.iter().enumerate() {
            if !matching.contains(index) {
                continue;
            }
            for name in &rule.remove {
                headers.remove(name);
            }
            let applies =
                |field: &&NewField| !field.is_about_object || object == ObjectFields::Change;
            for field in rule.set.iter().filter(applies) {
                headers.insert(&field.name, field.value.clone());
            }
            for field in rule.add.iter().filter(applies) {
                headers.append(&field.name, field.value.clone());
            }
        }
    }
}

/// Whether fields about the object are set and added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ObjectFields {
    Change,
    Keep,
}

impl ObjectFields {
    /// Decides for the response to a GET or HEAD request. Returns `Change` if the status means that the object
    /// is sent (200, 206), that the client's copy of the object is valid (304), or that the object has moved
    /// permanently (301, 308).
    fn of(response: &Response) -> Self {
        match response.status() {
            // The error document of a website may be sent with the status 200, but it is not the requested
            // object.
            _ if response.extensions().get::<StandIn>().is_some() => Self::Keep,
            StatusCode::OK
            | StatusCode::PARTIAL_CONTENT
            | StatusCode::NOT_MODIFIED
            | StatusCode::MOVED_PERMANENTLY
            | StatusCode::PERMANENT_REDIRECT => Self::Change,
            _ => Self::Keep,
        }
    }
}

/// Whether a field with this value is about the object that was requested: it describes the content, or it
/// allows caches to reuse the response for some time. A `Cache-Control` that allows no reuse, such as
/// `no-cache`, `no-store` or `max-age=0`, is not about the object.
#[must_use]
pub fn is_about_object(name: &HeaderName, value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    if *name == header::EXPIRES {
        // `0` is the usual form of a time in the past (RFC 9111 section 5.3).
        return value != b"0";
    }
    CONTENT.contains(name) || (LIFETIME.contains(name) && gives_lifetime(value))
}

/// Whether a value of `Cache-Control` allows caches to reuse a response without a new request to the server.
fn gives_lifetime(value: &[u8]) -> bool {
    let directives = || value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let prevents = |directive: &[u8]| {
        directive.eq_ignore_ascii_case(b"no-store") || directive.eq_ignore_ascii_case(b"no-cache")
    };
    let allows = |directive: &[u8]| {
        let equals = directive.iter().position(|byte| *byte == b'=');
        let (name, seconds) = equals
            .and_then(|at| directive.split_at_checked(at))
            .unwrap_or((directive, b""));
        let is = |known: &str| name.trim_ascii().eq_ignore_ascii_case(known.as_bytes());
        // A malformed number of seconds counts as a lifetime, because a cache may read it as one.
        let is_zero =
            || seconds.len() > 1 && seconds.iter().skip(1).all(|byte| b"0\" ".contains(byte));
        let has_seconds = [
            "max-age",
            "s-maxage",
            "stale-while-revalidate",
            "stale-if-error",
        ];
        is("public") || is("immutable") || (has_seconds.iter().any(|known| is(known)) && !is_zero())
    };
    !directives().any(prevents) && directives().any(allows)
}

/// The service that applies [`Headers`]. Without a policy, responses are not changed.
#[derive(Clone, Debug)]
pub struct HeadersService<S> {
    policy: Option<Arc<Headers>>,
    inner: S,
}

impl<S> HeadersService<S> {
    /// Creates a service that applies `policy` and sends the requests on to `inner`.
    pub fn new(policy: Option<Arc<Headers>>, inner: S) -> Self {
        Self { policy, inner }
    }
}

impl<S> Service<Request> for HeadersService<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = Infallible;
    type Future = HeadersFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let changes = self.policy.as_ref().and_then(|policy| {
            // The rules are selected now, because the inner service consumes the request and may replace its
            // path.
            let matching = policy.matching(request.uri().path());
            (!matching.is_empty()).then(|| Changes {
                policy: Arc::clone(policy),
                matching,
                is_read: request.method() == Method::GET || request.method() == Method::HEAD,
            })
        });
        HeadersFuture {
            changes,
            inner: self.inner.call(request),
        }
    }
}

/// The changes for the response to one request.
#[derive(Debug)]
struct Changes {
    policy: Arc<Headers>,
    matching: Matching,
    /// Whether the request is a GET or HEAD. No other request gets an object.
    is_read: bool,
}

/// The future of [`HeadersService`].
#[derive(Debug)]
pub struct HeadersFuture<F> {
    changes: Option<Changes>,
    inner: F,
}

impl<F> Future for HeadersFuture<F>
where
    F: Future<Output = Result<Response, Infallible>> + Unpin,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // The response is changed in place, because moving it costs about 50 instructions in each layer.
        let mut polled = Pin::new(&mut this.inner).poll(cx);
        if let Poll::Ready(Ok(response)) = &mut polled
            && let Some(changes) = &this.changes
        {
            let object = if changes.is_read {
                ObjectFields::of(response)
            } else {
                ObjectFields::Keep
            };
            let headers = response.headers_mut();
            changes.policy.apply(changes.matching, object, headers);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fields_of_the_object_wait_for_the_object() {
        for (name, value, expected) in [
            ("cache-control", "max-age=60", true),
            ("cache-control", "Public", true),
            ("cache-control", "private, Max-Age=60", true),
            ("cache-control", "s-maxage=1", true),
            (
                "cache-control",
                "max-age=0, stale-while-revalidate=60",
                true,
            ),
            ("cache-control", "max-age=0, immutable", true),
            ("cache-control", "max-age=0x", true),
            ("cache-control", "max-age=", true),
            ("cache-control", "max-age = 60", true),
            ("cache-control", "no-cache=\"set-cookie\", max-age=60", true),
            ("cache-control", "max-age=60, no-store", false),
            ("cache-control", "NO-CACHE, max-age=60", false),
            ("cache-control", "max-age=0, must-revalidate", false),
            ("cache-control", "max-age=\"0\"", false),
            ("cache-control", "max-age=00", false),
            ("cache-control", "private", false),
            ("cache-control", "x-public", false),
            ("cdn-cache-control", "max-age=60", true),
            ("surrogate-control", "no-store", false),
            ("expires", "Wed, 25 Nov 2026 12:00:00 GMT", true),
            ("expires", "0", false),
            ("content-type", "text/html", true),
            ("content-disposition", "attachment", true),
            ("content-encoding", "gzip", true),
            ("content-language", "de", true),
            ("content-security-policy", "default-src 'self'", false),
            ("x-frame-options", "DENY", false),
        ] {
            let (field, text) = (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
            assert_eq!(is_about_object(&field, &text), expected, "{name}: {value}");
        }
    }

    #[test]
    fn each_of_64_rules_has_its_own_bit() {
        for index in 0..64 {
            let matching = Matching(1 << index);
            let found: Vec<usize> = (0..100).filter(|at| matching.contains(*at)).collect();
            assert_eq!(found, [index]);
        }
        assert!(Matching(0).is_empty());
    }
}
