//! What an origin is made of: buckets, region, clock, and who checks signatures.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, Method};

/// Tells the time. The origin has no clock of its own.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Checks the signature of a request.
pub trait Verify: Send + Sync {
    /// The access key id that signed the request, `None` for an anonymous one.
    ///
    /// # Errors
    ///
    /// The answer OSS gives to a signature that does not hold.
    fn verify(
        &self,
        method: &Method,
        raw_query: Option<&str>,
        headers: &HeaderMap,
        bucket: Option<&str>,
        key: &[u8],
    ) -> Result<Option<String>, Denial>;

    /// Whether the fields of a form are signed; `field` gives a field's text. An unsigned form is
    /// anonymous.
    ///
    /// # Errors
    ///
    /// As [`Verify::verify`].
    fn verify_form(&self, field: &dyn Fn(&str) -> Option<String>) -> Result<bool, Denial>;
}

/// Lets every request in as the owner, signed or not.
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

/// A refusal decided by [`Verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// HTTP status.
    pub status: u16,
    /// OSS error code.
    pub code: String,
    /// OSS `EC`, when there is one.
    pub ec: Option<String>,
    /// Text for people.
    pub message: String,
    /// Further elements of the document, such as `StringToSign`.
    pub extra: Vec<(String, String)>,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`: {}", self.status, self.code, self.message)
    }
}

impl std::error::Error for Denial {}

/// Who may do what without a signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acl {
    /// Nothing.
    #[default]
    Private,
    /// GET and HEAD of objects.
    PublicRead,
    /// GET, HEAD and plain writes of objects.
    PublicReadWrite,
}

impl Acl {
    /// As OSS writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::PublicReadWrite => "public-read-write",
        }
    }

    /// The inverse of [`Acl::as_str`].
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
    /// Its name.
    pub name: String,
    /// Rights of anonymous requests. Default: private.
    pub acl: Acl,
    /// Custom domains bound to it, lower case, without port. Default: none.
    pub domains: Vec<String>,
    /// Bodies longer than this many bytes are measured (length, MD5, CRC-64) and dropped; reading
    /// such an object back is refused with `NotImplemented`. Absent: every body is kept.
    pub sink_above: Option<u64>,
    /// Whether keys such as `gen/64KiB` and `gen/1GiB/any-name` name objects of that size whose
    /// bytes are made up while they are sent. Default: no.
    pub generated: bool,
}

impl BucketOptions {
    /// A private bucket that keeps everything.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }
}

/// What an origin is made of.
#[derive(Clone)]
pub struct Options {
    /// Checks signatures.
    pub verify: Arc<dyn Verify>,
    /// Tells the time.
    pub now: Clock,
    /// Region id, such as `cn-hangzhou`; buckets say they are in `oss-REGION`.
    pub region: String,
    /// Host names, without port, that name the service and not a bucket. An IP address is always
    /// one. The first one is what bucket info answers as endpoint.
    pub endpoints: Vec<String>,
    /// The buckets at the start; signed requests may create more.
    pub buckets: Vec<BucketOptions>,
    /// How many requests [`super::Origin::seen`] remembers.
    pub remembered: usize,
}

impl Options {
    /// No bucket, region cn-hangzhou, 1024 remembered requests.
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
