//! Clients that keep one connection and send one request after another on it, by any protocol.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::certificates::Leaf;
use super::tls::connect_to;

/// A request without a body.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: &'static str,
    pub(crate) authority: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The form of the target of an HTTP/1.1 request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Origin,
    Absolute,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A client of HTTP/1.1.
pub(crate) struct Http1 {
    pub(crate) address: SocketAddr,
    /// The CA and the server name; absent for clear text.
    pub(crate) tls: Option<(Leaf, &'static str)>,
    pub(crate) form: Form,
    kept: Option<Box<dyn Stream>>,
}

impl Http1 {
    pub(crate) fn new(address: SocketAddr, tls: Option<(Leaf, &'static str)>, form: Form) -> Self {
        Self {
            address,
            tls,
            form,
            kept: None,
        }
    }

    /// Sends a request and reads its answer. Field values get spaces around them.
    pub(crate) async fn send(&mut self, head: &Head) -> Answer {
        let mut stream: Box<dyn Stream> = match (self.kept.take(), &self.tls) {
            (Some(kept), _) => kept,
            (None, None) => Box::new(TcpStream::connect(self.address).await.unwrap()),
            (None, Some((ca, name))) => {
                Box::new(connect_to(self.address, ca, name, &[]).await.unwrap())
            }
        };
        let front = match (self.form, &self.tls) {
            (Form::Origin, _) => String::new(),
            (Form::Absolute, None) => format!("http://{}", head.authority),
            (Form::Absolute, Some(_)) => format!("https://{}", head.authority),
        };
        let mut text = format!(
            "{} {front}{} HTTP/1.1\r\nHost: {}\r\n",
            head.method, head.target, head.authority
        );
        for (name, value) in &head.headers {
            text.push_str(&format!("{name}: \t{value} \r\n"));
        }
        text.push_str(match head.method {
            "PUT" | "POST" => "Content-Length: 0\r\n\r\n",
            _ => "\r\n",
        });
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut came = Vec::new();
        let (end, length) = loop {
            if let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") {
                let (_, headers) = head_of(&came[..end]);
                let length = headers.iter().find(|(name, _)| name == "content-length");
                let length: usize = length.map_or(0, |(_, length)| length.parse().unwrap());
                if came.len() >= end + 4 + length {
                    break (end, length);
                }
            }
            let count = stream.read_buf(&mut came).await.unwrap();
            assert_ne!(count, 0, "no answer to {head:?}: {}", came.escape_ascii());
        };
        let (status, headers) = head_of(&came[..end]);
        let answer = Answer {
            status,
            headers,
            body: came[end + 4..][..length].to_vec(),
        };
        if answer.header("connection") != Some("close") {
            self.kept = Some(stream);
        }
        answer
    }
}

/// Returns the status and the header fields of the head of an answer.
fn head_of(head: &[u8]) -> (u16, Vec<(String, String)>) {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let fields = lines.filter_map(|line| line.split_once(':'));
    let headers = fields.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    (status.parse().unwrap(), headers.collect())
}

/// A client of HTTP/2 over TLS.
pub(crate) struct Http2(http2::SendRequest<Empty<bytes::Bytes>>);

impl Http2 {
    pub(crate) async fn connect(address: SocketAddr, ca: &Leaf, name: &str) -> Self {
        let stream = connect_to(address, ca, name, &["h2"]).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub(crate) async fn send(&mut self, head: &Head) -> Answer {
        let mut request = http::Request::builder()
            .method(head.method)
            .uri(format!("https://{}{}", head.authority, head.target));
        for (name, value) in &head.headers {
            request = request.header(name.to_lowercase(), value);
        }
        let request = request.body(Empty::new()).unwrap();
        self.0.ready().await.unwrap();
        let answer = self.0.send_request(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Answer {
            status: parts.status.as_u16(),
            headers: (parts.headers.iter())
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }
}
