//! An HTTP/2 client that sends and reads raw frames.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::proxy::Proxy;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// Encodes a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A client connection that sends and reads raw HTTP/2 frames.
pub(crate) struct Raw(TcpStream);

impl Raw {
    /// Connects to the proxy and announces `window` as the size of the stream windows.
    pub(crate) async fn connect(proxy: &Proxy, window: u32) -> Self {
        Self::greet(TcpStream::connect(proxy.address).await.unwrap(), window).await
    }

    pub(crate) async fn greet(socket: TcpStream, window: u32) -> Self {
        // With Nagle's algorithm, each small write would wait for an acknowledgement.
        socket.set_nodelay(true).unwrap();
        let mut raw = Self(socket);
        raw.0
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        let mut settings = vec![0, 4];
        settings.extend_from_slice(&window.to_be_bytes());
        raw.send(SETTINGS, 0, 0, &settings).await;
        raw
    }

    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send_all(&frame(kind, flags, stream, payload)).await;
    }

    /// Sends raw bytes. A failed write is ignored, because the next read reports a closed connection.
    pub(crate) async fn send_all(&mut self, frames: &[u8]) {
        let _sent = self.0.write_all(frames).await;
    }

    /// Takes a socket on which a connection has begun.
    pub(crate) fn from_inner(socket: TcpStream) -> Self {
        Self(socket)
    }

    /// Returns the underlying socket.
    pub(crate) fn into_inner(self) -> TcpStream {
        self.0
    }

    /// Sends a GET of `path` with the header fields `more`. HPACK is used without compression.
    pub(crate) async fn get(&mut self, stream: u32, path: &str, more: &[(&str, &str)]) {
        self.ask("GET", stream, path, more).await;
    }

    /// Sends the head of a request with a body, so the stream stays open.
    pub(crate) async fn open(&mut self, method: &str, stream: u32, path: &str) {
        self.head(0x4, method, stream, path, &[]).await;
    }

    pub(crate) async fn ask(
        &mut self,
        method: &str,
        stream: u32,
        path: &str,
        more: &[(&str, &str)],
    ) {
        // The value 0x5 means END_STREAM and END_HEADERS.
        self.head(0x5, method, stream, path, more).await;
    }

    pub(crate) async fn head(
        &mut self,
        flags: u8,
        method: &str,
        stream: u32,
        path: &str,
        more: &[(&str, &str)],
    ) {
        let mut block = vec![0x86];
        let mut field = |first: &[u8], value: &str| {
            block.extend_from_slice(first);
            block.push(u8::try_from(value.len()).unwrap());
            block.extend_from_slice(value.as_bytes());
        };
        field(&[0x02], method);
        field(&[0x04], path);
        field(&[0x01], "x");
        for (name, value) in more {
            let mut first = vec![0x00, u8::try_from(name.len()).unwrap()];
            first.extend_from_slice(name.as_bytes());
            field(&first, value);
        }
        self.send(HEADERS, flags, stream, &block).await;
    }

    /// Reads the next frame. Returns `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// Reads frames until `is` returns true. Panics if the connection ends earlier.
    pub(crate) async fn until(&mut self, is: impl Fn(&Frame) -> bool) -> Frame {
        let reading = async {
            loop {
                let frame = self.next().await.expect("another frame");
                if is(&frame) {
                    return frame;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reading)
            .await
            .expect("the frame arrives in time")
    }
}
