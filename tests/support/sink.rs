//! An origin that reports the bodies it received.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// An origin that reports each request body: its bytes, or `None` when it broke off.
pub(crate) async fn sink() -> (
    std::net::SocketAddr,
    mpsc::UnboundedReceiver<Option<Vec<u8>>>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (report, reports) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let report = report.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                while let Some(head) = read_head(&mut socket, &mut bytes).await {
                    let body = read_body(&mut socket, &head, &mut bytes).await;
                    let is_whole = body.is_some();
                    report.send(body).unwrap();
                    let answer =
                        b"HTTP/1.1 200 OK\r\nx-oss-request-id: 5C3D\r\ncontent-length: 2\r\n\r\nok";
                    if !is_whole || socket.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, reports)
}

pub(crate) async fn read_head(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = bytes.drain(..at + 4).collect();
            return Some(String::from_utf8(head).unwrap().to_ascii_lowercase());
        }
        if socket.read_buf(bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

pub(crate) async fn read_body(
    socket: &mut TcpStream,
    head: &str,
    bytes: &mut Vec<u8>,
) -> Option<Vec<u8>> {
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let is_whole = |bytes: &[u8]| match length {
        Some(length) => bytes.len() >= length,
        None => !head.contains("chunked") || bytes.ends_with(b"\r\n0\r\n\r\n"),
    };
    while !is_whole(bytes) {
        if socket.read_buf(bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
    let body = std::mem::take(bytes);
    Some(if length.is_some() {
        body
    } else {
        unchunked(&body)
    })
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(at) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..at]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        body.extend_from_slice(&bytes[at + 2..at + 2 + size]);
        bytes = &bytes[at + 2 + size + 2..];
    }
    body
}
