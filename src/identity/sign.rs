//! The signer of one route: signs requests with the access key of the route's source.
//!
//! Routes with equal sources share the access key, but each route has its own signer. So no signature and no
//! correction of the clock is shared between routes.

use std::borrow::Cow;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, UNIX_EPOCH};

use http::header::{AUTHORIZATION, DATE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, request};

use crate::config::{Sign, SignVersion};
use crate::http::signing::{
    Admission, Forbidden, NoCredentials, NotSigned, SignRequests, Stamp, ToSign, Wait,
};
use crate::identity::credentials::{Key, Source};
use crate::identity::{Clock, admission};
use crate::oss::signature::{
    Resource, Scope, Signable, SigningKey, format_time, v1_sign, v1_string_to_sign,
    v4_canonical_request, v4_string_to_sign,
};

const OSS_DATE: HeaderName = HeaderName::from_static("x-oss-date");
const PAYLOAD_HASH: HeaderName = HeaderName::from_static("x-oss-content-sha256");
const TOKEN: HeaderName = HeaderName::from_static("x-oss-security-token");

/// The product of a V4 scope.
const PRODUCT: &str = "oss";

/// The V4 signing key of one day. It is kept, because its derivation costs more than a signature.
#[derive(Debug)]
struct DayKey {
    /// The number of the access key.
    number: u64,
    /// The date as `YYYYMMDD`.
    date: String,
    key: SigningKey,
}

/// The signer of one route.
#[derive(Debug)]
pub struct Signer {
    source: Arc<Source>,
    anonymous: Vec<Method>,
    version: SignVersion,
    region: String,
    /// The number of seconds that is added to this machine's clock, learned from the `Date` of a 403 response.
    offset: AtomicI64,
    day: RwLock<Option<Arc<DayKey>>>,
    clock: Clock,
}

impl Signer {
    /// Creates the signer of a route.
    #[must_use]
    pub fn new(sign: &Sign, source: Arc<Source>, clock: Clock) -> Self {
        Self {
            source,
            anonymous: sign.anonymous.clone(),
            version: sign.version,
            region: sign.region.clone(),
            offset: AtomicI64::new(0),
            day: RwLock::default(),
            clock,
        }
    }

    /// Describes how a request would be signed, for `explain`.
    #[must_use]
    pub fn describe(&self) -> String {
        let scheme = match self.version {
            SignVersion::V4 => format!("V4 for {}", self.region),
            SignVersion::V1 => "V1".to_owned(),
        };
        let state = self.source.state();
        let key = match (self.source.key(), state.failure, state.key) {
            (Some(key), _, _) => format!("key `{}`", key.id),
            (None, Some(failure), _) => format!("no key: {failure}"),
            (None, None, Some(_)) => "no key: it has expired".to_owned(),
            (None, None, None) => "a key that is asked for when the proxy runs".to_owned(),
        };
        format!(
            "signs it with {scheme}, source `{}`, {key}",
            self.source.label()
        )
    }

    /// Whether requests get a 503 response now, because the source has no valid key. Returns false while the
    /// first attempt to get a key has not ended. Used by `explain`, which does not wait for this attempt.
    #[must_use]
    pub fn is_without_key(&self) -> bool {
        !self.source.is_starting() && self.source.key().is_none()
    }

    fn day_key(&self, key: &Key, date: &str) -> Arc<DayKey> {
        // The write lock is taken only for the first request of a day and for the first request with a new key,
        // so the lock is almost never contended. Taking the read lock costs far less than the signature.
        let kept = self
            .day
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(kept) = kept.filter(|kept| kept.number == key.number && kept.date == date) {
            return kept;
        }
        let scope = self.scope(date);
        let derived = Arc::new(DayKey {
            number: key.number,
            date: date.to_owned(),
            key: SigningKey::derive(key.secret.reveal(), &scope),
        });
        *self.day.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&derived));
        derived
    }

    fn scope<'a>(&'a self, date: &'a str) -> Scope<'a> {
        Scope {
            date,
            region: &self.region,
            product: PRODUCT,
        }
    }

    fn sign_v4(
        &self,
        head: &mut request::Parts,
        resource: Resource<'_>,
        key: &Key,
        now: u64,
    ) -> Option<String> {
        let time = format_time(now);
        let date = time.get(..8)?;
        head.headers
            .insert(OSS_DATE, HeaderValue::from_str(&time).ok()?);
        head.headers
            .insert(PAYLOAD_HASH, HeaderValue::from_static("UNSIGNED-PAYLOAD"));
        let request = Signable::new(&head.method, head.uri.query(), &head.headers, resource);
        let canonical = v4_canonical_request(&request, &[]);
        let scope = self.scope(date);
        let signature = self
            .day_key(key, date)
            .key
            .sign(&v4_string_to_sign(&time, &scope, &canonical));
        let parts = [
            "OSS4-HMAC-SHA256 Credential=",
            &key.id,
            "/",
            date,
            "/",
            &self.region,
            "/oss/aliyun_v4_request,Signature=",
            &signature,
        ];
        Some(parts.concat())
    }
}

