//! One attempt to get an access key, from any source.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::fetched::{FetchError, Fetched, MOST_BYTES};
use super::{document, metadata, profile};
use crate::config::{CredentialSource, open};

/// Returns the access key of `source`.
///
/// # Errors
///
/// [`FetchError`]; every variant can occur.
pub(super) async fn fetch(source: &CredentialSource) -> Result<Fetched, FetchError> {
    match source {
        CredentialSource::Chain(parts) => {
            let mut reasons = Vec::new();
            for part in parts {
                match fetch_one(part).await {
                    Ok(found) => return Ok(found),
                    Err(error) => reasons.push(format!("{part}: {error}")),
                }
            }
            Err(FetchError::Chain(reasons.join("; ")))
        }
        CredentialSource::Env(_)
        | CredentialSource::Static(_)
        | CredentialSource::File(_)
        | CredentialSource::Profile { .. }
        | CredentialSource::EcsRamRole { .. } => fetch_one(source).await,
    }
}

async fn fetch_one(source: &CredentialSource) -> Result<Fetched, FetchError> {
    if let CredentialSource::EcsRamRole {
        role,
        metadata,
        allow_imdsv1,
    } = source
    {
        return metadata::fetch(*metadata, role.as_deref(), *allow_imdsv1).await;
    }
    local(source)
}

/// Returns the access key of a source that needs no connection. For a chain, returns the key of its first part
/// that has a key and needs no connection.
pub(super) fn local(source: &CredentialSource) -> Result<Fetched, FetchError> {
    match source {
        CredentialSource::Env(key) | CredentialSource::Static(key) => Ok(Fetched {
            key: key.clone(),
            expires: None,
        }),
        CredentialSource::File(path) => document::parse(&read(path)?),
        CredentialSource::Profile { path, name } => {
            profile::parse(path, &read(path)?, name.as_deref())
        }
        CredentialSource::EcsRamRole { .. } => Err(FetchError::Unreachable(
            "it has not been asked yet".to_owned(),
        )),
        CredentialSource::Chain(parts) => {
            let found = parts.iter().find_map(|part| local(part).ok());
            found.ok_or_else(|| FetchError::Chain("no part has been asked yet".to_owned()))
        }
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, FetchError> {
    let limit = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
    match open::read(path, limit) {
        Ok(content) => Ok(Zeroizing::new(content)),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(FetchError::TooLong),
        Err(error) => Err(FetchError::Read(path.to_owned(), error)),
    }
}
