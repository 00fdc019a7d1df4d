//! The data for the verification of both schemes: keys, region and time.

use std::fmt;

use super::failure::Failure;
use super::keys::Keys;
use super::mac::is_same;

/// The maximum difference between the clocks of the client and of OSS, in seconds.
pub const MAX_SKEW: u64 = 15 * 60;

/// Verifies signatures of requests.
pub struct Verifier<'a> {
    /// A function that returns the access key for an access key id.
    pub keys: &'a dyn Fn(&str) -> Option<Keys>,
    /// The region that a V4 scope must name. `None` accepts any region.
    pub region: Option<&'a str>,
    /// The current time, in seconds since 1970.
    pub now: u64,
}

impl fmt::Debug for Verifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Verifier<'_> {
    pub(super) fn find(&self, id: &str) -> Result<Keys, Failure> {
        (self.keys)(id).ok_or(Failure::UnknownKey)
    }

    pub(super) fn check_time(&self, time: u64) -> Result<(), Failure> {
        if time.abs_diff(self.now) > MAX_SKEW {
            return Err(Failure::Skewed);
        }
        Ok(())
    }
}

pub(super) fn check_token(keys: &Keys, token: Option<&str>) -> Result<(), Failure> {
    let is_right = match (&keys.security_token, token) {
        (Some(known), Some(token)) => is_same(known.as_bytes(), token.as_bytes()),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if is_right {
        Ok(())
    } else {
        Err(Failure::Token)
    }
}
