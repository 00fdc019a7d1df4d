//! `[route.origin.credentials]`: the source of the access key with which ossgate signs requests.
//!
//! The environment and the text of the config are read here, when the config is read. Files and the metadata
//! service are read later and repeatedly by [`identity`](crate::identity), because their keys change.

mod shown;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::config::interpolate::Env;
use crate::config::reader::{Reader, Text};
use crate::config::secret::Secret;

/// The metadata service of ECS.
const METADATA: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), 80);

/// The names of the environment variables with an access key. Each row has the names for the id, the secret
/// and the security token. The first row has the names of the OSS SDKs. The second row has the names of the
/// other SDKs of Alibaba Cloud.
const VARIABLES: [[&str; 3]; 2] = [
    [
        "OSS_ACCESS_KEY_ID",
        "OSS_ACCESS_KEY_SECRET",
        "OSS_SESSION_TOKEN",
    ],
    [
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "ALIBABA_CLOUD_SECURITY_TOKEN",
    ],
];

/// The keys that only some sources have. Each key is listed with the sources that have it.
const KEYS: [(&str, &[Kind]); 8] = [
    ("access_key_id", &[Kind::Static]),
    ("access_key_secret", &[Kind::Static]),
    ("security_token", &[Kind::Static]),
    ("path", &[Kind::File, Kind::Profile]),
    ("name", &[Kind::Profile, Kind::Chain]),
    ("role", &[Kind::EcsRamRole, Kind::Chain]),
    ("metadata", &[Kind::EcsRamRole, Kind::Chain]),
    ("allow_imdsv1", &[Kind::EcsRamRole, Kind::Chain]),
];

/// The value of the key `source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Env,
    Static,
    File,
    Profile,
    EcsRamRole,
    Chain,
}

const KINDS: [(&str, Kind); 6] = [
    ("env", Kind::Env),
    ("static", Kind::Static),
    ("file", Kind::File),
    ("profile", Kind::Profile),
    ("ecs-ram-role", Kind::EcsRamRole),
    ("chain", Kind::Chain),
];

/// An access key that the config or the environment contains.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccessKey {
    /// The public part.
    pub id: String,
    /// The secret part.
    pub secret: Secret,
    /// The security token; only a temporary key has one.
    pub security_token: Option<Secret>,
}

/// A source of access keys. Routes with equal sources share the key and its refresh.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CredentialSource {
    /// An access key from environment variables, as they were when the config was read.
    Env(AccessKey),
    /// An access key from the config.
    Static(AccessKey),
    /// A JSON file with the same fields as a response of the metadata service. The file is read again when it
    /// changes.
    File(PathBuf),
    /// A profile in a file of the Alibaba Cloud CLI or SDKs. The file is read again when it changes.
    Profile {
        /// The file: JSON if its name ends in `.json`, otherwise INI.
        path: PathBuf,
        /// The name of the profile. `None` (the default) means `current` of a JSON file and `default` of an
        /// INI file.
        name: Option<String>,
    },
    /// The RAM role of the ECS instance, from the metadata service.
    EcsRamRole {
        /// The name of the role. `None` (the default) means the role that is attached to the instance.
        role: Option<String>,
        /// The address of the metadata service. Default `100.100.100.200:80`.
        metadata: SocketAddr,
        /// Whether requests without a token may be sent to a metadata service that issues no tokens. Default
        /// false, because such requests can be forged more easily.
        allow_imdsv1: bool,
    },
    /// The first of these sources that has a key.
    Chain(Vec<Self>),
}

impl CredentialSource {
    /// Returns the value of the key `source`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Env(_) => "env",
            Self::Static(_) => "static",
            Self::File(_) => "file",
            Self::Profile { .. } => "profile",
            Self::EcsRamRole { .. } => "ecs-ram-role",
            Self::Chain(_) => "chain",
        }
    }

    /// Reads the table `[route.origin.credentials]` and reports its problems. Returns `None` if the source
    /// cannot be read.
    pub(crate) fn read(reader: &Reader<'_>) -> Option<Self> {
        if !reader.has("source") {
            let names: Vec<String> = KINDS.iter().map(|(name, _)| format!("`{name}`")).collect();
            let message = format!("is missing: one of {}", names.join(", "));
            reader.error("source", message, None);
            return None;
        }
        let kind = reader.word("source", &KINDS)?;
        for (key, kinds) in KEYS {
            if reader.has(key) && !kinds.contains(&kind) {
                let name_of = |kind: &Kind| KINDS.iter().find(|(_, known)| known == kind);
                let names = kinds.iter().filter_map(name_of);
                let names: Vec<String> = names.map(|(name, _)| format!("`{name}`")).collect();
                let message = format!("is only for the source {}", names.join(" or "));
                reader.error(key, message, None);
            }
        }
        match kind {
            Kind::Env => read_env(reader),
            Kind::Static => read_static(reader),
            Kind::File => read_path(reader).map(Self::File),
            Kind::Profile => read_profile(reader),
            Kind::EcsRamRole => read_role(reader),
            Kind::Chain => read_chain(reader),
        }
    }
}

/// Returns the string of `key`, which must not be empty. Reports an absent key.
fn needed(reader: &Reader<'_>, key: &str) -> Option<Text> {
    if !reader.has(key) {
        reader.error(key, "is missing", None);
        return None;
    }
    let text = reader.text(key)?;
    if text.value.is_empty() {
        reader.error(key, "is empty", None);
        return None;
    }
    Some(text)
}

fn from_env(env: Env<'_>) -> Option<AccessKey> {
    let value = |name: &str| env(name).filter(|value| !value.is_empty());
    VARIABLES.iter().find_map(|[id, secret, token]| {
        Some(AccessKey {
            id: value(id)?,
            secret: Secret::new(value(secret)?),
            security_token: value(token).map(Secret::new),
        })
    })
}

