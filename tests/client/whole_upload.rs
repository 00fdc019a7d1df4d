//! Uploads whose client does not wait: what came whole is delivered, what broke off never looks complete.
//!
//! Rows: plain text and TLS; Content-Length and chunked; half-close, close, TLS without close_notify, reset;
//! 100 B to 5 MiB; the access line of each; a GET of a half-closed client. Left out: HTTP/2
//! (`client/http2_ends`), slow clients (`client/slow`).

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::support::certificates::{self, Leaf};
use crate::support::proxy::{Proxy, bucket_at, pair, status};
use crate::support::sink::{read_body, read_head, sink};
use crate::support::{origin, tls};

const PATIENCE: Duration = Duration::from_secs(20);

fn body(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from((at * 31 + at / 251) % 251).unwrap())
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length,
    Chunked,
}

/// Returns the bytes of a PUT of `body`.
fn put(framing: Framing, body: &[u8]) -> Vec<u8> {
    let line = "PUT /k HTTP/1.1\r\nhost: x\r\n";
    match framing {
        Framing::Length => {
            let head = format!("{line}content-length: {}\r\n\r\n", body.len());
            [head.as_bytes(), body].concat()
        }
        Framing::Chunked => {
            let mut bytes = format!("{line}transfer-encoding: chunked\r\n\r\n").into_bytes();
            for chunk in body.chunks(60_000) {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
            bytes
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client closes its sending side and reads the answer.
    HalfClose,
    /// As `HalfClose`; with TLS, without close_notify.
    HalfCloseSilently,
    Close,
    CloseSilently,
    Reset,
}

const ENDS: [End; 5] = [
    End::HalfClose,
    End::HalfCloseSilently,
    End::Close,
    End::CloseSilently,
    End::Reset,
];

/// A client's connection, with or without TLS.
enum Client {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Client {
    async fn connect(proxy: &Proxy, leaf: Option<&Leaf>) -> Self {
        let socket = TcpStream::connect(proxy.address).await.unwrap();
        // With Nagle's algorithm the kernel would hold bytes back, and a reset would discard them.
        socket.set_nodelay(true).unwrap();
        match leaf {
            None => Self::Plain(socket),
            Some(leaf) => {
                let stream = tls::handshake(socket, leaf, "a.example", &[]).await;
                Self::Tls(Box::new(stream.unwrap()))
            }
        }
    }

    /// Sends `bytes` and ends the connection. Returns the answer where the client reads it.
    async fn send(self, bytes: &[u8], end: End) -> Option<String> {
        self.send_and_stay(bytes, end).await.0
    }

    /// As [`Client::send`], and returns the client: the socket is closed when it is dropped. Until then its
    /// kernel sends what it holds; a close with unread bytes, such as session tickets, discards that.
    async fn send_and_stay(mut self, bytes: &[u8], end: End) -> (Option<String>, Self) {
        let stream: &mut (dyn Duplex + Unpin) = match &mut self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream,
        };
        // The proxy may have answered and closed before the last byte.
        let _sent = stream.write_all(bytes).await;
        let _sent = stream.flush().await;
        match end {
            End::HalfClose | End::Close => stream.shutdown().await.unwrap(),
            End::HalfCloseSilently | End::CloseSilently => {
                let shut =
                    socket2::SockRef::from(self.socket()).shutdown(std::net::Shutdown::Write);
                shut.unwrap();
            }
            End::Reset => {
                let socket = socket2::SockRef::from(self.socket());
                socket.set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        if matches!(end, End::HalfClose | End::HalfCloseSilently) {
            let mut answer = String::new();
            let read = match &mut self {
                Self::Plain(socket) => socket.read_to_string(&mut answer).await,
                Self::Tls(stream) => stream.read_to_string(&mut answer).await,
            };
            read.unwrap();
            return (Some(answer), self);
        }
        (None, self)
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite {}
impl<T: AsyncRead + AsyncWrite> Duplex for T {}

fn config(origin: std::net::SocketAddr, leaf: Option<&Leaf>) -> String {
    let tls = match leaf {
        None => String::new(),
        Some(Leaf { cert, key, .. }) => {
            format!("tls = true\n[[certificate]]\ncert = {cert:?}\nkey = {key:?}\ndefault = true\n")
        }
    };
    format!(
        "[server]\nworkers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\n{tls}[[route]]\n{}\n",
        bucket_at(origin)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_came_whole_is_delivered_however_its_client_ends() {
    let leaf = certificates::leaf(&["a.example"]);
    for leaf in [None, Some(&leaf)] {
        let (origin, mut reports) = sink().await;
        let mut proxy = Proxy::start(&config(origin, leaf));
        let (mut sent, mut whole) = (0, 0);
        for framing in [Framing::Length, Framing::Chunked] {
            for (length, end) in [100, 243_000, 5 << 20]
                .into_iter()
                .flat_map(|length| ENDS.map(|end| (length, end)))
            {
                let case = format!("tls {}, {framing:?}, {length}, {end:?}", leaf.is_some());
                let body = body(length);
                let bytes = put(framing, &body);
                for _ in 0..3 {
                    sent += 1;
                    let client = Client::connect(&proxy, leaf).await;
                    let talk = client.send_and_stay(&bytes, end);
                    let (answer, client) = tokio::time::timeout(PATIENCE, talk).await.expect(&case);
                    // What is small is in the proxy's kernel by now.
                    let stays = (length > 100).then_some(client);
                    let report = tokio::time::timeout(PATIENCE, reports.recv()).await;
                    let report = report.expect(&case).unwrap();
                    assert!(report.is_some_and(|stored| stored == body), "{case}");
                    drop(stays);
                    if let Some(answer) = answer {
                        assert!(answer.starts_with("HTTP/1.1 200 "), "{case}: {answer}");
                        assert!(answer.ends_with("\r\n\r\nok"), "{case}: {answer}");
                    }
                    whole += 1;
                }
            }
        }
        assert_eq!(sent, whole);
        proxy.drain().await;
        let lines = proxy.stop();
        assert_eq!(lines.len(), sent);
        for line in lines {
            let is_answered = line["status"] == 200;
            assert!(is_answered || line["status"] == 499, "{line}");
            assert!(line["abort_reason"] != "upload_incomplete", "{line}");
            assert_eq!(line["oss_request_id"], "5C3D", "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_broke_off_never_looks_complete() {
    let leaf = certificates::leaf(&["a.example"]);
    for leaf in [None, Some(&leaf)] {
        let (origin, mut reports) = sink().await;
        let mut proxy = Proxy::start(&config(origin, leaf));
        let mut sent = 0;
        for framing in [Framing::Length, Framing::Chunked] {
            let whole = put(framing, &body(70_000));
            // Without the last byte; without the last chunk; inside the body.
            for cut in [whole.len() - 1, whole.len() - 5, whole.len() - 6_000] {
                for end in ENDS {
                    let case = format!("tls {}, {framing:?}, {cut}, {end:?}", leaf.is_some());
                    sent += 1;
                    let client = Client::connect(&proxy, leaf).await;
                    let talk = client.send(&whole[..cut], end);
                    let answer = tokio::time::timeout(PATIENCE, talk).await.expect(&case);
                    if let Some(answer) = answer {
                        assert_eq!(status(&answer), 400, "{case}: {answer}");
                        assert!(
                            answer.contains("\r\nx-ossgate-error: client_body\r\n"),
                            "{case}"
                        );
                    }
                }
            }
        }
        proxy.drain().await;
        let lines = proxy.stop();
        // A reset may discard the head as well.
        assert!(
            lines.len() <= sent && lines.len() >= sent * 4 / 5,
            "{}",
            lines.len()
        );
        for line in lines {
            assert_eq!(line["aborted"], true, "{line}");
            assert_eq!(line["abort_reason"], "upload_incomplete", "{line}");
        }
        while let Ok(report) = reports.try_recv() {
            assert_eq!(report, None);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_with_oss_goes_on_after_its_client_has_reset_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limit = "address = \"127.0.0.1:0\"\nmax_connections = 1";
    let text = config(listener.local_addr().unwrap(), None);
    let mut proxy = Proxy::start(&text.replace("address = \"127.0.0.1:0\"", limit));
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    client
        .write_all(&put(Framing::Length, &body(100)))
        .await
        .unwrap();
    let mut bytes = Vec::new();
    // A connection without a request is the probe of the endpoint.
    let (mut oss, head) = loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        if let Some(head) = read_head(&mut socket, &mut bytes).await {
            break (socket, head);
        }
    };
    assert_eq!(
        read_body(&mut oss, &head, &mut bytes).await,
        Some(body(100))
    );
    socket2::SockRef::from(&client)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(client);
    // The answer comes after the proxy has closed the client's connection.
    // Only one connection may be open, so others are turned away until then.
    let bad = "GET /k HTTP/1.1\r\nhost: a b\r\n\r\n";
    let closed = async { while status(&proxy.text(bad).await) != 400 {} };
    tokio::time::timeout(PATIENCE, closed)
        .await
        .expect("the proxy closes");
    oss.write_all(b"HTTP/1.1 200 OK\r\nx-oss-request-id: 5C3D\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    let mut rest = Vec::new();
    // The proxy drops the answer's connection once it has it, or keeps it for the next request.
    tokio::time::timeout(PATIENCE, proxy.drain())
        .await
        .expect("a drain waits for the exchange");
    let lines = proxy.stop();
    let _end = oss.read_to_end(&mut rest).await;
    let line = lines.iter().find(|line| line["method"] == "PUT").unwrap();
    assert_eq!(line["status"], 499, "{lines:?}");
    assert_eq!(line["abort_reason"], "client_gone", "{lines:?}");
    assert_eq!(line["oss_request_id"], "5C3D", "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_of_a_half_closed_client_is_answered_and_its_connection_ends() {
    let (_origin, proxy) = pair(|_| {
        origin::Reply::Late(
            Duration::from_millis(1500),
            b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate".to_vec(),
        )
    })
    .await;
    let get = "GET /k HTTP/1.1\r\nhost: x\r\n\r\n";
    for requests in [1, 2] {
        let client = Client::Plain(TcpStream::connect(proxy.address).await.unwrap());
        let sent = get.repeat(requests);
        let talk = client.send(sent.as_bytes(), End::HalfClose);
        let answer = tokio::time::timeout(PATIENCE, talk).await.unwrap().unwrap();
        assert_eq!(answer.matches("\r\n\r\nlate").count(), requests, "{answer}");
    }
    let lines = proxy.stop();
    assert_eq!(lines.len(), 3);
    assert!(
        lines.iter().all(|line| line["aborted"] == false),
        "{lines:?}"
    );
}
