//! Index and error documents, looked up in the same order as OSS does.
//!
//! The proxy requests documents by their keys, so a website also works on a private bucket whose
//! requests are signed further below. This is the only policy that may call the inner service more than
//! once: for the index of a directory, and for the error document.

mod further;

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Method};
use http_body::Body;
use tower::Service;

pub use self::further::FurtherLookups;
use self::further::{is_missing, with_target};
use crate::config::policy::{self as config, Subdirectories};
use crate::http::{Request, Response};
use crate::oss::addressing::{Layout, Parts, split_query};
use crate::oss::website::{Indexes, ends_in_slash, index_of, is_for_website};

/// The settings, compiled.
#[derive(Debug)]
pub struct Website {
    /// Name of the index document, percent-encoded.
    index: String,
    directories: Subdirectories,
    /// Key of the error document, percent-encoded.
    error: Option<String>,
    /// Whether the error document is sent with 200.
    hides_errors: bool,
    layout: Layout,
}

/// The first lookup for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstLookup<'t> {
    /// The request is not for a page and passes unchanged.
    NotAPage,
    /// This target is requested; it is borrowed when it is the request's own. Further lookups depend on
    /// the response.
    Page(Cow<'t, str>),
}

impl Website {
    /// Compiles the settings.
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

    /// Returns the first lookup for a request. `host` is called only where the host can name the bucket.
    pub fn decide<'t>(
        &self,
        method: &Method,
        headers: &HeaderMap,
        host: impl FnOnce() -> &'t str,
        target: &'t str,
    ) -> FirstLookup<'t> {
        let (_, query) = split_query(target);
        if !is_for_website(method, headers, query) {
            return FirstLookup::NotAPage;
        }
        let Some(page) = Page::find(&self.layout, host, target) else {
            return FirstLookup::NotAPage;
        };
        let indexes = if self.directories == Subdirectories::Off {
            Indexes::RootOnly
        } else {
            Indexes::EachDirectory
        };
        match index_of(page.key, &self.index, indexes) {
            Some(index) => FirstLookup::Page(Cow::Owned(page.with_key(&index))),
            None => FirstLookup::Page(Cow::Borrowed(target)),
        }
    }
}

/// A target in three parts: the text before the key, the key, and the query with its `?`.
struct Page<'t> {
    front: &'t str,
    key: &'t str,
    query: &'t str,
}

impl<'t> Page<'t> {
    fn find(layout: &Layout, host: impl FnOnce() -> &'t str, target: &'t str) -> Option<Self> {
        let Parts {
            front, key, query, ..
        } = layout.split(host, target)?;
        Some(Self { front, key, query })
    }

    fn with_key(&self, key: &str) -> String {
        // A path-style target may name the bucket without a slash after it.
        let slash = if ends_in_slash(self.front) { "" } else { "/" };
        format!("{}{slash}{key}{}", self.front, self.query)
    }
}

/// Applies [`Website`]; without it every request passes.
#[derive(Clone, Debug)]
pub struct WebsiteService<S> {
    policy: Option<Arc<Website>>,
    inner: S,
}

impl<S> WebsiteService<S> {
    /// Applies `policy` in front of `inner`.
    pub fn new(policy: Option<Arc<Website>>, inner: S) -> Self {
        Self { policy, inner }
    }
}

/// The future of [`WebsiteService`].
pub enum WebsiteFuture<S: Service<Request>> {
    /// The request is not for a page.
    Passed(S::Future),
    /// The first lookup, with what further lookups need if the object is missing.
    Page(S::Future, Option<Box<FurtherLookups<S>>>),
    /// The object is missing. Boxed, because this future may make several requests.
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
        if let Self::Page(first, further) = this {
            let Ok(response) = ready!(Pin::new(first).poll(cx));
            match further.take().filter(|_| is_missing(&response)) {
                None => return Poll::Ready(Ok(response)),
                Some(further) => *this = Self::Missing(Box::pin(further.resolve(response))),
            }
        }
        match this {
            Self::Passed(inner) | Self::Page(inner, _) => Pin::new(inner).poll(cx),
            Self::Missing(resolved) => resolved.as_mut().poll(cx).map(Ok),
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
        // A GET with a body is not a request for a page, and its body could not be sent twice.
        if !request.body().is_end_stream() {
            return WebsiteFuture::Passed(self.inner.call(request));
        }
        let first = policy.decide(
            request.method(),
            request.headers(),
            || request.host(),
            request.target(),
        );
        let index = match first {
            FirstLookup::NotAPage => return WebsiteFuture::Passed(self.inner.call(request)),
            FirstLookup::Page(Cow::Borrowed(_)) => None,
            FirstLookup::Page(Cow::Owned(index)) => Some(index),
        };
        // Boxed, because it is used only when the page is missing.
        let further = Box::new(FurtherLookups::new(policy, self.inner.clone(), &request));
        if let Some(index) = index {
            *request.uri_mut() = with_target(request.uri(), &index);
        }
        WebsiteFuture::Page(self.inner.call(request), Some(further))
    }
}