/// Signs with V1. The time is in `Date`, because V1 reads `Date` in the same way whether or not the request
/// also has `x-oss-date`.
fn sign_v1(
    head: &mut request::Parts,
    resource: Resource<'_>,
    key: &Key,
    now: u64,
) -> Option<String> {
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now));
    head.headers
        .insert(DATE, HeaderValue::from_str(&date).ok()?);
    let request = Signable::new(&head.method, head.uri.query(), &head.headers, resource);
    let text = v1_string_to_sign(&request, date.as_bytes());
    Some(format!(
        "OSS {}:{}",
        key.id,
        v1_sign(key.secret.reveal(), &text)
    ))
}

impl SignRequests for Signer {
    fn admit(&self, request: &ToSign<'_>) -> Result<Admission, NotSigned> {
        let admission = admission::admit(&self.anonymous, request)?;
        // V1 signs the key as it is decoded, so a `?` in the key looks like the start of a sub-resource.
        let is_ambiguous = self.version == SignVersion::V1 && request.resource.key.contains(&b'?');
        if admission == Admission::Sign && is_ambiguous {
            return Err(NotSigned::Ambiguous);
        }
        Ok(admission)
    }

    fn clean(&self, headers: &mut HeaderMap) {
        admission::clean(headers);
    }

    fn first_key(&self) -> Option<Wait<'_, ()>> {
        self.source
            .is_starting()
            .then(|| Box::pin(self.source.started()) as Wait<'_, ()>)
    }

    fn has_key(&self) -> Result<(), NoCredentials> {
        self.source.key().map(drop).ok_or_else(|| self.missing())
    }

    fn sign(
        &self,
        head: &mut request::Parts,
        resource: Resource<'_>,
    ) -> Result<Stamp, NoCredentials> {
        let missing = || self.missing();
        let key = self.source.key().ok_or_else(missing)?;
        let offset = self.offset.load(Relaxed);
        let now = (self.clock)().saturating_add_signed(offset);
        match &key.token {
            Some(token) => drop(head.headers.insert(TOKEN, token.clone())),
            None => drop(head.headers.remove(TOKEN)),
        }
        let authorization = match self.version {
            SignVersion::V4 => self.sign_v4(head, resource, &key, now),
            SignVersion::V1 => sign_v1(head, resource, &key, now),
        };
        let authorization = authorization.and_then(|text| HeaderValue::try_from(text).ok());
        let mut authorization = authorization.ok_or_else(missing)?;
        authorization.set_sensitive(true);
        head.headers.insert(AUTHORIZATION, authorization);
        Ok(Stamp {
            key: key.number,
            offset,
        })
    }

    fn learn<'a>(&'a self, stamp: Stamp, refusal: Forbidden<'a>) -> Wait<'a, bool> {
        match refusal.code {
            "RequestTimeTooSkewed" => {
                Box::pin(std::future::ready(self.learn_time(stamp, refusal.date)))
            }
            "InvalidAccessKeyId" | "InvalidSecurityToken" | "SecurityTokenExpired" => {
                Box::pin(self.source.renewed(stamp.key))
            }
            _ => Box::pin(std::future::ready(false)),
        }
    }
}

impl Signer {
    fn missing(&self) -> NoCredentials {
        NoCredentials {
            source: self.source.kind(),
        }
    }

    /// Learns the correction of the clock from the `Date` of a response. Returns whether the new correction
    /// differs from the correction in `stamp` by more than a minute.
    fn learn_time(&self, stamp: Stamp, date: Option<&HeaderValue>) -> bool {
        let text = date.map(|date| String::from_utf8_lossy(date.as_bytes()));
        let date = text
            .as_ref()
            .and_then(|text: &Cow<'_, str>| httpdate::parse_http_date(text).ok());
        let Some(theirs) = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok()) else {
            return false;
        };
        let ours = i64::try_from((self.clock)()).unwrap_or(i64::MAX);
        let theirs = i64::try_from(theirs.as_secs()).unwrap_or(i64::MAX);
        let offset = theirs.saturating_sub(ours);
        // A difference of a minute or less cannot be why OSS refused the request.
        let is_other = offset.abs_diff(stamp.offset) > 60;
        if is_other && self.offset.swap(offset, Relaxed) == stamp.offset {
            tracing::warn!(
                offset,
                region = self.region,
                "the clock of this machine differs from that of OSS; signatures are made with the time of OSS"
            );
        }
        is_other
    }
}
