//! Index and error documents, in the order OSS looks for them.
//!
//! The proxy asks for documents by their keys, so this works on a private bucket whose requests are
//! signed below, too. It is the one policy that may ask the inner service more than once: for the
//! index of a directory, and for the error document.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri};
use http_body::Body;
use tower::Service;

use crate::config::policy::{self as config, Subdirectories};
use crate::http::body::discard;
use crate::http::{Received, Request, RequestBody, Response, respond};
use crate::oss::addressing::Layout;
use crate::oss::website::{index_of, is_for_website};

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
pub enum Plan {
    /// Not the website's: it goes on as it is.
    Pass,
    /// An object, asked for under this target; what else may be asked for depends on the answer.
    Object(String),
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
    pub fn decide<'h>(
        &self,
        method: &Method,
        headers: &HeaderMap,
        host: impl FnOnce() -> &'h str,
        target: &str,
    ) -> Plan {
        let query = target.split_once('?').map(|(_, query)| query);
        if !is_for_website(method, headers, query) {
            return Plan::Pass;
        }
        let Some(page) = Page::find(&self.layout, host, target) else {
            return Plan::Pass;
        };
        let has_directories = self.directories != Subdirectories::Off;
        match index_of(page.key, &self.index, has_directories) {
            Some(index) => Plan::Object(page.with_key(&index)),
            None => Plan::Object(target.to_owned()),
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
        let key_end = rest.find('?').unwrap_or(rest.len());
        let (key, query) = rest.split_at_checked(key_end)?;
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
pub enum WebsiteFuture<F> {
    /// Not a page.
    Passed(F),
    /// A page. Boxed: it may ask several times.
    Page(Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>),
}

impl<F> std::fmt::Debug for WebsiteFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Passed(_) => "Passed",
            Self::Page(_) => "Page",
        })
    }
}

impl<F> Future for WebsiteFuture<F>
where
    F: Future<Output = Result<Response, Infallible>> + Unpin,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Passed(inner) => Pin::new(inner).poll(cx),
            Self::Page(page) => page.as_mut().poll(cx),
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
    type Future = WebsiteFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
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
        match plan {
            Plan::Pass => WebsiteFuture::Passed(self.inner.call(request)),
            Plan::Object(first) => {
                let (policy, inner) = (Arc::clone(policy), self.inner.clone());
                WebsiteFuture::Page(Box::pin(async move {
                    Ok(page(&policy, inner, &request, &first).await)
                }))
            }
        }
    }
}

/// The answer for a page.
async fn page<S>(policy: &Website, inner: S, request: &Request, first: &str) -> Response
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send,
{
    let mut visits = Visits { inner, request };
    let answer = visits.get(first, request.method(), true).await;
    if !is_missing(&answer) {
        return answer;
    }
    let target = request.target();
    let Some(page) = Page::find(&policy.layout, || request.host(), target) else {
        return answer;
    };
    let is_directory = !page.key.is_empty() && !page.key.ends_with('/');
    let index = page.with_key(&format!("{}/{}", page.key, policy.index));
    match policy.directories {
        Subdirectories::Redirect if is_directory => {
            let found = visits.get(&index, &Method::HEAD, false).await;
            if found.status() == StatusCode::OK {
                discard(answer.into_body()).await;
                return redirect(&page);
            }
        }
        Subdirectories::Index if is_directory => {
            let found = visits.get(&index, request.method(), true).await;
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
    let mut found = visits
        .get(&document, request.method(), policy.hides_errors)
        .await;
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

/// Whether OSS, and not the proxy, says that there is no such object.
fn is_missing(response: &Response) -> bool {
    response.status() == StatusCode::NOT_FOUND && !response.headers().contains_key(respond::ERROR)
}

/// 302 to the directory with its slash, query kept.
fn redirect(page: &Page<'_>) -> Response {
    let location = page.with_key(&format!("{}/", page.key));
    let mut response = Response::default();
    *response.status_mut() = StatusCode::FOUND;
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Asks the inner service for objects on behalf of one request.
struct Visits<'r, S> {
    inner: S,
    request: &'r Request,
}

impl<S> Visits<'_, S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send,
{
    async fn get(&mut self, target: &str, method: &Method, is_conditional: bool) -> Response {
        let mut received = Received::new(RequestBody::Empty);
        *received.method_mut() = method.clone();
        *received.version_mut() = self.request.version();
        *received.uri_mut() = with_target(self.request.uri(), target);
        *received.headers_mut() = self.request.headers().clone();
        if !is_conditional {
            for name in &CONDITIONAL {
                received.headers_mut().remove(name);
            }
        }
        let request = Request::new(received, Arc::clone(self.request.context()));
        let Ok(()) = std::future::poll_fn(|cx| self.inner.poll_ready(cx)).await;
        let Ok(response) = self.inner.call(request).await;
        response
    }
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
