//! The reasons why a signature is not valid, and OSS's error for each.

use std::fmt;

/// The reason why a signature is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `Authorization` or the query does not have the form of a signature. The string describes the
    /// error.
    Malformed(&'static str),
    /// The request has one signature in the header and another one in the query.
    Twice,
    /// This part of a signature is missing.
    Missing(&'static str),
    /// The access key does not exist.
    UnknownKey,
    /// The date differs too much from the current time.
    Skewed,
    /// The signature in the query has expired.
    Expired,
    /// The list of additional headers is empty.
    NoAdditional,
    /// An additional header is absent, or its name is not valid.
    Additional,
    /// The payload hash (`x-oss-content-sha256`) is not `UNSIGNED-PAYLOAD`.
    PayloadHash,
    /// The security token is missing or does not belong to the key.
    Token,
    /// The region, the product or the date of the scope is wrong.
    Scope,
    /// The signature is not the one that this request requires.
    Mismatch {
        /// The string that should have been signed.
        string_to_sign: Vec<u8>,
    },
}

impl Failure {
    /// Returns the HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_)
            | Self::Twice
            | Self::NoAdditional
            | Self::Additional
            | Self::PayloadHash => 400,
            Self::Missing(_)
            | Self::UnknownKey
            | Self::Skewed
            | Self::Expired
            | Self::Token
            | Self::Scope
            | Self::Mismatch { .. } => 403,
        }
    }

    /// Returns the `Code` of the error document.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_)
            | Self::Twice
            | Self::NoAdditional
            | Self::Additional
            | Self::PayloadHash => "InvalidArgument",
            Self::Missing(_) | Self::Expired | Self::Scope => "AccessDenied",
            Self::UnknownKey => "InvalidAccessKeyId",
            Self::Skewed => "RequestTimeTooSkewed",
            Self::Token => "InvalidSecurityToken",
            Self::Mismatch { .. } => "SignatureDoesNotMatch",
        }
    }

    /// Returns the `EC` of the error document; `None` when OSS does not document it.
    #[must_use]
    pub fn ec(&self) -> Option<&'static str> {
        match self {
            Self::Malformed(_) => Some("0002-00000061"),
            Self::Missing(_) => Some("0002-00000503"),
            Self::Skewed => Some("0002-00000504"),
            Self::Expired => Some("0002-00000069"),
            Self::NoAdditional => Some("0002-00000076"),
            Self::Additional => Some("0002-00000077"),
            Self::PayloadHash => Some("0002-00000214"),
            Self::Mismatch { .. } => Some("0002-00000201"),
            Self::Twice | Self::UnknownKey | Self::Token | Self::Scope => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "the signature is malformed: {what}"),
            Self::Twice => f.write_str("the request is signed both in its header and in its query"),
            Self::Missing(what) => write!(f, "the signature needs {what}"),
            Self::UnknownKey => f.write_str("the access key id does not exist"),
            Self::Skewed => f.write_str("the request time is too far from the server's"),
            Self::Expired => f.write_str("Request has expired."),
            Self::NoAdditional => f.write_str("the list of additional headers is empty"),
            Self::Additional => f.write_str("an additional header is absent"),
            Self::PayloadHash => f.write_str("x-oss-content-sha256 must be UNSIGNED-PAYLOAD"),
            Self::Token => f.write_str("the security token is invalid"),
            Self::Scope => f.write_str("the credential scope is not of this service"),
            Self::Mismatch { .. } => f.write_str("the signature does not match the request"),
        }
    }
}

impl std::error::Error for Failure {}
