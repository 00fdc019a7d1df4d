//! Checks the signatures of requests against a set of access keys, with [`crate::oss::signature`].

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, Method};

use crate::demo::origin::options::{Clock, Denial, Verify};
use crate::oss::signature::{Failure, Identity, Keys, Resource, Verifier};
use crate::oss::signature::{v1_signature, v4_credential, v4_signature};

/// A fixed set of access keys, which may include temporary keys.
pub struct Keyring {
    keys: Vec<Keys>,
    region: Option<String>,
    now: Clock,
}

impl Keyring {
    /// Returns a key ring that accepts `keys`. V4 signatures must be for `region`. If `region` is `None`, any
    /// region is accepted.
    #[must_use]
    pub fn new(keys: Vec<Keys>, region: Option<String>, now: Clock) -> Self {
        Self { keys, region, now }
    }

    fn find(&self, access_key_id: &str) -> Option<&Keys> {
        self.keys
            .iter()
            .find(|keys| keys.access_key_id == access_key_id)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("keys", &self.keys)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Verify for Keyring {
    fn verify(
        &self,
        method: &Method,
        raw_query: Option<&str>,
        headers: &HeaderMap,
        bucket: Option<&str>,
        key: &[u8],
    ) -> Result<Option<String>, Denial> {
        let find = |id: &str| self.find(id).cloned();
        let verifier = Verifier {
            keys: &find,
            region: self.region.as_deref(),
            now: (self.now)()
                .duration_since(UNIX_EPOCH)
                .unwrap_or(Duration::ZERO)
                .as_secs(),
        };
        match verifier.verify(method, raw_query, headers, Resource { bucket, key }) {
            Ok(Identity::Anonymous) => Ok(None),
            Ok(Identity::Signed { access_key_id }) => Ok(Some(access_key_id)),
            Err(failure) => Err(denial(&failure)),
        }
    }

    fn verify_form(&self, field: &dyn Fn(&str) -> Option<String>) -> Result<bool, Denial> {
        let policy = field("policy").unwrap_or_default();
        let missing = |name| denial(&Failure::Missing(name));
        let keys = |id: &str| self.find(id).ok_or_else(|| denial(&Failure::UnknownKey));
        let (expected, given) = if let Some(credential) = field("x-oss-credential") {
            let (id, scope) = v4_credential(&credential).map_err(|why| denial(&why))?;
            (
                v4_signature(keys(id)?, &scope, &policy),
                field("x-oss-signature").ok_or_else(|| missing("x-oss-signature"))?,
            )
        } else if let Some(id) = field("OSSAccessKeyId") {
            (
                v1_signature(keys(&id)?, policy.as_bytes()),
                field("Signature").ok_or_else(|| missing("Signature"))?,
            )
        } else {
            return Ok(false);
        };
        if expected == given {
            Ok(true)
        } else {
            Err(denial(&Failure::Mismatch {
                string_to_sign: policy.into_bytes(),
            }))
        }
    }
}

fn denial(failure: &Failure) -> Denial {
    let mut extra = Vec::new();
    if let Failure::Mismatch { string_to_sign } = failure {
        let bytes: Vec<String> = string_to_sign
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        extra.push((
            String::from("StringToSign"),
            String::from_utf8_lossy(string_to_sign).into_owned(),
        ));
        extra.push((String::from("StringToSignBytes"), bytes.join(" ")));
    }
    Denial {
        status: failure.status(),
        code: failure.code().to_owned(),
        ec: failure.ec().map(str::to_owned),
        message: failure.to_string(),
        extra,
    }
}
