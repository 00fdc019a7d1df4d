//! The real proxy, started from a config text on free ports, and raw clients for it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ossgate::app::change::Changed;
use ossgate::app::state::State;
use ossgate::app::{self, Running};
use ossgate::config;
use ossgate::telemetry::sink::SharedSink;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::origin::{RawOrigin, Received, Reply};

/// A running proxy. Dropping it stops the proxy.
pub(crate) struct Proxy {
    running: Option<Running>,
    pub(crate) address: SocketAddr,
    pub(crate) addresses: Vec<Option<SocketAddr>>,
    log: tempfile::NamedTempFile,
}

/// Returns a config with one listener without TLS and one route. `route` is the content of `[[route]]`.
pub(crate) fn one_route(route: &str) -> String {
    format!("[server]\nworkers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\n{route}\n")
}

/// Returns the `origin` table for a bucket at a literal address.
pub(crate) fn bucket_at(address: SocketAddr) -> String {
    format!(
        "origin = {{ bucket = \"examplebucket\", endpoint = \"{address}\", host = \"examplebucket.oss.test\", tls = false }}"
    )
}

impl Proxy {
    pub(crate) fn start(text: &str) -> Self {
        let loaded = config::from_str("test.toml", text, Path::new("/"), &|_| None);
        let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
        let log = tempfile::NamedTempFile::new().unwrap();
        let sink = SharedSink::file(log.path().to_owned()).unwrap();
        let running = app::build(loaded.config, sink, 1).unwrap().start().unwrap();
        Self {
            address: running.addresses()[0].unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0))),
            addresses: running.addresses().to_vec(),
            running: Some(running),
            log,
        }
    }

    /// Stops the proxy and returns the lines of its access log.
    pub(crate) fn stop(mut self) -> Vec<serde_json::Value> {
        self.running.take().unwrap().stop();
        let text = std::fs::read_to_string(self.log.path()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Replaces the config, like a reload.
    pub(crate) fn change(&mut self, text: &str) -> Result<Changed, String> {
        let loaded = config::from_str("test.toml", text, Path::new("/"), &|_| None);
        let config = loaded.map_err(|problems| problems.to_string())?.config;
        let running = self.running.as_mut().unwrap();
        let changed = running.change(config).map_err(|error| error.to_string())?;
        self.addresses = running.addresses();
        Ok(changed)
    }

    /// Returns the state that the admin listener reports.
    pub(crate) fn state(&self) -> Arc<State> {
        self.running.as_ref().unwrap().state()
    }

    /// Starts or ends the state in which the node is not ready and clients must reconnect.
    pub(crate) fn set_leaving(&mut self, is_leaving: bool) {
        let running = self.running.as_mut().unwrap();
        if is_leaving {
            running.leave();
        } else {
            running.rejoin();
        }
    }

    /// Drains the proxy, like the first SIGTERM.
    pub(crate) async fn drain(&mut self) {
        self.running.as_mut().unwrap().drain().await;
    }

    /// Sends raw bytes on a new connection and reads until the connection ends.
    pub(crate) async fn raw(&self, request: &[u8]) -> Vec<u8> {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A connection that is closed with unread bytes ends with a reset. The bytes before it are the
        // response.
        let _end = socket.read_to_end(&mut answer).await;
        answer
    }

    /// Like [`Proxy::raw`], with texts.
    pub(crate) async fn text(&self, request: &str) -> String {
        String::from_utf8_lossy(&self.raw(request.as_bytes()).await).into_owned()
    }

    /// Sends a request as HTTP/2 over clear text. Returns the status and `x-ossgate-error`.
    pub(crate) async fn http2(
        &self,
        request: http::request::Builder,
        body: &'static str,
    ) -> (u16, String) {
        let (status, headers) = self.http2_head(request, body).await;
        let kind = headers.get("x-ossgate-error");
        (
            status,
            kind.map_or("", |kind| kind.to_str().unwrap()).to_owned(),
        )
    }

    /// Like [`Proxy::http2`], but returns all header fields.
    pub(crate) async fn http2_head(
        &self,
        request: http::request::Builder,
        body: &'static str,
    ) -> (u16, http::HeaderMap) {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
        let (mut sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let body = http_body_util::Full::new(bytes::Bytes::from_static(body.as_bytes()));
        let request = request.body(body).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let (head, _) = answer.into_parts();
        (head.status.as_u16(), head.headers)
    }

    /// Sends a GET for `target` on a new connection and returns the response.
    pub(crate) async fn get(&self, host: &str, target: &str) -> String {
        self.text(&format!(
            "GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
        ))
        .await
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

/// Returns the status of a raw response, or 0 if it has none.
pub(crate) fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0)
}

/// Starts an origin with `script`, and a proxy with one route to it.
pub(crate) async fn pair(
    script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
) -> (RawOrigin, Proxy) {
    let origin = RawOrigin::start(script).await;
    let proxy = Proxy::start(&one_route(&bucket_at(origin.address)));
    (origin, proxy)
}

/// Returns the values of header field `name` in a raw response.
pub(crate) fn header<'a>(answer: &'a str, name: &str) -> Vec<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

/// Starts a proxy with one route to `origin`. `rules` are the policies of the route.
pub(crate) fn proxy(origin: SocketAddr, rules: &str) -> Proxy {
    Proxy::start(&one_route(&format!("{}\n{rules}", bucket_at(origin))))
}
