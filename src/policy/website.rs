//! Index and error documents, in the order OSS looks for them.
//!
//! The proxy asks for documents by their keys, so this works on a private bucket whose requests are
//! signed below, too. It is the one policy that may ask the inner service more than once: for the
//! index of a directory, and for the error document.

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri};
use http_body::Body;
use percent_encoding::{AsciiSet, utf8_percent_encode};
use tower::Service;

use crate::config::policy::{self as config, Subdirectories};
use crate::http::body::discard;
use crate::http::{Received, Request, RequestBody, Response, respond};
use crate::oss::addressing::{Layout, split_query};
use crate::oss::website::{ends_in_slash, index_of, is_for_website};

/// Fields that make an answer depend on what the client has; not sent for an error document, whose
/// answer is whole.
const CONDITIONAL: [HeaderName; 6] = [
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// The rule, compiled.
#[derive(Debug)]
pub struct Website {
    index: String,
    directories: Subdirectories,
    error: Option<String>,
    /// Whether an error document is answered with 200.
    hides_errors: bool,
    layout: Layout,
}

/// What a request for a page is at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan<'t> {
    /// Not the website's: it goes on as it is.
    Pass,
    /// An object, asked for under this target, borrowed when it is the request's own; what else may
    /// be asked for depends on the answer.
    Object(Cow<'t, str>),
}

impl Website {
    /// Compiles the rule.
    #[must_use]
    pub fn new(config: &config::Website, layout: Layout) -> Self {
        Self {
            index: config.index.clone(),
            directories: config.subdirectories,
            error: config.error.clone(),
            hides_errors: config.error_status == 200,
            layout,
        }
    }

    /// What a request is at first.
    pub fn decide<'h, 't>(
        &self,
        method: &Method,
        headers: &HeaderMap,
        host: impl FnOnce() -> &'h str,
        target: &'t str,
    ) -> Plan<'t> {
        let (_, query) = split_query(target);
        if !is_for_website(method, headers, query) {
            return Plan::Pass;
        }
        let Some(page) = Page::find(&self.layout, host, target) else {
            return Plan::Pass;
        };
        let has_directories = self.directories != Subdirectories::Off;
        match index_of(page.key, &self.index, has_directories) {
            Some(index) => Plan::Object(Cow::Owned(page.with_key(&index))),
            None => Plan::Object(Cow::Borrowed(target)),
        }
    }
}

/// A target taken apart: what is in front of the key, the key, the query with its `?`.
struct Page<'t> {
    front: &'t str,
    key: &'t str,
    query: &'t str,
}

impl<'t> Page<'t> {
    fn find<'h>(layout: &Layout, host: impl FnOnce() -> &'h str, target: &'t str) -> Option<Self> {
        let rest = layout.key(host, target)?;
        let front = target.get(..target.len() - rest.len())?;
        let (key, _) = split_query(rest);
        let query = rest.get(key.len()..)?;
        Some(Self { front, key, query })
    }

    fn with_key(&self, key: &str) -> String {
        // A path-style bucket may be named without its slash.
        let slash = if self.front.ends_with('/') { "" } else { "/" };
        format!("{}{slash}{key}{}", self.front, self.query)
    }
}

/// Applies the rule.
#[derive(Clone, Debug)]
pub struct WebsiteService<S> {
    policy: Option<Arc<Website>>,
    inner: S,
}

impl<S> WebsiteService<S> {
    /// In front of `inner`.
    pub fn new(policy: Option<Arc<Website>>, inner: S) -> Self {
        Self { policy, inner }
    }
}

/// The future of [`WebsiteService`].
pub enum WebsiteFuture<S: Service<Request>> {
    /// Not a page.
    Passed(S::Future),
    /// A page, and who asks further when there is no such object.
    Page(S::Future, Option<Box<Visits<S>>>),
    /// There is none. Boxed: it may ask several times.
    Missing(Pin<Box<dyn Future<Output = Response> + Send>>),
}

impl<S: Service<Request>> std::fmt::Debug for WebsiteFuture<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Passed(_) => "Passed",
            Self::Page(..) => "Page",
            Self::Missing(_) => "Missing",
        })
    }
}

impl<S> Future for WebsiteFuture<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send + Unpin,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Self::Page(first, visits) = this {
            let Ok(answer) = ready!(Pin::new(first).poll(cx));
            match visits.take().filter(|_| is_missing(&answer)) {
                None => return Poll::Ready(Ok(answer)),
                Some(visits) => *this = Self::Missing(Box::pin(visits.otherwise(answer))),
            }
        }
        match this {
            Self::Passed(inner) | Self::Page(inner, _) => Pin::new(inner).poll(cx),
            Self::Missing(found) => found.as_mut().poll(cx).map(Ok),
        }
    }
}

