//! Access keys.

use std::fmt;

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The public part of the key.
    pub access_key_id: String,
    /// The secret part of the key.
    pub access_key_secret: String,
    /// The security token; only a temporary key has one.
    pub security_token: Option<String>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}
