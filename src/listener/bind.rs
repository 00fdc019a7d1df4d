//! Listening sockets: newly bound, or inherited from systemd or from the previous process.
//!
//! On a TCP address every worker gets its own socket (SO_REUSEPORT), and the kernel distributes the
//! connections over them. An inherited socket is shared: every worker accepts from a duplicate of it.
//! Pending connections belong to the socket and not to the process, so no connection is lost when a
//! socket is passed to another process.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use socket2::{Domain, Socket as RawSocket, Type};

use crate::config::Address;
use crate::net::unix;

/// The maximum number of connections that the kernel queues for one worker's TCP socket. The kernel lowers
/// the number to `net.core.somaxconn`.
const BACKLOG: i32 = 8192;

/// A listening socket.
#[derive(Debug)]
pub enum Bound {
    /// A TCP socket on an IP address.
    Tcp(std::net::TcpListener),
    /// A unix socket on a path.
    Unix(std::os::unix::net::UnixListener),
}

impl Bound {
    /// Returns another descriptor of the same socket.
    ///
    /// # Errors
    ///
    /// The OS error when descriptors have run out.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(socket) => Self::Tcp(socket.try_clone()?),
            Self::Unix(socket) => Self::Unix(socket.try_clone()?),
        })
    }

    fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nonblocking(true),
            Self::Unix(socket) => socket.set_nonblocking(true),
        }
    }

    fn local(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

impl From<Bound> for OwnedFd {
    fn from(bound: Bound) -> Self {
        match bound {
            Bound::Tcp(socket) => socket.into(),
            Bound::Unix(socket) => socket.into(),
        }
    }
}

/// The sockets that this process was started with, each with its address: `fd:NAME` for a socket from
/// systemd, any other address for a socket from the previous process.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(String, Bound)>);

impl Inherited {
    /// Adds a socket.
    pub fn push(&mut self, address: String, socket: Bound) {
        self.0.push((address, socket));
    }

    /// Closes the sockets that no listener has taken, so that no client waits in their queues. Sockets
    /// from systemd stay open, because a later config may name them.
    pub fn forget_unused(&mut self) {
        for (address, _) in &self.0 {
            tracing::warn!(%address, "no listener uses an inherited socket");
        }
        self.0.retain(|(address, _)| address.starts_with("fd:"));
    }

    fn take(&mut self, address: &str) -> Vec<Bound> {
        self.0
            .extract_if(.., |(known, _)| known == address)
            .map(|(_, socket)| socket)
            .collect()
    }
}

/// Returns at least `workers` sockets for `address`, and the IP address and port to which they are bound.
/// For a unix socket, the returned address is `None`.
///
/// # Errors
///
/// The OS error when the address is in use, belongs to another machine, or is not permitted. For
/// `fd:NAME`, `NotFound` when systemd has passed no such socket.
pub fn sockets(
    address: &Address,
    workers: usize,
    inherited: &mut Inherited,
) -> io::Result<(Option<SocketAddr>, Vec<Bound>)> {
    let mut sockets = inherited.take(&address.to_string());
    for socket in &sockets {
        socket.set_nonblocking()?;
    }
    if sockets.is_empty() {
        match address {
            Address::Tcp(address) => {
                check_unused(*address)?;
                let mut address = *address;
                for _ in 0..workers {
                    let socket = bind_tcp(address)?;
                    // With port 0 the kernel chooses the port of the first socket. The other sockets are
                    // bound to the same port.
                    address = socket.local_addr()?;
                    sockets.push(Bound::Tcp(socket));
                }
            }
            Address::Unix(path) => {
                unix::remove_stale(path)?;
                let socket = std::os::unix::net::UnixListener::bind(path)?;
                socket.set_nonblocking(true)?;
                sockets.push(Bound::Unix(socket));
            }
            Address::Passed(name) => {
                let reason = format!(
                    "no socket named `{name}` was passed to this process (FileDescriptorName= of a systemd socket unit)"
                );
                return Err(io::Error::new(io::ErrorKind::NotFound, reason));
            }
        }
    }
    let own = sockets.len();
    for index in own..workers {
        if let Some(socket) = sockets.get(index % own) {
            sockets.push(socket.try_clone()?);
        }
    }
    Ok((sockets.first().and_then(Bound::local), sockets))
}

/// Returns an error when another process listens on `address`. Workers share an address by SO_REUSEPORT.
/// Without this check, a second ossgate would silently get half of the first one's connections.
fn check_unused(address: SocketAddr) -> io::Result<()> {
    let socket = tcp_socket(address)?;
    socket.bind(&address.into())?;
    socket.listen(1)
}

fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = tcp_socket(address)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn tcp_socket(address: SocketAddr) -> io::Result<RawSocket> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two separate listeners in the config, so an IPv6 socket must not also
        // accept IPv4 connections.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    Ok(socket)
}
