//! Index and error documents, looked up in the same order as in OSS.
//!
//! The proxy requests documents by their keys, so a website also works on a private bucket if an inner
//! service signs the requests. This is the only policy that may call the inner service more than once:
//! for the index of a directory, and for the error document.

mod further;
mod page;

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tower::Service;

pub use self::further::FurtherLookups;
use self::further::{is_missing, with_target};
pub use self::page::{FirstLookup, Website};
use crate::http::{Request, Response};

/// The service that applies [`Website`]. Without a policy every request passes.
#[derive(Clone, Debug)]
pub struct WebsiteService<S> {
    policy: Option<Arc<Website>>,
    inner: S,
}

impl<S> WebsiteService<S> {
    /// Creates a service that applies `policy` and sends the requests on to `inner`.
    pub fn new(policy: Option<Arc<Website>>, inner: S) -> Self {
        Self { policy, inner }
    }
}

/// The future of [`WebsiteService`].
pub enum WebsiteFuture<S: Service<Request>> {
    /// The request is not for the website.
    Passed(S::Future),
    /// The first lookup, with the data for further lookups if the object is missing.
    Page(S::Future, Option<Box<FurtherLookups<S>>>),
    /// The object of the first lookup is missing. Boxed, because this future may make several requests.
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
        // Boxed, because it is used only when the object of the first lookup is missing.
        let further = Box::new(FurtherLookups::new(policy, self.inner.clone(), &request));
        if let Some(index) = index {
            *request.uri_mut() = with_target(request.uri(), &index);
        }
        WebsiteFuture::Page(self.inner.call(request), Some(further))
    }
}