impl<S> Service<Request> for WebsiteService<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + Unpin,
{
    type Response = Response;
    type Error = Infallible;
    type Future = WebsiteFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let Some(policy) = &self.policy else {
            return WebsiteFuture::Passed(self.inner.call(request));
        };
        // Whoever sends a body with a GET asks for something else than a page, and it could not be
        // sent twice.
        if !request.body().is_end_stream() {
            return WebsiteFuture::Passed(self.inner.call(request));
        }
        let plan = policy.decide(
            request.method(),
            request.headers(),
            || request.host(),
            request.target(),
        );
        let index = match plan {
            Plan::Pass => return WebsiteFuture::Passed(self.inner.call(request)),
            Plan::Object(Cow::Borrowed(_)) => None,
            Plan::Object(Cow::Owned(index)) => Some(index),
        };
        // Boxed: looked at only when the page is missing.
        let visits = Box::new(Visits {
            policy: Arc::clone(policy),
            inner: self.inner.clone(),
            asked: copy(&request, request.method()),
        });
        if let Some(index) = index {
            *request.uri_mut() = with_target(request.uri(), &index);
        }
        WebsiteFuture::Page(self.inner.call(request), Some(visits))
    }
}

/// Asks the inner service for further objects on behalf of one request.
#[derive(Debug)]
pub struct Visits<S> {
    policy: Arc<Website>,
    inner: S,
    /// What the client asked.
    asked: Request,
}

impl<S> Visits<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    /// The answer for a page whose object is missing, as `answer` says.
    async fn otherwise(mut self: Box<Self>, answer: Response) -> Response {
        let policy = Arc::clone(&self.policy);
        let target = self.asked.target().to_owned();
        let Some(page) = Page::find(&policy.layout, || self.asked.host(), &target) else {
            return answer;
        };
        let method = self.asked.method().clone();
        let is_directory = !page.key.is_empty() && !ends_in_slash(page.key);
        let index = page.with_key(&format!("{}/{}", page.key, policy.index));
        match policy.directories {
            Subdirectories::Redirect if is_directory => {
                let found = self.get(&index, &Method::HEAD, false).await;
                if found.status() == StatusCode::OK {
                    discard(answer.into_body()).await;
                    return redirect(&page, &self.asked);
                }
            }
            Subdirectories::Index if is_directory => {
                let found = self.get(&index, &method, true).await;
                if !is_missing(&found) {
                    discard(answer.into_body()).await;
                    return found;
                }
                discard(found.into_body()).await;
            }
            Subdirectories::Off
            | Subdirectories::NotFound
            | Subdirectories::Redirect
            | Subdirectories::Index => {}
        }
        let Some(error) = &policy.error else {
            return answer;
        };
        let document = page.with_key(error);
        let mut found = self.get(&document, &method, policy.hides_errors).await;
        let is_good = found.status().is_success()
            || (policy.hides_errors && found.status() == StatusCode::NOT_MODIFIED);
        if !is_good {
            discard(found.into_body()).await;
            return answer;
        }
        discard(answer.into_body()).await;
        if !policy.hides_errors {
            *found.status_mut() = StatusCode::NOT_FOUND;
        }
        found
    }

    async fn get(&mut self, target: &str, method: &Method, is_conditional: bool) -> Response {
        let mut request = copy(&self.asked, method);
        *request.uri_mut() = with_target(self.asked.uri(), target);
        if !is_conditional {
            for name in &CONDITIONAL {
                request.headers_mut().remove(name);
            }
        }
        let Ok(()) = std::future::poll_fn(|cx| self.inner.poll_ready(cx)).await;
        let Ok(response) = self.inner.call(request).await;
        response
    }
}

/// The same request with another method and without a body.
fn copy(request: &Request, method: &Method) -> Request {
    let mut copy = Received::new(RequestBody::Empty);
    *copy.method_mut() = method.clone();
    *copy.version_mut() = request.version();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Request::new(copy, Arc::clone(request.context()))
}

/// Whether OSS, and not the proxy, says that there is no such object.
fn is_missing(response: &Response) -> bool {
    response.status() == StatusCode::NOT_FOUND && !response.headers().contains_key(respond::ERROR)
}

/// 302 to the directory with its slash, query kept.
fn redirect(page: &Page<'_>, asked: &Request) -> Response {
    let mut location = page.with_key(&format!("{}/", page.key));
    // A browser would take what comes next for a host.
    if location.starts_with("//") || location.starts_with("/\\") {
        let scheme = if asked.context().is_https {
            "https"
        } else {
            "http"
        };
        let host = String::from_utf8_lossy(asked.context().text.host());
        location = format!("{scheme}://{host}{location}");
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::FOUND;
    // A target may have such bytes, a Location may not (RFC 9110 section 10.2.2).
    let location = utf8_percent_encode(&location, &AsciiSet::EMPTY).to_string();
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// `uri` with another path and query; as it is when `target` cannot be one.
fn with_target(uri: &Uri, target: &str) -> Uri {
    let mut parts = uri.clone().into_parts();
    let Ok(target) = PathAndQuery::try_from(target) else {
        return uri.clone();
    };
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}
