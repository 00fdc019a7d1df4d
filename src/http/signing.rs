//! The interface between the origin, which sends requests, and [`identity`](crate::identity), which signs them.
//!
//! The origin calls a [`SignRequests`] last, after it has rewritten a request. So the signature covers exactly
//! the bytes that are sent. Each attempt to send the request gets a new signature.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use http::{HeaderMap, HeaderValue, Method, request};

use crate::oss::signature::Resource;

/// What happens to a request of a route with credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The request is sent as it is: the client has signed it, or it needs no signature.
    Unchanged,
    /// The request is signed for the client.
    Sign,
}

/// The reason why a request that the client has not signed is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSigned {
    /// Requests with this method are not signed.
    Method(Method),
    /// The request is for the bucket or for the service, not for an object. If it were signed, it would list
    /// objects or buckets.
    NoObject,
    /// The query has a name that selects an operation or is a part of a signature. The value is the decoded
    /// name.
    Name(String),
    /// The value of `x-oss-process` does more than convert the object, or reads another object.
    Process,
    /// With V1, the signature for a key with `?` is also valid for a sub-resource.
    Ambiguous,
}

impl fmt::Display for NotSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(method) => write!(f, "it signs no {method} requests (`sign.anonymous` of the route)"),
            Self::NoObject => f.write_str(
                "it signs only requests for objects, and this request is for the bucket: it would list the objects",
            ),
            Self::Name(name) => write!(f, "it signs no request with `?{name}`"),
            Self::Process => f.write_str(
                "it signs only `x-oss-process` with `image/`, `style/` and `video/snapshot`, and without other objects",
            ),
            Self::Ambiguous => f.write_str("it signs no key that contains `?` with V1"),
        }
    }
}

/// No valid access key is at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCredentials {
    /// The kind of the source, such as `ecs-ram-role`.
    pub source: &'static str,
}

impl NoCredentials {
    /// Returns what the operator should check.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self.source {
            "ecs-ram-role" => {
                "Check that a RAM role is attached to the instance of the proxy, and that the proxy can reach the metadata \
                 service (100.100.100.200)."
            }
            "file" => {
                "Check that the file of `path` can be read, is complete and is renewed before its `Expiration`."
            }
            "profile" => "Check the profile that the credentials of the route name.",
            "chain" => "Check the environment, the profiles and the RAM role of the proxy.",
            _ => "Check the credentials of the route.",
        }
    }
}

/// The parts of a request that decide whether it is signed.
#[derive(Clone, Copy, Debug)]
pub struct ToSign<'a> {
    /// The method.
    pub method: &'a Method,
    /// The query that is sent to OSS, without its `?`.
    pub query: Option<&'a str>,
    /// The header fields of the client.
    pub headers: &'a HeaderMap,
    /// The bucket and the decoded key, as OSS reads them from the request.
    pub resource: Resource<'a>,
}

/// Identifies the key and the clock correction with which a request was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The number of the access key among the keys that its source has returned.
    pub key: u64,
    /// The correction of the clock, in seconds.
    pub offset: i64,
}

/// A 403 response of OSS to a signed request.
#[derive(Clone, Copy, Debug)]
pub struct Forbidden<'a> {
    /// The `Code` of the error document.
    pub code: &'a str,
    /// The `Date` of the response.
    pub date: Option<&'a HeaderValue>,
}

/// A boxed future. The allocation does not matter, because few requests wait for such a future.
pub type Wait<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Signs the requests of one route.
pub trait SignRequests: Send + Sync + fmt::Debug {
    /// Decides whether a request is signed.
    ///
    /// # Errors
    ///
    /// [`NotSigned`]; every variant can occur.
    fn admit(&self, request: &ToSign<'_>) -> Result<Admission, NotSigned>;

    /// Removes the header fields of the client that OSS would take for instructions of the bucket's owner if
    /// they were signed.
    fn clean(&self, headers: &mut HeaderMap);

    /// Returns a future that ends when the first attempt to get an access key has ended, or after a few seconds.
    /// Returns `None` if the first attempt has already ended, which is the usual case.
    fn first_key(&self) -> Option<Wait<'_, ()>>;

    /// Whether there is a valid access key.
    ///
    /// # Errors
    ///
    /// [`NoCredentials`] when there is none.
    fn has_key(&self) -> Result<(), NoCredentials>;

    /// Signs `head` immediately before it is sent. A signature of an earlier attempt is replaced. `resource` is
    /// the bucket and the decoded key in the target of `head`.
    ///
    /// # Errors
    ///
    /// [`NoCredentials`] when there is no access key, or the last one has expired.
    fn sign(
        &self,
        head: &mut request::Parts,
        resource: Resource<'_>,
    ) -> Result<Stamp, NoCredentials>;

    /// Learns from a 403 response of OSS whether the key or the clock was wrong. The future returns whether a
    /// new signature, with another key or another time, may succeed. The future may be dropped at any time.
    fn learn<'a>(&'a self, stamp: Stamp, refusal: Forbidden<'a>) -> Wait<'a, bool>;
}
