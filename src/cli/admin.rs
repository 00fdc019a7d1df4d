//! `ossgate reload`, `drain`, `undrain`, `upgrade` and `status`: ask the running process.
//!
//! It is found by the `[admin]` table of the config file. A file the process would refuse still says
//! where it listens, so that `reload` can print what is wrong from the process itself.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::cli::BAD_CONFIG;
use crate::config::{self, Address, Admin, Env};

/// Longest wait for the outcome: starting a new binary may take a while.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Load the config again.
    Reload,
    /// Leave the load balancer.
    Drain,
    /// Come back.
    Undrain,
    /// Replace the binary.
    Upgrade,
    /// Show the state.
    Status,
}

impl Page {
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

/// Asks the process of the config at `path`, prints its answer; the exit code.
///
/// # Errors
///
/// When `out` cannot be written to.
pub fn ask(path: &Path, page: Page, env: Env<'_>, out: &mut impl Write) -> io::Result<u8> {
    let mut err = io::stderr();
    let admin = match config::load_admin(path, env) {
        Ok(Some(admin)) => admin,
        Ok(None) => {
            writeln!(
                err,
                "{}: has no `[admin]` table, so the process cannot be asked; SIGHUP reloads, too",
                path.display()
            )?;
            return Ok(1);
        }
        Err(problems) => {
            write!(err, "{problems}")?;
            return Ok(BAD_CONFIG);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let asked = runtime.block_on(async {
        match tokio::time::timeout(PATIENCE, talk(&admin, page)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    });
    match asked {
        Ok((true, text)) => {
            write!(out, "{text}")?;
            Ok(0)
        }
        Ok((false, text)) => {
            write!(err, "{text}")?;
            Ok(1)
        }
        Err(error) => {
            writeln!(err, "{}: {error}", admin.address)?;
            Ok(1)
        }
    }
}

async fn talk(admin: &Admin, page: Page) -> Result<(bool, String), String> {
    let no_process = |error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "this user may not ask there; run it as root, or as the user the process runs as"
                .to_owned()
        }
        _ => format!(
            "no process answers there: {error}; one that was started with another `admin.address` still has that one"
        ),
    };
    match &admin.address {
        Address::Tcp(address) => {
            let socket = tokio::net::TcpStream::connect(address).await;
            exchange(socket.map_err(no_process)?, admin, page).await
        }
        Address::Unix(path) => {
            let socket = tokio::net::UnixStream::connect(path).await;
            exchange(socket.map_err(no_process)?, admin, page).await
        }
        Address::Passed(_) => {
            Err("the address of a passed socket is not known here; ask it with curl".to_owned())
        }
    }
}

async fn exchange(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    admin: &Admin,
    page: Page,
) -> Result<(bool, String), String> {
    let text = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .map_err(text)?;
    let driver = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(page.method())
        .uri(page.path())
        .header(header::HOST, "ossgate")
        .header(header::CONNECTION, "close");
    if let Some(token) = &admin.token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()));
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(text)?;
    let is_good = answer.status().is_success();
    let body = answer.into_body().collect().await.map_err(text)?.to_bytes();
    driver.abort();
    Ok((is_good, String::from_utf8_lossy(&body).into_owned()))
}
