//! The lookups after a missing object: the index of a directory, and the error document.

use std::convert::Infallible;
use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri};
use percent_encoding::{AsciiSet, utf8_percent_encode};
use tower::Service;

use super::page::{Page, Website};
use crate::config::policy::Subdirectories;
use crate::http::body::discard;
use crate::http::message::StandIn;
use crate::http::{Received, Request, RequestBody, Response, respond};
use crate::oss::website::ends_in_slash;

/// Header fields that make the response conditional or partial. They are removed from a lookup whose result
/// must be whole: the check for the index of a directory, and an error document that is sent with status 404.
const CONDITIONAL: [HeaderName; 6] = [
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// The handling of the [`CONDITIONAL`] fields of the client's request in a further lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conditions {
    Keep,
    Drop,
}

/// Requests further objects from the inner service for one client request.
#[derive(Debug)]
pub struct FurtherLookups<S> {
    policy: Arc<Website>,
    inner: S,
    /// The client's request, without its body.
    original: Request,
}

impl<S> FurtherLookups<S> {
    pub(super) fn new(policy: &Arc<Website>, inner: S, request: &Request) -> Self {
        Self {
            policy: Arc::clone(policy),
            inner,
            original: copy(request, request.method()),
        }
    }
}

impl<S> FurtherLookups<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    /// Returns the response for a page whose object is missing. `missing` is the 404 response of the first
    /// lookup; this response is returned when no other document is found.
    pub(super) async fn resolve(mut self: Box<Self>, missing: Response) -> Response {
        let policy = Arc::clone(&self.policy);
        let target = self.original.target().to_owned();
        let context = Arc::clone(self.original.context());
        let Some(page) = Page::find(&policy.layout, || context.host(), &target) else {
            return missing;
        };
        let method = self.original.method().clone();
        let is_directory = !page.key.is_empty() && !ends_in_slash(page.key);
        let index = page.with_key(&format!("{}/{}", page.key, policy.index));
        match policy.directories {
            Subdirectories::Redirect if is_directory => {
                let found = self.get(&index, &Method::HEAD, Conditions::Drop).await;
                if found.status() == StatusCode::OK {
                    discard(missing.into_body()).await;
                    return redirect(&page, &self.original);
                }
            }
            Subdirectories::Index if is_directory => {
                let found = self.get(&index, &method, Conditions::Keep).await;
                if !is_missing(&found) {
                    discard(missing.into_body()).await;
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
            return missing;
        };
        let document = page.with_key(error);
        // With status 200, the error document is sent like any other page, so its response may be conditional
        // or partial.
        let conditions = if policy.hides_errors {
            Conditions::Keep
        } else {
            Conditions::Drop
        };
        let mut found = self.get(&document, &method, conditions).await;
        let is_good = found.status().is_success()
            || (policy.hides_errors && found.status() == StatusCode::NOT_MODIFIED);
        if !is_good {
            discard(found.into_body()).await;
            return missing;
        }
        discard(missing.into_body()).await;
        found.extensions_mut().insert(StandIn);
        if !policy.hides_errors {
            *found.status_mut() = StatusCode::NOT_FOUND;
        }
        found
    }

    async fn get(&mut self, target: &str, method: &Method, conditions: Conditions) -> Response {
        let mut request = copy(&self.original, method);
        *request.uri_mut() = with_target(self.original.uri(), target);
        if conditions == Conditions::Drop {
            for name in &CONDITIONAL {
                request.headers_mut().remove(name);
            }
        }
        let Ok(()) = std::future::poll_fn(|cx| self.inner.poll_ready(cx)).await;
        let Ok(response) = self.inner.call(request).await;
        response
    }
}

/// Returns a copy of `request` with another method and without a body.
fn copy(request: &Request, method: &Method) -> Request {
    let mut copy = Received::new(RequestBody::Empty);
    *copy.method_mut() = method.clone();
    *copy.version_mut() = request.version();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    // A body in a GET has no meaning (RFC 9110 section 9.3.1), so only the first lookup sends the client's
    // body. These fields describe the body that is left out here.
    for name in [header::CONTENT_LENGTH, header::EXPECT] {
        copy.headers_mut().remove(name);
    }
    Request::new(copy, Arc::clone(request.context()))
}

/// Whether the response is a 404 of OSS and not of the proxy.
pub(super) fn is_missing(response: &Response) -> bool {
    response.status() == StatusCode::NOT_FOUND && !response.headers().contains_key(respond::ERROR)
}

/// Returns a 302 redirect to the directory with a slash at its end. The query is kept.
fn redirect(page: &Page<'_>, original: &Request) -> Response {
    let mut location = page.with_key(&format!("{}/", page.key));
    // If a location begins with `//` or `/\`, a browser reads the text after it as a host name. So the full
    // URL is written in this case.
    if location.starts_with("//") || location.starts_with("/\\") {
        let scheme = if original.context().is_https {
            "https"
        } else {
            "http"
        };
        let host = String::from_utf8_lossy(original.context().text.host());
        location = format!("{scheme}://{host}{location}");
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::FOUND;
    // A target may contain bytes that are not ASCII, but a Location may not (RFC 9110 section 10.2.2).
    let location = utf8_percent_encode(&location, &AsciiSet::EMPTY).to_string();
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Returns `uri` with another path and query. Returns it unchanged when `target` is not a valid path and
/// query.
pub(super) fn with_target(uri: &Uri, target: &str) -> Uri {
    let mut parts = uri.clone().into_parts();
    let Ok(target) = PathAndQuery::try_from(target) else {
        return uri.clone();
    };
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}
