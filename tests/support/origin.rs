//! An origin that records raw requests and sends raw responses.
//!
//! The origin reads one request after another from each connection, with `Content-Length` or chunked. A
//! script returns the response to each request; it can also break the connection.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A received request.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The request line and the header lines, without the empty line.
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
    /// The number of the connection among those that carried a request, from 0.
    pub(crate) connection: usize,
}

impl Received {
    pub(crate) fn line(&self) -> String {
        let line = self.head.split(|byte| *byte == b'\r').next().unwrap();
        String::from_utf8_lossy(line).into_owned()
    }

    /// Returns the values of header field `name`.
    pub(crate) fn header(&self, name: &str) -> Vec<Vec<u8>> {
        self.head
            .split(|byte| *byte == b'\n')
            .skip(1)
            .filter_map(|line| {
                let colon = line.iter().position(|byte| *byte == b':')?;
                let (found, value) = line.split_at(colon);
                found
                    .eq_ignore_ascii_case(name.as_bytes())
                    .then(|| value[1..].trim_ascii().to_vec())
            })
            .collect()
    }
}

/// The reaction of the origin to a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Writes these bytes and keeps the connection open.
    Bytes(Vec<u8>),
    /// Writes these bytes and closes the connection.
    Close(Vec<u8>),
    /// Writes these bytes, then reads the request's body, and closes the connection.
    Early(Vec<u8>),
    /// Writes these bytes and closes the connection without reading the request's body.
    Abrupt(Vec<u8>),
    /// Writes nothing and keeps the connection open.
    Silent,
    /// Writes these bytes and resets the connection. The reset may discard some of the bytes.
    Reset(Vec<u8>),
    /// Writes these bytes and nothing more, and keeps the connection open.
    Stall(Vec<u8>),
    /// Writes these bytes after a delay and keeps the connection open.
    Late(Duration, Vec<u8>),
}

/// Returns a 200 response with a body.
pub(crate) fn ok(body: &str) -> Reply {
    Reply::Bytes(
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes(),
    )
}

type Script = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

/// The origin. Dropping it closes its listener and its connections.
pub(crate) struct RawOrigin {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
    accepting: tokio::task::JoinHandle<()>,
}

impl RawOrigin {
    /// Starts an origin on a free port of `ip`.
    pub(crate) async fn start_on(
        ip: &str,
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(format!("{ip}:0")).await.unwrap();
        Self::serve(listener, script)
    }

    pub(crate) async fn start(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_on("127.0.0.1", script).await
    }

    pub(crate) fn serve(
        listener: TcpListener,
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let connections: Arc<AtomicUsize> = Arc::default();
        let accepted: Arc<AtomicUsize> = Arc::default();
        let all = Arc::clone(&accepted);
        let (log, count, script) = (
            Arc::clone(&received),
            Arc::clone(&connections),
            Arc::new(script) as Script,
        );
        let accepting = tokio::spawn(async move {
            let mut talking = tokio::task::JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                all.fetch_add(1, Ordering::SeqCst);
                let (count, log, script) =
                    (Arc::clone(&count), Arc::clone(&log), Arc::clone(&script));
                talking.spawn(async move {
                    // Some tests break the connection, so an error is no failure.
                    let _ended = talk(socket, &count, &log, &script).await;
                });
            }
        });
        Self {
            address,
            received,
            connections,
            accepted,
            accepting,
        }
    }

    /// Returns the received requests.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Returns the number of connections so far, those that carried no request included.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Returns the number of connections so far that carried a request.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts connections until one carries a request, and reads the head of it. Probes only connect.
pub(crate) async fn accept_request(listener: &TcpListener) -> TcpStream {
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if socket.read_buf(&mut head).await.unwrap_or(0) == 0 {
                break;
            }
        }
        if !head.is_empty() {
            return socket;
        }
    }
}

async fn talk(
    mut socket: TcpStream,
    connections: &AtomicUsize,
    log: &Mutex<Vec<Received>>,
    script: &Script,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    // A probe of the proxy only connects, and is not counted.
    if socket.read_buf(&mut buffer).await? == 0 {
        return Ok(());
    }
    let number = connections.fetch_add(1, Ordering::SeqCst);
    loop {
        let end = loop {
            if let Some(at) = find(&buffer, b"\r\n\r\n") {
                break at;
            }
            if socket.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = buffer[..end].to_vec();
        buffer.drain(..end + 4);
        let mut request = Received {
            head,
            body: Vec::new(),
            connection: number,
        };
        let reply = script(&request);
        if let Reply::Early(bytes) = reply {
            log.lock().unwrap().push(request);
            socket.write_all(&bytes).await?;
            socket.shutdown().await?;
            // A close with unread bytes would cause a reset.
            while socket.read_buf(&mut buffer).await? > 0 {
                buffer.clear();
            }
            return Ok(());
        }
        if let Reply::Abrupt(bytes) = reply {
            log.lock().unwrap().push(request);
            return socket.write_all(&bytes).await;
        }
        if request
            .header("expect")
            .first()
            .is_some_and(|value| value == b"100-continue")
        {
            socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        read_body(&mut socket, &mut buffer, &mut request).await?;
        log.lock().unwrap().push(request);
        match reply {
            Reply::Bytes(bytes) => socket.write_all(&bytes).await?,
            Reply::Close(bytes) | Reply::Early(bytes) | Reply::Abrupt(bytes) => {
                socket.write_all(&bytes).await?;
                return Ok(());
            }
            Reply::Reset(bytes) => {
                socket.write_all(&bytes).await?;
                socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
                return Ok(());
            }
            Reply::Late(after, bytes) => {
                tokio::time::sleep(after).await;
                socket.write_all(&bytes).await?;
            }
            Reply::Stall(bytes) => {
                socket.write_all(&bytes).await?;
                while socket.read_buf(&mut buffer).await? > 0 {}
                return Ok(());
            }
            Reply::Silent => {
                while socket.read_buf(&mut buffer).await? > 0 {}
                return Ok(());
            }
        }
    }
}

async fn read_body(
    socket: &mut TcpStream,
    buffer: &mut Vec<u8>,
    request: &mut Received,
) -> std::io::Result<()> {
    if let Some(length) = request.header("content-length").first() {
        let length: usize = String::from_utf8_lossy(length).parse().unwrap();
        while buffer.len() < length {
            if socket.read_buf(buffer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        request.body = buffer.drain(..length).collect();
    } else if !request.header("transfer-encoding").is_empty() {
        while find(buffer, b"0\r\n\r\n").is_none() {
            if socket.read_buf(buffer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        let end = find(buffer, b"0\r\n\r\n").unwrap() + 5;
        request.body = buffer.drain(..end).collect();
    }
    Ok(())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
