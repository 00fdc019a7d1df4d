//! `[route.ip]`: the client addresses that a route serves.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::config::network_list::{
    IGNORED_BITS, Network, NetworkList, has_ignored_bits, parse_network, whole_family,
};
use crate::config::reader::Reader;

/// `[route.ip]`. `deny` has priority over `allow` and `file`. If `allow` or `file` is given, clients outside
/// the networks of both are refused.
#[derive(Clone, Debug, Serialize)]
pub struct Ip {
    /// The networks that are served. The list is empty if the key is absent. An empty list in the config is
    /// an error, unless there is also a `file`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Network>,
    /// The networks that are refused. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Network>,
    /// The file with more networks that are served; `None` if the key is absent. Routes that name the same
    /// file share its list.
    #[serde(
        serialize_with = "serialize_path",
        skip_serializing_if = "Option::is_none"
    )]
    pub file: Option<Arc<NetworkList>>,
}

impl Ip {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let allow = read_list(reader, "allow", |family| {
            format!("allows every {family} address")
        });
        let file = read_file(reader, &allow);
        let has_allow = !allow.is_empty() || reader.has("file");
        if reader.is_empty_list("allow") && !has_allow {
            let hint = "leave `allow` out to serve every client that is not denied";
            reader.error(
                "allow",
                "is empty: every client would be refused",
                Some(hint),
            );
        }
        let deny = read_list(reader, "deny", |family| {
            if has_allow {
                format!(
                    "refuses every {family} address, those of `allow` included; leave it out: `allow` already refuses all others"
                )
            } else {
                format!("refuses every {family} address")
            }
        });
        if !reader.has("allow")
            && !reader.has("file")
            && (!reader.has("deny") || reader.is_empty_list("deny"))
        {
            let message = "has no effect without `allow`, `deny` or `file`";
            reader.warn("", message, None);
        }
        Self { allow, deny, file }
    }

    /// Whether only the clients in `allow` and `file` are served.
    #[must_use]
    pub fn has_allow(&self) -> bool {
        !self.allow.is_empty() || self.file.is_some()
    }
}

/// Reads the networks of `key`. `whole` returns the warning about a network with all addresses of a family.
fn read_list(
    reader: &Reader<'_>,
    key: &str,
    whole: impl Fn(&'static str) -> String,
) -> Vec<Network> {
    let networks = reader.parsed(key, parse_network).into_iter();
    let located = networks.map(|(net, text)| {
        if has_ignored_bits(&text.value, &net) {
            reader.warn_at(key, &text, IGNORED_BITS);
        }
        if let Some(family) = whole_family(&net) {
            reader.warn_at(key, &text, &whole(family));
        }
        Network {
            net,
            line: reader.line(&text.span),
        }
    });
    located.collect()
}

/// Reads the list of networks in the file that the key `file` names. If several routes name the same file,
/// its problems are reported only at the first of them.
fn read_file(reader: &Reader<'_>, allow: &[Network]) -> Option<Arc<NetworkList>> {
    let text = reader.text("file")?;
    if reader.skips(&text) {
        return None;
    }
    let path = reader.base().join(&text.value);
    let list = reader
        .session()
        .network_list(&path, || match NetworkList::read(&path) {
            Ok(list) => {
                for warning in &list.warnings {
                    reader.warn("file", warning.as_str(), None);
                }
                Some(list)
            }
            Err(error) => {
                reader.error("file", error.to_string(), None);
                None
            }
        })?;
    if list.networks.is_empty() && allow.is_empty() {
        let message = "lists no network and `allow` has none: every client is refused";
        reader.warn("file", message, None);
    }
    Some(list)
}

#[expect(clippy::ref_option, reason = "the signature that serde requires")]
fn serialize_path<S: Serializer>(
    file: &Option<Arc<NetworkList>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    file.as_ref().map(|list| &list.path).serialize(serializer)
}
