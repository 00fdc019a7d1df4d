//! Reads all `[[listener]]` tables, and reports listeners whose addresses exclude each other.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::config::admin::Admin;
use crate::config::combinations;
use crate::config::listener::{Address, Listener};
use crate::config::reader::Reader;

/// Reads all listeners. `admin` is the table `[admin]`, whose address no listener may have.
pub(super) fn read(root: &Reader<'_>, admin: Option<&Admin>) -> Vec<Listener> {
    let readers = root.tables("listener");
    if !root.has("listener") || root.is_empty_list("listener") {
        let hint = "add `[[listener]]` with `address = \"0.0.0.0:80\"`";
        root.error(
            "listener",
            "is missing: nothing would be served",
            Some(hint),
        );
    }
    let has_certificate = root.has("certificate");
    let admin = admin.map(|admin| &admin.address);
    let mut seen: HashMap<Address, &Reader<'_>> = HashMap::new();
    let mut ports = Ports::default();
    let mut listeners = Vec::with_capacity(readers.len());
    for reader in &readers {
        let Some(listener) = Listener::read(reader) else {
            continue;
        };
        if listener.tls && !has_certificate {
            reader.error("tls", "needs a `[[certificate]]`", None);
        }
        let tcp = match &listener.address {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) | Address::Passed(_) => None,
        };
        let takes_any_port = tcp.is_some_and(|address| address.port() == 0);
        if !takes_any_port && let Some(other) = seen.insert(listener.address.clone(), reader) {
            let message = format!("is already the address of {}", other.for_message_of(reader));
            reader.error("address", message, None);
        } else if let Some(address) = tcp.filter(|_| !takes_any_port) {
            ports.add(address, reader);
        }
        if !takes_any_port && admin == Some(&listener.address) {
            reader.error("address", "is already the address of `admin`", None);
        } else if let (Some(address), Some(Address::Tcp(admin))) = (tcp, admin)
            && overlap(address, *admin)
        {
            let message = format!("overlaps with `{admin}`, the address of `admin`");
            let hint = "write another port in one of the two";
            reader.error("address", message, Some(hint));
        }
        combinations::check_listener(reader, &listener);
        listeners.push(listener);
    }
    listeners
}

/// Whether both addresses have the same port, and one of them stands for all addresses of this machine and so
/// includes the other one. The kernel permits only one of two such listeners. IPv4 and IPv6 are separate:
/// `[::]` does not stand for IPv4 addresses.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() != 0
        && one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && one.ip() != other.ip()
        && (one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// The first listener of each port and address family.
#[derive(Default)]
struct Ports<'r, 's> {
    first: HashMap<(u16, bool), (IpAddr, &'r Reader<'s>)>,
    /// The first listener that is for all addresses of the machine, by port and address family.
    whole: HashMap<(u16, bool), (IpAddr, &'r Reader<'s>)>,
}

impl<'r, 's> Ports<'r, 's> {
    /// Adds a listener. Reports the listener if its address overlaps with that of an earlier listener.
    fn add(&mut self, address: SocketAddr, reader: &'r Reader<'s>) {
        let key = (address.port(), address.is_ipv4());
        let known = match address.ip().is_unspecified() {
            true => self.first.get(&key),
            false => self.whole.get(&key),
        };
        if let Some((ip, other)) = known {
            let other_address = SocketAddr::new(*ip, address.port());
            let message = format!(
                "overlaps with `{other_address}` of {}, and only one of the two can listen: `0.0.0.0` and `[::]` stand for all addresses of this machine",
                other.for_message_of(reader)
            );
            let hint = "remove one of the two, or write another port";
            reader.error("address", message, Some(hint));
        }
        let entry = (address.ip(), reader);
        self.first.entry(key).or_insert(entry);
        if address.ip().is_unspecified() {
            self.whole.entry(key).or_insert(entry);
        }
    }
}
