//! Addresses that never respond to connects, like a dead host.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Returns a socket that neither accepts nor refuses connections, and the connections that fill its queue.
/// The kernel drops further connects while the queue is full.
pub(crate) fn black_hole(address: SocketAddr) -> (TcpListener, Vec<std::net::TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(0).unwrap();
    let fillers = fill(listener.local_addr().unwrap());
    (listener, fillers)
}

/// Opens connections until the queue of the socket is full.
pub(crate) fn fill(address: SocketAddr) -> Vec<std::net::TcpStream> {
    let patience = Duration::from_millis(200);
    std::iter::from_fn(|| std::net::TcpStream::connect_timeout(&address, patience).ok()).collect()
}

/// An origin that responds to every request with 200 until it dies. Then it accepts no connection and sends
/// nothing on open ones, like a host that has vanished from the network.
pub(crate) struct MortalOrigin {
    listener: Arc<TcpListener>,
    is_dead: Arc<AtomicBool>,
    accepting: tokio::task::JoinHandle<()>,
    fillers: Vec<std::net::TcpStream>,
}

impl MortalOrigin {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(address).unwrap();
        let listener = Arc::new(socket.listen(0).unwrap());
        let is_dead = Arc::new(AtomicBool::new(false));
        let (accepted, dead) = (Arc::clone(&listener), Arc::clone(&is_dead));
        let accepting = tokio::spawn(async move {
            loop {
                let (socket, _) = accepted.accept().await.unwrap();
                tokio::spawn(answer_until(socket, Arc::clone(&dead)));
            }
        });
        Self {
            listener,
            is_dead,
            accepting,
            fillers: Vec::new(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub(crate) fn die(&mut self) {
        self.is_dead.store(true, Ordering::SeqCst);
        self.accepting.abort();
        self.fillers = fill(self.address());
    }
}

async fn answer_until(mut socket: TcpStream, is_dead: Arc<AtomicBool>) {
    let mut buffer = Vec::new();
    loop {
        let end = buffer.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse::<usize>().unwrap());
            if buffer.len() >= end + 4 + length {
                buffer.drain(..end + 4 + length);
                if is_dead.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                if socket.write_all(answer).await.is_err() {
                    return;
                }
                continue;
            }
        }
        match socket.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
