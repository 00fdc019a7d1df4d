//! Serves the origin over loopback sockets, with or without TLS.
//!
//! HTTP/1.1 only, as OSS is spoken to. A [`Served`] listener can stop accepting, and can cut the
//! connections it has, apart from each other: an address that leaves does one before the other.

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

/// How a listener and its connections go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Life {
    Open,
    /// No new connections.
    Closed,
    /// No connections at all.
    Cut,
}

/// A served listener; dropping it cuts everything.
#[derive(Debug)]
pub struct Served {
    life: watch::Sender<Life>,
}

impl Served {
    /// Closes the listening socket; running connections go on.
    pub fn stop_accepting(&self) {
        self.life.send_replace(Life::Closed);
    }

    /// Closes the listening socket and every connection, in the middle of whatever they do.
    pub fn cut(&self) {
        self.life.send_replace(Life::Cut);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Serves `origin` on `listener`, over TLS when `tls` is given. Must be called inside a runtime.
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
            // First, so that whoever is in the queue already is served and not reset.
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
                    None => talk(socket, origin).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(socket).await {
                            talk(stream, origin).await;
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

async fn talk<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, origin: Origin) {
    let switch = ExpectSwitch::default();
    let io = Silencer {
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
    // How a client's connection ends is the client's affair.
    let _ended = http1::Builder::new()
        .serve_connection(TokioIo::new(io), service)
        .await;
}

/// Swallows one `100 Continue` when told to.
struct Silencer<S> {
    inner: S,
    switch: ExpectSwitch,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl<S: AsyncRead + Unpin> AsyncRead for Silencer<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Silencer<S> {
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
