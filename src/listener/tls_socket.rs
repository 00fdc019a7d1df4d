//! The socket below TLS. It recognizes clients that do not speak TLS, and keeps a connection usable if the client
//! sends a reset during the handshake.
//!
//! The first bytes of a client pass through [`FirstBytes`]. An HTTP request is kept from rustls, which would
//! answer with an alert: the read fails, and the connection responds to the request instead.
//!
//! With TLS 1.3 a client may send its last handshake message, a whole upload and a TCP reset before the
//! server has read any of them. The bytes can still be read after the reset. But rustls first writes its
//! session tickets, and tokio-rustls ends the handshake when that write fails. So failed writes during
//! the handshake are reported as successful. This type can be removed when tokio-rustls returns a session
//! even if its tickets could not be written.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::listener::first_bytes::FirstBytes;
use crate::net::socket::Socket;
use crate::net::stream::OverSocket;

/// A client's socket below TLS.
#[derive(Debug)]
pub struct TlsSocket {
    socket: Socket,
    is_handshaking: bool,
    /// What the first bytes of the client look like. `None` until they arrive.
    first: Option<FirstBytes>,
    /// The beginning of an HTTP request, which rustls has not seen. Empty if the client did not send one.
    request: Bytes,
}

impl TlsSocket {
    /// Wraps the socket of a connection before its handshake.
    #[must_use]
    pub fn new(socket: Socket) -> Self {
        Self {
            socket,
            is_handshaking: true,
            first: None,
            request: Bytes::new(),
        }
    }

    /// Returns what the first bytes of the client look like. `None` if none have arrived.
    pub(super) fn first(&self) -> Option<FirstBytes> {
        self.first
    }

    /// Returns the socket, and the beginning of the HTTP request that the client sent instead of TLS.
    pub(super) fn into_parts(self) -> (Socket, Bytes) {
        (self.socket, self.request)
    }

    /// Looks at the first bytes of the client, which are the bytes of `buf` after the first `before`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] for an HTTP request, whose bytes are taken out of `buf`.
    #[cold]
    fn look_at_first(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        let bytes = buf.filled().get(before..).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        let first = FirstBytes::of(bytes);
        self.first = Some(first);
        if first != FirstBytes::Http {
            return Ok(());
        }
        self.request = Bytes::copy_from_slice(bytes);
        buf.set_filled(before);
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "an HTTP request",
        ))
    }

    /// Ends the handshake phase: errors of writes are reported from now on.
    pub(super) fn end_handshake(&mut self) {
        self.is_handshaking = false;
    }

    /// During the handshake, reports a write of `length` bytes as successful if the write failed because
    /// the peer accepts no more bytes.
    fn written(
        &self,
        polled: Poll<io::Result<usize>>,
        length: impl FnOnce() -> usize,
    ) -> Poll<io::Result<usize>> {
        match polled {
            Poll::Ready(Err(error)) if self.is_handshaking && is_closed_by_peer(&error) => {
                Poll::Ready(Ok(length()))
            }
            polled => polled,
        }
    }
}

/// Whether `error` means that the peer accepts no more bytes.
pub(super) fn is_closed_by_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

impl OverSocket<Socket> for TlsStream<TlsSocket> {
    #[inline]
    fn socket(&self) -> &Socket {
        &self.get_ref().0.socket
    }
}

impl AsyncRead for TlsSocket {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.socket).poll_read(cx, buf);
        if this.first.is_none() && matches!(polled, Poll::Ready(Ok(()))) {
            return Poll::Ready(this.look_at_first(buf, before));
        }
        polled
    }
}

impl AsyncWrite for TlsSocket {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.socket).poll_write(cx, buf);
        this.written(polled, || buf.len())
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.socket).poll_write_vectored(cx, bufs);
        this.written(polled, || bufs.iter().map(|buf| buf.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
