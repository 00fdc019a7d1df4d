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
    /// A [`Denial`] with the error that OSS returns for this invalid signature.
    fn verify(
        &self,
        method: &Method,
        raw_query: Option<&str>,
        headers: &HeaderMap,
        bucket: Option<&str>,
        key: &[u8],
    ) -> Result<Option<String>, Denial>;

    /// Returns whether the fields of a form are signed. `field` returns the value of a field by its name. A
    /// form without a signature is anonymous.
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
    /// The operations that anonymous requests may perform. Default: none.
    pub acl: Acl,
    /// The custom domains bound to the bucket, in lower case, without port. Default: none.
    pub domains: Vec<String>,
    /// The maximum length of a stored body, in bytes. Longer bodies are measured (length, MD5, CRC-64) and
    /// dropped; reading such an object returns `NotImplemented`. Default: `None`, every body is stored.
    pub sink_above: Option<u64>,
    /// Whether keys such as `gen/64KiB` and `gen/1GiB/any-name` are objects of that size, whose bytes are
    /// generated while they are sent. Default: `false`.
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
    /// The host names of the service, without port. Any other host name stands for a bucket; an IP address
    /// always stands for the service. Bucket information reports the first name as the endpoint.
    pub endpoints: Vec<String>,
    /// The buckets that exist at the start. Signed requests can create more.
    pub buckets: Vec<BucketOptions>,
    /// The maximum number of requests that [`Origin::seen`](super::Origin::seen) returns; 0 records none.
    pub remembered: usize,
}

impl Options {
    /// Returns options without buckets, with region cn-hangzhou and a log of 1024 requests.
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
