//! Addresses that swallow connects, as a dead host does.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

/// A socket that neither accepts nor refuses connections. Its queue is full, so the kernel drops further
/// connects.
pub(crate) fn black_hole(address: SocketAddr) -> (TcpListener, Vec<std::net::TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(0).unwrap();
    let fillers = fill(listener.local_addr().unwrap());
    (listener, fillers)
}

/// Connects until the queue of the socket is full.
pub(crate) fn fill(address: SocketAddr) -> Vec<std::net::TcpStream> {
    let patience = Duration::from_millis(200);
    std::iter::from_fn(|| std::net::TcpStream::connect_timeout(&address, patience).ok()).collect()
}
