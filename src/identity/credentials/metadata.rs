//! The access key of the RAM role of an ECS instance, from the metadata service.
//!
//! The service first issues a token, which every other request must carry (the hardened mode). An attacker who
//! can make a program on this machine send a GET request usually cannot make it send the PUT request for a
//! token, so the token protects the key. If the service issues no token, the key is requested without a token
//! only if `allow_imdsv1` is set.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::document;
use super::fetched::{FetchError, Fetched, MOST_BYTES};
use crate::config::credentials::is_role;

/// The maximum time for a connect, and also for a request with its response. The SDKs of Alibaba Cloud have the
/// same limits.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The lifetime of a token, in seconds. It is the longest that the service permits. Each fetch of a key
/// requests a new token.
const TOKEN_LIFETIME: &str = "21600";

const TOKEN_PATH: &str = "/latest/api/token";
const KEYS_PATH: &str = "/latest/meta-data/ram/security-credentials/";

type Answer = (StatusCode, Zeroizing<Vec<u8>>);

/// Returns the access key of `role`. If `role` is `None`, returns the key of the role that is attached to the
/// instance.
///
/// # Errors
///
/// [`FetchError::Unreachable`], [`FetchError::NoToken`], [`FetchError::NoRole`], [`FetchError::Status`], and the
/// errors of [`document::parse`].
pub(super) async fn fetch(
    service: SocketAddr,
    role: Option<&str>,
    allow_imdsv1: bool,
) -> Result<Fetched, FetchError> {
    let token = match send(service, Method::PUT, TOKEN_PATH, None).await? {
        (StatusCode::OK, token) => Some(token),
        (StatusCode::NOT_FOUND | StatusCode::FORBIDDEN, _) if allow_imdsv1 => None,
        (status, _) => return Err(FetchError::NoToken(status.as_u16())),
    };
    let token = token.as_deref().map(Vec::as_slice);
    let role = match role {
        Some(role) => role.to_owned(),
        None => match send(service, Method::GET, KEYS_PATH, token).await? {
            (StatusCode::OK, name) => {
                let name = String::from_utf8_lossy(name.trim_ascii()).into_owned();
                if !is_role(&name) {
                    return Err(FetchError::Invalid("role name"));
                }
                name
            }
            (StatusCode::NOT_FOUND, _) => return Err(FetchError::NoRole),
            (status, _) => return Err(FetchError::Status(status.as_u16())),
        },
    };
    match send(service, Method::GET, &format!("{KEYS_PATH}{role}"), token).await? {
        (StatusCode::OK, text) => document::parse(&text),
        (StatusCode::NOT_FOUND, _) => Err(FetchError::NoRole),
        (status, _) => Err(FetchError::Status(status.as_u16())),
    }
}

async fn send(
    service: SocketAddr,
    method: Method,
    path: &str,
    token: Option<&[u8]>,
) -> Result<Answer, FetchError> {
    let late =
        |what: &str| FetchError::Unreachable(format!("no {what} within {} s", TIMEOUT.as_secs()));
    let socket = tokio::time::timeout(TIMEOUT, TcpStream::connect(service)).await;
    let socket = socket
        .map_err(|_elapsed| late("connection"))?
        .map_err(|error| FetchError::Unreachable(error.to_string()))?;
    tokio::time::timeout(TIMEOUT, exchange(socket, service, method, path, token))
        .await
        .map_err(|_elapsed| late("response"))?
}

async fn exchange(
    socket: TcpStream,
    service: SocketAddr,
    method: Method,
    path: &str,
    token: Option<&[u8]>,
) -> Result<Answer, FetchError> {
    let broken = |error: hyper::Error| FetchError::Unreachable(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .map_err(broken)?;
    let is_put = method == Method::PUT;
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, service.ip().to_string())
        .header(header::CONNECTION, "close");
    if is_put {
        request = request
            .header("x-aliyun-ecs-metadata-token-ttl-seconds", TOKEN_LIFETIME)
            .header(header::CONTENT_LENGTH, "0");
    }
    if let Some(token) = token {
        request = request.header("x-aliyun-ecs-metadata-token", token);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Invalid("token"))?;
    let received = async {
        let (head, body) = sender
            .send_request(request)
            .await
            .map_err(broken)?
            .into_parts();
        let body = Limited::new(body, MOST_BYTES).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => broken(*error),
            Err(_) => FetchError::TooLong,
        })?;
        Ok((head.status, Zeroizing::new(body.to_bytes().to_vec())))
    };
    // The connection is polled in the same task as the request, so no task is spawned for it.
    tokio::pin!(connection, received);
    tokio::select! {
        answer = &mut received => answer,
        ended = &mut connection => match ended {
            Ok(()) => received.await,
            Err(error) => Err(broken(error)),
        },
    }
}
