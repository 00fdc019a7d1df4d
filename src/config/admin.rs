//! `[admin]`: the listener for metrics, health checks and operator commands.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::Serialize;

use crate::config::listener::{Address, read_address};
use crate::config::reader::Reader;
use crate::config::secret::Secret;

/// `[admin]`. Without the table there is no admin listener.
///
/// **Defaults**: `127.0.0.1:9180`, no token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Admin {
    /// The address to listen on. If it is a Unix socket, every user with write permission on the socket file
    /// can connect.
    pub address: Address,
    /// The token that callers must send as `Authorization: Bearer`; at least 16 characters. A TCP address
    /// that is not loopback requires a token. `None` (the default) means that no token is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
}

impl Admin {
    /// Reads the table. Returns `None` when the file has no such table, and also when its address is wrong,
    /// which is reported.
    pub(crate) fn read(root: &Reader<'_>) -> Option<Self> {
        if !root.has("admin") {
            return None;
        }
        let reader = root.table("admin");
        let default = || Address::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 9180));
        let address = if reader.has("address") {
            read_address(&reader)?
        } else {
            default()
        };
        let token = reader.text("token").map(|text| {
            if text.value.len() < 16 || !text.value.bytes().all(|byte| byte.is_ascii_graphic()) {
                let hint = "make one with `openssl rand -hex 24`";
                let message = "needs at least 16 printable ASCII characters, without spaces";
                reader.error("token", message, Some(hint));
            }
            Secret::new(text.value)
        });
        if let Address::Tcp(address) = &address
            && !is_local(address.ip())
            // A `token` that cannot be read has its own error, so it does not count as missing.
            && !reader.has("token")
        {
            let hint = "set `token`, or use 127.0.0.1 or a Unix socket";
            let message = "needs a `token`: other machines can reach it, and it can reload and drain this process";
            reader.error("address", message, Some(hint));
        }
        Some(Self { address, token })
    }

    /// Reports a Unix socket whose directory does not exist. Only the process that binds the socket needs the
    /// directory, so [`read`](Self::read) does not check it.
    pub(crate) fn check_directory(&self, root: &Reader<'_>) {
        let reader = root.table_again("admin");
        if let Address::Unix(path) = &self.address
            && let Some(parent) = path.parent().filter(|it| !it.as_os_str().is_empty())
            && !reader.session().skips(parent)
            && !parent.is_dir()
        {
            let hint = "make the directory, or let systemd make it with `RuntimeDirectory=`";
            let message = "cannot be bound: its directory does not exist";
            reader.error("address", message, Some(hint));
        }
    }
}

fn is_local(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
