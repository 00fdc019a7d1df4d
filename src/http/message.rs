//! The request and response types of the stack, and the [`Target`] of a request.
//!
//! [`Target::parse`] reads the authority of a request. The access layer calls this function once for each
//! request and stores the result in the context. All layers behind the access layer use that result. The
//! rules for an authority are in [`request_authority`].

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use http::header;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

use crate::http::authority::Authority;
use crate::http::body::{RequestBody, ResponseBody};
use crate::http::context::RequestContext;
use crate::http::malformed::Malformed;
use crate::http::request_authority::{self, ParsedAuthority};
use crate::oss::spelling;

/// A request as received on the client's connection.
pub type Received = http::Request<RequestBody>;

/// A response on its way to the client.
pub type Response = http::Response<ResponseBody>;

/// Marks a response with a document that stands for a missing object, such as the error document of a website.
/// It is an extension of the response.
#[derive(Clone, Copy, Debug)]
pub struct StandIn;

/// A client's request with its context.
///
/// The context is a field of the struct and not an extension, because every request has a context, and an
/// extension would need three allocations.
#[derive(Debug)]
pub struct Request {
    inner: Received,
    context: Arc<RequestContext>,
}

impl Request {
    /// Joins a request and its context.
    #[must_use]
    pub fn new(inner: Received, context: Arc<RequestContext>) -> Self {
        Self { inner, context }
    }

    /// Returns the context of the request.
    #[must_use]
    pub fn context(&self) -> &Arc<RequestContext> {
        &self.context
    }

    /// Returns the requested host without port, as received. Empty when the request has none.
    #[must_use]
    pub fn host(&self) -> &str {
        self.context.host()
    }

    /// Returns path and query, as received unless a policy has replaced the URI.
    #[must_use]
    pub fn target(&self) -> &str {
        self.parsed_target().as_str()
    }

    /// Returns the parsed target. Its host comes from the context, where the access layer has stored it.
    /// Its path and query come from the current URI.
    #[must_use]
    pub fn parsed_target(&self) -> Target<'_> {
        Target {
            uri: self.inner.uri(),
            host_text: self.context.text.host(),
            authority: self.context.parsed_authority(),
        }
    }

    /// Splits the request from its context.
    #[must_use]
    pub fn into_inner(self) -> (Received, Arc<RequestContext>) {
        (self.inner, self.context)
    }
}

impl Deref for Request {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.inner
    }
}

impl DerefMut for Request {
    fn deref_mut(&mut self) -> &mut Received {
        &mut self.inner
    }
}

/// The parsed target of a request: its host, its path, its query, and the key as OSS reads it.
///
/// A target borrows from the request. Nothing is copied, and only [`Target::key`] can allocate.
#[derive(Clone, Copy, Debug)]
pub struct Target<'r> {
    uri: &'r Uri,
    host_text: &'r [u8],
    authority: ParsedAuthority,
}

impl<'r> Target<'r> {
    /// Parses the target of a request that has no context yet.
    #[must_use]
    pub fn parse<B>(request: &'r http::Request<B>) -> Self {
        let uri = request.uri();
        let mut lines = request.headers().get_all(header::HOST).iter();
        let line = lines.next();
        let host_text = match uri.authority() {
            Some(authority) => authority.as_str().as_bytes(),
            None => line.map_or(&b""[..], HeaderValue::as_bytes),
        };
        let authority = if lines.next().is_some() {
            Err(Malformed::RepeatedHost)
        } else {
            request_authority::parse(uri, line, request.version())
        };
        Self {
            uri,
            host_text,
            authority,
        }
    }

    /// Returns path and query as received. Empty for the authority form of `CONNECT`.
    #[must_use]
    pub fn as_str(&self) -> &'r str {
        self.uri.path_and_query().map_or("", PathAndQuery::as_str)
    }

    /// Returns the path as received.
    #[must_use]
    pub fn path(&self) -> &'r str {
        self.uri.path()
    }

    /// Returns the query as received, without its `?`. `None` when the target has no `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'r str> {
        self.uri.query()
    }

    /// Returns the decoded path as OSS reads it (see [`spelling`]), with its leading `/`.
    ///
    /// A key is a sequence of bytes, which need not be UTF-8. The result is borrowed when there is nothing
    /// to decode. The router calls this function once for each request. A policy that needs only a part of
    /// the path compares that part without decoding the rest.
    #[must_use]
    pub fn key(&self) -> Cow<'r, [u8]> {
        spelling::decode(self.path())
    }

    /// Returns the text that names the host, as received and unchecked. It is the authority of the request
    /// target or, if the target has none, the first `Host` line. Empty when the request has neither.
    #[must_use]
    pub fn host_text(&self) -> &'r [u8] {
        self.host_text
    }

    /// Returns the authority of the request, or `None` for an HTTP/1.0 request without an authority.
    ///
    /// # Errors
    ///
    /// [`Malformed::RepeatedHost`], [`Malformed::BadHost`], [`Malformed::HostsDiffer`] or
    /// [`Malformed::MissingHost`].
    pub fn authority(&self) -> Result<Option<Authority<'r>>, Malformed> {
        Ok(self.authority?.and_then(|span| span.of(self.host_text)))
    }

    /// Returns the authority as byte positions in [`Target::host_text`].
    pub(super) fn parsed_authority(&self) -> ParsedAuthority {
        self.authority
    }
}

#[cfg(test)]
mod tests;
