//! Clients with a chosen address, and routes that judge it.

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::origin::RawOrigin;
use super::proxy::{Proxy, bucket_at, header, status};

/// Listener keys: the clients on loopback are proxies, and so is 10.0.0.0/8.
pub(crate) const TRUSTING: &str = "trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n";

/// Starts a proxy with one route. `listener` has the keys of the listener, `rules` those of the route.
pub(crate) fn start(origin: &RawOrigin, listener: &str, rules: &str) -> Proxy {
    Proxy::start(&format!(
        "[server]\nworkers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\n{listener}\n[[route]]\n{}\n{rules}\n",
        bucket_at(origin.address)
    ))
}

/// Connects to `address` from the client address `from`.
pub(crate) async fn connect(from: &str, address: SocketAddr) -> TcpStream {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }
    .unwrap();
    let from: IpAddr = from.parse().unwrap();
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    socket.connect(address).await.unwrap()
}

/// Sends `request` from the client address `from` and returns the response.
pub(crate) async fn send(from: &str, address: SocketAddr, request: &str) -> String {
    let mut socket = connect(from, address).await;
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is closed with unread bytes ends with a reset. The bytes before it are the response.
    let _end = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Returns a GET with `lines` among its header fields.
pub(crate) fn get(lines: &str) -> String {
    format!("GET /k HTTP/1.1\r\nhost: x\r\n{lines}connection: close\r\n\r\n")
}

/// Returns the message of a refusal by the address of the client, or nothing for a served request.
pub(crate) fn refusal(answer: &str) -> &str {
    if status(answer) == 200 {
        return "";
    }
    assert_eq!(status(answer), 403, "{answer}");
    assert_eq!(header(answer, "x-ossgate-error"), ["ip"], "{answer}");
    let message = answer.split("<Message>").nth(1).unwrap();
    message.split("</Message>").next().unwrap()
}
