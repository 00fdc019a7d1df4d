//! Serves the origin over loopback sockets, with or without TLS.
//!
//! Like OSS, the listener serves only HTTP/1.1. It can stop accepting first and close its connections later
//! ([`Served`]), because an OSS address that is withdrawn also stops accepting before its connections end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::demo::origin::{ExpectSwitch, Origin};

/// The state of a listener and its connections, in the order in which it can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Life {
    Open,
    /// The listening socket is closed. Connections continue.
    Closed,
    /// The listening socket and the connections are closed.
    Cut,
}

/// A served listener. Dropping it closes the listening socket and every connection.
#[derive(Debug)]
pub struct Served {
    life: watch::Sender<Life>,
}

impl Served {
    /// Closes the listening socket. Connections continue.
    pub fn stop_accepting(&self) {
        self.life.send_replace(Life::Closed);
    }

    /// Closes the listening socket and every connection, including requests in flight.
    pub fn cut(&self) {
        self.life.send_replace(Life::Cut);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Serves `origin` on `listener`, over TLS if `tls` is given.
///
/// # Panics
///
/// Panics outside a tokio runtime.
#[must_use]
pub fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    origin: Origin,
) -> Served {
    let (life, lives) = watch::channel(Life::Open);
    tokio::spawn(accept(listener, tls.map(TlsAcceptor::from), origin, lives));
    Served { life }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    origin: Origin,
    mut life: watch::Receiver<Life>,
) {
    let lives = life.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            // `accept` comes first, so that connections in the queue of the socket are served and not reset.
            accepted = listener.accept() => accepted,
            _ = life.wait_for(|life| *life >= Life::Closed) => return,
        };
        let Ok((socket, _peer)): io::Result<(TcpStream, SocketAddr)> = accepted else {
            continue;
        };
        origin.count_connection();
        let (tls, origin, mut life) = (tls.clone(), origin.clone(), lives.clone());
        tokio::spawn(async move {
            let serving = async {
                if socket.set_nodelay(true).is_err() {
                    return;
                }
                match tls {
                    None => serve_connection(socket, origin).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(socket).await {
                            serve_connection(stream, origin).await;
                        }
                    }
                }
            };
            tokio::select! {
                () = serving => {}
                _ = life.wait_for(|life| *life == Life::Cut) => {}
            }
        });
    }
}

async fn serve_connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    origin: Origin,
) {
    let switch = ExpectSwitch::default();
    let io = ContinueFilter {
        inner: stream,
        switch: switch.clone(),
    };
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        let (origin, switch) = (origin.clone(), switch.clone());
        async move {
            request.extensions_mut().insert(switch);
            Ok::<_, Infallible>(origin.serve(request).await)
        }
    });
    // The result is ignored: connection errors do not matter to the demo origin.
    let _ended = http1::Builder::new()
        .serve_connection(TokioIo::new(io), service)
        .await;
}

/// A stream that discards the next `100 Continue` that the server writes, if its switch is set.
struct ContinueFilter<S> {
    inner: S,
    switch: ExpectSwitch,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl<S: AsyncRead + Unpin> AsyncRead for ContinueFilter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ContinueFilter<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf == CONTINUE && self.switch.take() {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
