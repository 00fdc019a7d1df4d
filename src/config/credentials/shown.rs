//! The texts that describe a source of access keys: its label, and its table in the effective config. Neither
//! text contains a secret.

use std::fmt;

use serde::{Serialize, Serializer};

use super::CredentialSource;

impl fmt::Display for CredentialSource {
    /// Writes the kind of the source, and the id, path or name that distinguishes it from other sources of
    /// this kind. The text contains no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Self::Static(key) => write!(f, ":{}", key.id),
            Self::File(path) => write!(f, ":{}", path.display()),
            Self::Profile { path, name } => {
                write!(f, ":{}", path.display())?;
                name.iter().try_for_each(|name| write!(f, "#{name}"))
            }
            Self::EcsRamRole {
                role: Some(role), ..
            } => write!(f, ":{role}"),
            Self::Env(_) | Self::EcsRamRole { role: None, .. } | Self::Chain(_) => Ok(()),
        }
    }
}

impl Serialize for CredentialSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("source", self.kind())?;
        let own = [self];
        let parts: &[Self] = match self {
            // Of the sources in a chain, only the last one, the RAM role, has keys in the written table. The
            // `name` of the profiles is written once, as a key of the chain.
            Self::Chain(parts) => parts.split_at(parts.len().saturating_sub(1)).1,
            Self::Env(_)
            | Self::Static(_)
            | Self::File(_)
            | Self::Profile { .. }
            | Self::EcsRamRole { .. } => &[],
        };
        for part in own.into_iter().chain(parts) {
            match part {
                Self::Env(_) => {}
                Self::Chain(parts) => {
                    let name = parts.iter().find_map(|part| match part {
                        Self::Profile { name, .. } => name.as_ref(),
                        _ => None,
                    });
                    if let Some(name) = name {
                        map.serialize_entry("name", name)?;
                    }
                }
                Self::Static(key) => {
                    map.serialize_entry("access_key_id", &key.id)?;
                    map.serialize_entry("access_key_secret", &key.secret)?;
                    if let Some(token) = &key.security_token {
                        map.serialize_entry("security_token", token)?;
                    }
                }
                Self::File(path) => map.serialize_entry("path", path)?,
                Self::Profile { path, name } => {
                    map.serialize_entry("path", path)?;
                    if let Some(name) = name {
                        map.serialize_entry("name", name)?;
                    }
                }
                Self::EcsRamRole {
                    role,
                    metadata,
                    allow_imdsv1,
                } => {
                    if let Some(role) = role {
                        map.serialize_entry("role", role)?;
                    }
                    let url = match metadata.port() {
                        80 if metadata.is_ipv4() => format!("http://{}", metadata.ip()),
                        _ => format!("http://{metadata}"),
                    };
                    map.serialize_entry("metadata", &url)?;
                    map.serialize_entry("allow_imdsv1", allow_imdsv1)?;
                }
            }
        }
        map.end()
    }
}
