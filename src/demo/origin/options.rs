//! The options of an origin: buckets, region, clock and signature check.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, Method};

/// A function that returns the current time, because the origin has no clock of its own.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The signature check of an origin.
pub trait Verify: Send + Sync {
    /// Returns the access key id that signed the request, or `None` for an anonymous request.
    ///
    /// # Errors
    ///
    /// A [`Denial`] if the signature is invalid. It contains the error that OSS returns.
    fn verify(
        &self,
        method: &Method,
        raw_query: Option<&str>,
        headers: &HeaderMap,
        bucket: Option<&str>,
        key: &[u8],
    ) -> Result<Option<String>, Denial>;

    /// Returns whether a form is signed; `false` means that it is anonymous. `field` returns the value of a
    /// field by its name.
    ///
    /// # Errors
    ///
    /// A [`Denial`], as for [`Verify::verify`].
    fn verify_form(&self, field: &dyn Fn(&str) -> Option<String>) -> Result<bool, Denial>;
}

/// A [`Verify`] that accepts every request as a request of the owner, signed or not.
#[derive(Clone, Copy, Debug)]
pub struct TrustAll;

impl Verify for TrustAll {
    fn verify(
        &self,
        _: &Method,
        _: Option<&str>,
        _: &HeaderMap,
        _: Option<&str>,
        _: &[u8],
    ) -> Result<Option<String>, Denial> {
        Ok(Some(String::from("anyone")))
    }

    fn verify_form(&self, _: &dyn Fn(&str) -> Option<String>) -> Result<bool, Denial> {
        Ok(true)
    }
}

/// The error of [`Verify`]: the response of OSS to a request with an invalid signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The HTTP status.
    pub status: u16,
    /// The OSS error code.
    pub code: String,
    /// The `EC` element of the error document (a detailed OSS error code), if there is one.
    pub ec: Option<String>,
    /// The message in the error document.
    pub message: String,
    /// Additional elements of the error document, such as `StringToSign`, as pairs of name and text.
    pub extra: Vec<(String, String)>,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`: {}", self.status, self.code, self.message)
    }
}

impl std::error::Error for Denial {}

/// The operations that anonymous requests may perform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acl {
    /// Anonymous requests may perform no operation.
    #[default]
    Private,
    /// Anonymous requests may GET and HEAD objects.
    PublicRead,
    /// Anonymous requests may GET, HEAD, PUT and DELETE objects, and upload objects by an HTML form.
    PublicReadWrite,
}

impl Acl {
    /// Returns the name of the ACL in the OSS API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::PublicReadWrite => "public-read-write",
        }
    }

    /// Parses the name of an ACL in the OSS API.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Private, Self::PublicRead, Self::PublicReadWrite]
            .into_iter()
            .find(|acl| acl.as_str() == text)
    }
}

/// One bucket of the origin.
#[derive(Clone, Debug, Default)]
pub struct BucketOptions {
    /// The name of the bucket.
    pub name: String,
    /// The operations that anonymous requests may perform. The default is [`Acl::Private`].
    pub acl: Acl,
    /// The custom domains bound to the bucket, in lower case, without port. By default there are none.
    pub domains: Vec<String>,
    /// The maximum length of a stored body, in bytes. Of a longer body, only the length, MD5 and CRC-64 are
    /// kept, and reading such an object returns `NotImplemented`. By default (`None`), every body is stored.
    pub sink_above: Option<u64>,
    /// Whether the bucket has generated objects. If so, a key such as `gen/64KiB` or `gen/1GiB/any-name` is
    /// an object of that size, whose bytes are generated while they are sent. The default is `false`.
    pub generated: bool,
}

impl BucketOptions {
    /// Returns a private bucket that stores every body.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }
}

/// The options of an origin.
#[derive(Clone)]
pub struct Options {
    /// The signature check.
    pub verify: Arc<dyn Verify>,
    /// The clock.
    pub now: Clock,
    /// The region id, such as `cn-hangzhou`. The location of a bucket is `oss-REGION`.
    pub region: String,
    /// The host names of the service, without port. Bucket information reports the first one as the endpoint.
    /// An IP address also stands for the service. A host name that is neither listed here nor a custom domain
    /// stands for the bucket in its first label, or for the service if that label is not a valid bucket name.
    pub endpoints: Vec<String>,
    /// The buckets that exist at the start. Signed requests can create more.
    pub buckets: Vec<BucketOptions>,
    /// The maximum number of requests that [`Origin::seen`](super::Origin::seen) returns; 0 records none.
    pub remembered: usize,
}

impl Options {
    /// Returns options without buckets, with region cn-hangzhou, its public endpoint and a log of 1024
    /// requests.
    #[must_use]
    pub fn new(verify: Arc<dyn Verify>, now: Clock) -> Self {
        Self {
            verify,
            now,
            region: String::from("cn-hangzhou"),
            endpoints: vec![String::from("oss-cn-hangzhou.aliyuncs.com")],
            buckets: Vec::new(),
            remembered: 1024,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("region", &self.region)
            .field("endpoints", &self.endpoints)
            .field("buckets", &self.buckets)
            .finish_non_exhaustive()
    }
}
