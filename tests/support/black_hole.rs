//! Addresses that swallow connects, as a dead host does.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

/// A socket that takes no connection and refuses none: its queue is full, so the kernel drops what
/// asks, as a dead host does.
pub(crate) fn black_hole(address: SocketAddr) -> (TcpListener, Vec<std::net::TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(0).unwrap();
    let fillers = fill(listener.local_addr().unwrap());
    (listener, fillers)
}

/// Connects until nothing is accepted any more.
pub(crate) fn fill(address: SocketAddr) -> Vec<std::net::TcpStream> {
    let patience = Duration::from_millis(200);
    std::iter::from_fn(|| std::net::TcpStream::connect_timeout(&address, patience).ok()).collect()
}
