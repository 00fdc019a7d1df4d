//! The TLS handshake of a client connection, and its failures.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use rustls::server::Acceptor;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::http::context::ConnectionInfo;
use crate::listener::first_bytes::FirstBytes;
use crate::listener::settings::ListenerSettings;
use crate::listener::tls::TlsSettings;
use crate::listener::tls_outcome::TlsFailure;
use crate::listener::tls_socket::TlsSocket;
use crate::net::socket::Socket;

/// The result of a handshake.
pub(super) enum Accepted {
    /// The handshake is complete. The second value is the server name (SNI), in lower case.
    Tls(Box<TlsStream<TlsSocket>>, Option<Box<str>>),
    /// The client sent an HTTP request without TLS. These are its first bytes.
    PlainHttp(Socket, Bytes),
    /// The connection cannot be used.
    Failed,
}

/// Completes the handshake of `socket`. A failure is counted and logged.
pub(super) async fn accept(
    tls: &TlsSettings,
    socket: Socket,
    settings: &ListenerSettings,
    info: &ConnectionInfo,
) -> Accepted {
    let deadline = Instant::now() + settings.timeouts.tls_handshake;
    // The ClientHello is read first, so that its server name is known for the log if the handshake fails later.
    let mut hello = LazyConfigAcceptor::new(Acceptor::default(), TlsSocket::new(socket));
    let outcome = timeout_at(deadline, &mut hello).await;
    let started = match outcome {
        Ok(Ok(started)) => started,
        Ok(Err(error)) => return end(hello.take_io(), &error, None, tls, settings, info),
        Err(_elapsed) => {
            let error = io::ErrorKind::TimedOut.into();
            return end(hello.take_io(), &error, None, tls, settings, info);
        }
    };
    let name: Option<Box<str>> = started.client_hello().server_name().map(Into::into);
    let accepting = started.into_stream(Arc::clone(&tls.config)).into_fallible();
    match timeout_at(deadline, accepting).await {
        Ok(Ok(mut stream)) => {
            stream.get_mut().0.end_handshake();
            settings.counters.tls.note_completed();
            Accepted::Tls(Box::new(stream), name)
        }
        Ok(Err((error, io))) => end(Some(io), &error, name.as_deref(), tls, settings, info),
        Err(_elapsed) => {
            let error: io::Error = io::ErrorKind::TimedOut.into();
            let name = name.as_deref();
            note(settings, info, TlsFailure::Timeout, Some(&error), name);
            Accepted::Failed
        }
    }
}

/// Ends a handshake that failed with `error`. If the client sent an HTTP request, returns the socket, so that
/// the caller can send a response.
fn end(
    io: Option<TlsSocket>,
    error: &io::Error,
    name: Option<&str>,
    tls: &TlsSettings,
    settings: &ListenerSettings,
    info: &ConnectionInfo,
) -> Accepted {
    let first = io.as_ref().and_then(TlsSocket::first);
    // Only one kind of error needs this lookup, but the lookup costs little.
    let has_certificate = tls.certificates.has(name);
    let failure = match TlsFailure::of(error, first, has_certificate) {
        // A client that opens connections in advance may send no byte until the timeout. It is counted like any
        // other client that is too slow.
        None | Some(TlsFailure::Closed) if error.kind() == io::ErrorKind::TimedOut => {
            Some(TlsFailure::Timeout)
        }
        failure => failure,
    };
    if let Some(failure) = failure {
        // For an HTTP request, the error would only repeat that the bytes are not TLS.
        let error = (failure != TlsFailure::PlainHttp).then_some(error);
        note(settings, info, failure, error, name);
    }
    match io {
        Some(io) if first == Some(FirstBytes::Http) => {
            let (socket, request) = io.into_parts();
            Accepted::PlainHttp(socket, request)
        }
        _ => Accepted::Failed,
    }
}

/// Counts a failed handshake. Logs it as a warning or as information if no failure of the same kind was logged in
/// the last minute, otherwise only at debug level.
pub(super) fn note(
    settings: &ListenerSettings,
    info: &ConnectionInfo,
    failure: TlsFailure,
    error: Option<&io::Error>,
    name: Option<&str>,
) {
    let Some(noted) = settings.counters.tls.of(failure) else {
        return;
    };
    let (listener, reason, sentence) = (&*settings.label, failure.as_str(), failure.sentence());
    let (peer, client) = (
        info.peer.map(tracing::field::display),
        info.client.map(tracing::field::display),
    );
    let (sni, error) = (
        name.map(tracing::field::display),
        error.map(tracing::field::display),
    );
    match noted.note(Instant::now()) {
        Some(so_far) if failure.is_ours(name.is_some()) => {
            tracing::warn!(%listener, reason, peer, client, sni, error, so_far, "tls handshake failed: {sentence}");
        }
        Some(so_far) => {
            tracing::info!(%listener, reason, peer, client, sni, error, so_far, "tls handshake failed: {sentence}");
        }
        None => {
            tracing::debug!(%listener, reason, peer, client, sni, error, "tls handshake failed: {sentence}");
        }
    }
}