fn read_env(reader: &Reader<'_>) -> Option<CredentialSource> {
    let key = from_env(reader.env());
    if key.is_none() {
        let pairs = VARIABLES.map(|[id, secret, _]| format!("`{id}` and `{secret}`"));
        let message = format!("`env` needs the variables {}", pairs.join(", or "));
        let hint = "set them for the process that reads the config, or choose another `source`";
        reader.error("source", message, Some(hint));
    }
    let key = key.filter(|key| is_fit(reader, "source", key));
    key.map(CredentialSource::Env)
}

fn read_static(reader: &Reader<'_>) -> Option<CredentialSource> {
    let id = needed(reader, "access_key_id");
    let secret = read_secret(reader, "access_key_secret");
    let token = reader.has("security_token");
    let token = token.then(|| read_secret(reader, "security_token"));
    let key = AccessKey {
        id: id?.value,
        secret: secret?,
        security_token: match token {
            None => None,
            Some(token) => Some(token?),
        },
    };
    is_fit(reader, "access_key_id", &key).then_some(CredentialSource::Static(key))
}

fn read_secret(reader: &Reader<'_>, key: &str) -> Option<Secret> {
    let text = needed(reader, key)?;
    if !text.written.contains("${") {
        let message = "is written in the config, where everybody who reads the file can read it";
        let hint = "write `${NAME}` for an environment variable, or `${file:/path}` for a file";
        reader.warn(key, message, Some(hint));
    }
    Some(Secret::new(text.value))
}

/// Whether the id and the token of `found` can be sent in header fields. If they cannot, reports an error at
/// `key` that does not quote them.
fn is_fit(reader: &Reader<'_>, key: &str, found: &AccessKey) -> bool {
    let is_printable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let token = found.security_token.as_ref().map_or("", Secret::reveal);
    // In the `Authorization` field of a V4 signature, a `/` ends the id and a `,` ends the whole credential.
    let is_fit = is_printable(&found.id) && is_printable(token) && !found.id.contains(['/', ',']);
    if !is_fit {
        let message = "has characters that no access key has, such as a blank or a line break";
        reader.error(key, message, None);
    }
    is_fit
}

/// Reads the key `path`. The file itself is read later. If the config is read without the files that it
/// names, the file is noted as not looked at.
fn read_path(reader: &Reader<'_>) -> Option<PathBuf> {
    let path = needed(reader, "path")?;
    reader.skips(&path);
    Some(reader.base().join(path.value))
}

fn read_profile(reader: &Reader<'_>) -> Option<CredentialSource> {
    let path = if reader.has("path") {
        read_path(reader)?
    } else if let Some(home) = (reader.env())("HOME").filter(|home| !home.is_empty()) {
        PathBuf::from(home).join(".aliyun/config.json")
    } else {
        let message = "is missing, and `HOME` is not set for the default `~/.aliyun/config.json`";
        reader.error("path", message, None);
        return None;
    };
    let name = read_name(reader, "name").or_else(|| (reader.env())("ALIBABA_CLOUD_PROFILE"));
    Some(CredentialSource::Profile {
        path,
        name: name.filter(|name| !name.is_empty()),
    })
}

fn read_name(reader: &Reader<'_>, key: &str) -> Option<String> {
    reader
        .has(key)
        .then(|| needed(reader, key))?
        .map(|text| text.value)
}

fn read_role(reader: &Reader<'_>) -> Option<CredentialSource> {
    let role = reader.has("role").then(|| needed(reader, "role"));
    let role = match role {
        None => None,
        Some(text) => {
            let text = text?;
            if !is_role(&text.value) {
                let reason = "is not the name of a RAM role: letters, digits, `.`, `_` and `-`";
                reader.error_at("role", &text, reason, None);
                return None;
            }
            Some(text.value)
        }
    };
    let metadata = match reader.text("metadata") {
        None if reader.has("metadata") => return None,
        None => METADATA,
        Some(text) => {
            let address = read_address(&text.value);
            if address.is_none() {
                let reason = "is not `http://` and an IP address, with or without a port";
                reader.error_at("metadata", &text, reason, None);
            }
            address?
        }
    };
    Some(CredentialSource::EcsRamRole {
        role,
        metadata,
        allow_imdsv1: reader.flag("allow_imdsv1").unwrap_or(false),
    })
}

/// Whether `name` can be the name of a RAM role. Such a name is safe in the path of a request.
#[must_use]
pub fn is_role(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_allowed) && !name.starts_with('.')
}

fn read_address(url: &str) -> Option<SocketAddr> {
    let host = url.strip_prefix("http://")?;
    let host = host.strip_suffix('/').unwrap_or(host);
    let with_port = || host.parse().ok();
    let bare = host.parse::<IpAddr>().ok();
    bare.map(|ip| SocketAddr::new(ip, 80)).or_else(with_port)
}

fn read_chain(reader: &Reader<'_>) -> Option<CredentialSource> {
    let role = read_role(reader)?;
    let env = reader.env();
    let name = read_name(reader, "name").or_else(|| env("ALIBABA_CLOUD_PROFILE"));
    let name = name.filter(|name| !name.is_empty());
    let mut sources = Vec::new();
    if let Some(key) = from_env(env).filter(|key| is_fit(reader, "source", key)) {
        sources.push(CredentialSource::Env(key));
    }
    let home = env("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from);
    let files = [".aliyun/config.json", ".alibabacloud/credentials.ini"];
    for path in home
        .iter()
        .flat_map(|home| files.map(|file| home.join(file)))
    {
        let name = name.clone();
        sources.push(CredentialSource::Profile { path, name });
    }
    sources.push(role);
    Some(CredentialSource::Chain(sources))
}
