//! `ossgate reload`, `drain`, `undrain`, `upgrade` and `status`: each sends a command to the running process.
//!
//! The `[admin]` table of the config file contains the address at which the process accepts commands. Only
//! this table must be valid: the process reports the problems of the other tables when it loads the file.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::cli::exit_code::{BAD_CONFIG, FAILED};
use crate::config::{self, Address, Admin, Env};

/// The maximum time to wait for the response. The response to an upgrade is sent when the new process is
/// ready, which can take many seconds.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A command for the running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminCommand {
    /// Reload the config file.
    Reload,
    /// Report that the process is not ready, and close client connections after their current request.
    Drain,
    /// End the drain.
    Undrain,
    /// Start the installed binary and pass the sockets to it.
    Upgrade,
    /// Return the state as JSON.
    Status,
}

impl AdminCommand {
    fn path(self) -> &'static str {
        match self {
            Self::Reload => "/api/reload",
            Self::Drain => "/api/drain",
            Self::Undrain => "/api/undrain",
            Self::Upgrade => "/api/upgrade",
            Self::Status => "/api/status",
        }
    }

    fn method(self) -> Method {
        match self {
            Self::Status => Method::GET,
            Self::Reload | Self::Drain | Self::Undrain | Self::Upgrade => Method::POST,
        }
    }
}

/// The reason why no response was received.
#[derive(Debug)]
enum SendError {
    /// The user that runs the command may not connect to the address, usually a Unix socket.
    Denied,
    /// Nothing listens on the address.
    NoProcess(io::Error),
    /// The address is `fd:NAME`: only the process that received this socket knows its path or port.
    PassedSocket,
    /// The connection failed after it was established.
    Http(hyper::Error),
    /// The token of the config is not a valid header value.
    Request(http::Error),
    /// No response was received within [`TIMEOUT`].
    Timeout,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str(
                "this user may not connect there; run the command as root or as the user of the process",
            ),
            Self::NoProcess(error) => write!(
                f,
                "no process answers there: {error}; start one with `ossgate run`. If one runs, it was started with another `admin.address` and still listens there"
            ),
            Self::PassedSocket => {
                f.write_str("the address of a passed socket is not known here; use curl with its address")
            }
            Self::Http(error) => write!(f, "{error}"),
            Self::Request(error) => write!(f, "{error}"),
            Self::Timeout => write!(f, "no answer within {} s", TIMEOUT.as_secs()),
        }
    }
}

impl From<hyper::Error> for SendError {
    fn from(error: hyper::Error) -> Self {
        Self::Http(error)
    }
}

/// Returns the error of a failed connect.
fn not_connected(error: io::Error) -> SendError {
    if error.kind() == io::ErrorKind::PermissionDenied {
        SendError::Denied
    } else {
        SendError::NoProcess(error)
    }
}

/// Sends `command` to the process with the config at `path` and prints the response. Returns the exit code.
///
/// # Errors
///
/// The [`io::Error`] when the runtime cannot be started, or when `out` or standard error cannot be written
/// to.
pub fn send(
    path: &Path,
    command: AdminCommand,
    env: Env<'_>,
    out: &mut impl Write,
) -> io::Result<u8> {
    let mut err = io::stderr();
    let admin = match config::load_admin(path, env) {
        Ok(Some(admin)) => admin,
        Ok(None) => {
            writeln!(
                err,
                "{}: has no `[admin]` table, so the process has no address for commands; add the table and restart, or send SIGHUP to reload",
                path.display()
            )?;
            return Ok(FAILED);
        }
        Err(problems) => {
            write!(err, "{problems}")?;
            return Ok(BAD_CONFIG);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let sent = runtime.block_on(async {
        tokio::time::timeout(TIMEOUT, connect_and_send(&admin, command))
            .await
            .unwrap_or(Err(SendError::Timeout))
    });
    match sent {
        Ok(response) if response.status().is_success() => {
            write!(out, "{}", String::from_utf8_lossy(response.body()))?;
            Ok(0)
        }
        Ok(response) => {
            write!(err, "{}", String::from_utf8_lossy(response.body()))?;
            Ok(FAILED)
        }
        Err(error) => {
            writeln!(err, "{}: {error}", admin.address)?;
            Ok(FAILED)
        }
    }
}

async fn connect_and_send(
    admin: &Admin,
    command: AdminCommand,
) -> Result<Response<Bytes>, SendError> {
    match &admin.address {
        Address::Tcp(address) => {
            let socket = tokio::net::TcpStream::connect(address).await;
            exchange(socket.map_err(not_connected)?, admin, command).await
        }
        Address::Unix(path) => {
            let socket = tokio::net::UnixStream::connect(path).await;
            exchange(socket.map_err(not_connected)?, admin, command).await
        }
        Address::Passed(_) => Err(SendError::PassedSocket),
    }
}

async fn exchange(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    admin: &Admin,
    command: AdminCommand,
) -> Result<Response<Bytes>, SendError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    let driver = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(command.method())
        .uri(command.path())
        .header(header::HOST, "ossgate")
        .header(header::CONNECTION, "close");
    if let Some(token) = &admin.token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()));
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(SendError::Request)?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    driver.abort();
    Ok(Response::from_parts(head, body))
}
