//! The admin listener: metrics, health, and the commands of an operator.
//!
//! The listener serves HTTP/1.1 on the main thread and not on a worker thread. So it responds even when the
//! workers are busy, and it does not slow them down. Commands go over a channel to [`crate::supervise`]; this
//! module neither reloads the config nor handles signals. The config requires a token, except for loopback
//! addresses and Unix sockets.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::config::Admin;
use crate::health::Health;
use crate::listener::bind::Bound;
use crate::net::socket::Socket;

/// The maximum number of concurrent connections.
const CONNECTIONS: usize = 256;
/// The maximum time until the head of a request is complete.
const HEAD_TIMEOUT: Duration = Duration::from_secs(3);
/// The maximum duration of a connection, which carries one request. The slowest request is an upgrade.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause after a failed accept. The usual cause is a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A command of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reload the config file.
    Reload,
    /// Report that the process is not ready, and close client connections after their current request.
    Drain,
    /// Revert [`Verb::Drain`].
    Undrain,
    /// Start the installed binary, pass the sockets to it, drain and exit.
    Upgrade,
}

/// A command and the channel for its outcome.
#[derive(Debug)]
pub struct Command {
    /// The command.
    pub verb: Verb,
    /// The sender of the outcome. The channel is closed if the client has closed its connection.
    pub reply: oneshot::Sender<CommandOutcome>,
}

/// The outcome of a command, as text for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandOutcome {
    /// The command was carried out. The response has status 200.
    Done(String),
    /// The command changed nothing. The response has status 409.
    Failed(String),
}

/// The data that the admin listener shows.
pub trait Show: Send + Sync + 'static {
    /// Returns the metrics as OpenMetrics text.
    fn metrics(&self) -> String;
    /// Returns the state of the process as JSON.
    fn status(&self) -> serde_json::Value;
    /// Returns the readiness of this node, with the reasons if it is not ready.
    fn health(&self) -> &Health;
}

/// The data that all admin connections share.
struct Server {
    show: Arc<dyn Show>,
    commands: mpsc::Sender<Command>,
    token: Option<String>,
}

/// Accepts connections on `socket` until `closing` is notified, then finishes the requests in flight.
///
/// # Errors
///
/// The OS error if `socket` cannot be registered with the event loop.
pub async fn serve(
    socket: Bound,
    config: &Admin,
    show: Arc<dyn Show>,
    commands: mpsc::Sender<Command>,
    closing: Arc<Notify>,
) -> io::Result<()> {
    let server = Arc::new(Server {
        show,
        commands,
        token: config.token.as_ref().map(|token| token.reveal().to_owned()),
    });
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let tcp = match socket {
        Bound::Tcp(socket) => Ok(TcpListener::from_std(socket)?),
        Bound::Unix(socket) => Err(UnixListener::from_std(socket)?),
    };
    let closed = closing.notified();
    tokio::pin!(closed);
    loop {
        while connections.try_join_next().is_some() {}
        let place = Arc::clone(&places).acquire_owned().await;
        let server = Arc::clone(&server);
        let accept = async {
            match &tcp {
                Ok(tcp) => tcp.accept().await.map(|(socket, _)| Socket::Tcp(socket)),
                Err(unix) => unix.accept().await.map(|(socket, _)| Socket::Unix(socket)),
            }
        };
        let accepted = tokio::select! {
            accepted = accept => accepted,
            () = &mut closed => break,
        };
        match accepted {
            Ok(socket) => {
                connections.spawn(async move {
                    serve_connection(socket, server).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "admin listener cannot accept, pausing");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(tcp);
    while connections.join_next().await.is_some() {}
    Ok(())
}

fn serve_connection(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    server: Arc<Server>,
) -> impl Future<Output = ()> + Send {
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.answer(&request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), service);
    async move {
        match tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "admin connection ended early"),
            Err(_elapsed) => tracing::debug!("admin connection timed out"),
        }
    }
}

impl Server {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
        let path = request.uri().path();
        match path {
            "/healthz" if is_read => return plain(StatusCode::OK, "alive\n".to_owned()),
            "/readyz" if is_read => return self.readiness(),
            _ => {}
        }
        if !self.is_permitted(request) {
            let mut answer = plain(
                StatusCode::UNAUTHORIZED,
                "needs the token of `[admin]` as `Authorization: Bearer TOKEN`; the process uses the token that it had at its start, so a changed token needs a restart\n".to_owned(),
            );
            answer
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return answer;
        }
        let verb = match path {
            "/metrics" if is_read => {
                return typed(
                    StatusCode::OK,
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    self.show.metrics(),
                );
            }
            "/api/status" if is_read => return json(StatusCode::OK, &self.show.status()),
            "/api/reload" => Verb::Reload,
            "/api/drain" => Verb::Drain,
            "/api/undrain" => Verb::Undrain,
            "/api/upgrade" => Verb::Upgrade,
            "/metrics" | "/healthz" | "/readyz" | "/api/status" => {
                return not_allowed("GET, HEAD");
            }
            _ => return plain(StatusCode::NOT_FOUND, "no such page\n".to_owned()),
        };
        if request.method() != Method::POST {
            return not_allowed("POST");
        }
        // A web page that is open in a browser on this machine can send a POST to a loopback address, but the
        // browser always adds `Origin`. Requests with this field are refused.
        if request.headers().contains_key(header::ORIGIN) {
            return plain(StatusCode::FORBIDDEN, "not from a browser\n".to_owned());
        }
        self.command(verb).await
    }

    async fn command(&self, verb: Verb) -> Response<Full<Bytes>> {
        let (reply, outcome) = oneshot::channel();
        let is_sent = self.commands.send(Command { verb, reply }).await.is_ok();
        let outcome = if is_sent { outcome.await.ok() } else { None };
        match outcome {
            Some(CommandOutcome::Done(text)) => plain(StatusCode::OK, format!("{text}\n")),
            Some(CommandOutcome::Failed(text)) => plain(StatusCode::CONFLICT, format!("{text}\n")),
            None => plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "this process is ending\n".to_owned(),
            ),
        }
    }

    fn readiness(&self) -> Response<Full<Bytes>> {
        let health = self.show.health();
        let is_ready = health.is_ready();
        let body = serde_json::json!({ "ready": is_ready, "troubles": health.troubles() });
        json(
            if is_ready {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            },
            &body,
        )
    }

    fn is_permitted(&self, request: &Request<Incoming>) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let given = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        // The comparison takes constant time, so that response times do not reveal a prefix of the token.
        given.is_some_and(|given| {
            aws_lc_rs::constant_time::verify_slices_are_equal(given, token.as_bytes()).is_ok()
        })
    }
}

fn typed(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn plain(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", body)
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    typed(status, "application/json", format!("{body:#}\n"))
}

fn not_allowed(methods: &'static str) -> Response<Full<Bytes>> {
    let mut answer = plain(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("this page takes {methods}\n"),
    );
    answer
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(methods));
    answer
}
