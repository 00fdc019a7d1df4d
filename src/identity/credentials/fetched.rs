//! The outcome of an attempt to get an access key.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::config::{AccessKey, Secret};

/// The maximum size of a file or a response with an access key, in bytes. Real files and responses are much
/// smaller.
pub(super) const MOST_BYTES: usize = 64 << 10;

/// An access key with its expiry.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) key: AccessKey,
    /// The time at which the key expires, in seconds since 1970. `None` if the source has given no expiry.
    pub(super) expires: Option<u64>,
}

/// The reason why no access key was obtained. No variant contains a part of a key.
#[derive(Debug)]
pub(super) enum FetchError {
    /// The file cannot be read.
    Read(PathBuf, io::Error),
    /// The file or the response is longer than [`MOST_BYTES`].
    TooLong,
    /// The text is not valid JSON, or a value has a wrong type. The numbers are the line and the column.
    Json(usize, usize),
    /// The line with this number of an INI file is neither a section nor a key nor a comment.
    Ini(usize),
    /// A field is absent or empty.
    Missing(&'static str),
    /// A field has a value that cannot be used.
    Invalid(&'static str),
    /// The field `Code` is not `Success`.
    NotSuccess,
    /// The file has no profile with this name.
    NoProfile(String),
    /// The profile has a mode or a type that ossgate does not support.
    Unsupported {
        /// `mode` or `type`.
        field: &'static str,
        /// The supported values.
        supported: &'static str,
    },
    /// The metadata service cannot be connected to, or did not respond. The text describes the error.
    Unreachable(String),
    /// The metadata service issued no token. The number is the status of its response.
    NoToken(u16),
    /// No role is attached to the instance.
    NoRole,
    /// The metadata service responded with this status.
    Status(u16),
    /// The key has expired already, by the clock of this machine.
    Expired,
    /// No part of a chain has returned a key. The text contains the reason for each part.
    Chain(String),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::TooLong => f.write_str("the text is longer than 64 KiB"),
            Self::Expired => f.write_str(
                "the key has expired already; if the source is right, the clock of this machine is ahead",
            ),
            Self::Json(line, column) => {
                write!(
                    f,
                    "the text is not JSON of the expected form (line {line}, column {column})"
                )
            }
            Self::Ini(line) => write!(f, "line {line} is no section, key or comment"),
            Self::Missing(field) => write!(f, "`{field}` is missing or empty"),
            Self::Invalid(field) => write!(f, "`{field}` has an invalid value"),
            Self::NotSuccess => f.write_str("`Code` is not `Success`"),
            Self::NoProfile(name) => write!(f, "there is no profile `{name}`"),
            Self::Unsupported { field, supported } => {
                write!(
                    f,
                    "the `{field}` of the profile is not supported; supported: {supported}"
                )
            }
            Self::Unreachable(why) => write!(f, "the metadata service did not respond: {why}"),
            Self::NoToken(status) => write!(
                f,
                "the metadata service issued no token (status {status}); `allow_imdsv1 = true` permits requests without one"
            ),
            Self::NoRole => f.write_str("no RAM role is attached to this instance"),
            Self::Status(status) => {
                write!(f, "the metadata service responded with status {status}")
            }
            Self::Chain(why) => f.write_str(why),
        }
    }
}

/// Combines the fields of a key. A security token may be absent, because a permanent key has none.
///
/// # Errors
///
/// [`FetchError::Missing`] and [`FetchError::Invalid`], with one of `names`. These are the names of the fields
/// with id, secret and token, in this order.
pub(super) fn access_key(
    names: [&'static str; 3],
    id: Option<String>,
    secret: Option<String>,
    token: Option<String>,
) -> Result<AccessKey, FetchError> {
    let [id_name, secret_name, token_name] = names;
    // The secret is wrapped first. So its memory is overwritten even if this function returns an error.
    let secret = secret.filter(|secret| !secret.is_empty()).map(Secret::new);
    let token = token.filter(|token| !token.is_empty()).map(Secret::new);
    let id = id
        .filter(|id| !id.is_empty())
        .ok_or(FetchError::Missing(id_name))?;
    let is_printable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    // In `Authorization`, `/` and `,` separate the id from what follows it.
    if !is_printable(&id) || id.contains(['/', ',']) {
        return Err(FetchError::Invalid(id_name));
    }
    if token
        .as_ref()
        .is_some_and(|token| !is_printable(token.reveal()))
    {
        return Err(FetchError::Invalid(token_name));
    }
    Ok(AccessKey {
        id,
        secret: secret.ok_or(FetchError::Missing(secret_name))?,
        security_token: token,
    })
}
