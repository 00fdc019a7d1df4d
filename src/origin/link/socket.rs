//! A connected upstream socket, with or without TLS. It records whether a byte was read and whether a write
//! has failed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::net::socket::peek_byte;
use crate::net::stream::MaybeTls;
use crate::origin::link::reuse::Acceptable;

/// The stream of an upstream connection, with or without TLS.
pub(super) type UpstreamStream = MaybeTls<TcpStream, TlsStream<TcpStream>>;

/// The state of a socket. It is shared by the socket, which hyper owns, and the user of the connection.
/// Both run on one worker thread.
#[derive(Debug, Default)]
pub(crate) struct SocketState {
    checks_kernel: AtomicBool,
    has_read: AtomicBool,
    /// The first byte that was read since the start of the request.
    first_byte: AtomicU8,
    is_write_closed: AtomicBool,
}

impl SocketState {
    /// Prepares the socket for a request. With [`Acceptable::ConfirmedOpen`], the next read first checks in
    /// the kernel whether the peer has closed the connection.
    pub(super) fn begin(&self, acceptable: Acceptable) {
        let checks_kernel = acceptable == Acceptable::ConfirmedOpen;
        self.checks_kernel.store(checks_kernel, Relaxed);
        self.has_read.store(false, Relaxed);
    }

    /// Whether a byte was read since the start of the request.
    #[must_use]
    pub(crate) fn has_read(&self) -> bool {
        self.has_read.load(Relaxed)
    }

    /// Whether the first byte that was read since the start of the request begins a TLS record, and therefore
    /// no HTTP response.
    #[must_use]
    pub(crate) fn has_read_tls(&self) -> bool {
        const ALERT: u8 = 21;
        const HANDSHAKE: u8 = 22;
        self.has_read() && matches!(self.first_byte.load(Relaxed), ALERT | HANDSHAKE)
    }

    /// Whether a write has failed because the peer has closed the connection. Bytes written after that are
    /// discarded.
    #[must_use]
    pub(crate) fn is_write_closed(&self) -> bool {
        self.is_write_closed.load(Relaxed)
    }
}

/// A connected upstream socket.
///
/// OSS may respond to a request before it has read the whole request, and close the connection. A write then
/// fails while the response is still unread. hyper ends a connection at the first failed write, without
/// reading the response. Therefore, after a failed write, the socket accepts and discards all bytes that are
/// written. Reading then returns the response or EOF. This workaround could be removed with an HTTP client
/// that reads after a failed write.
#[derive(Debug)]
pub(crate) struct UpstreamSocket {
    stream: UpstreamStream,
    state: Arc<SocketState>,
}

impl UpstreamSocket {
    pub(super) fn new(stream: UpstreamStream) -> Self {
        Self {
            stream,
            state: Arc::default(),
        }
    }

    /// Returns the state of the socket.
    #[must_use]
    pub(super) fn state(&self) -> Arc<SocketState> {
        Arc::clone(&self.state)
    }

    /// Whether the peer has closed the connection, or has sent bytes without a request.
    fn is_readable_now(&self) -> bool {
        let peeked = peek_byte(&SockRef::from(self.stream.socket()));
        !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Converts a write error caused by a closed connection into a complete write of `all`.
    fn ignore_closed<T>(&self, written: Poll<io::Result<T>>, all: T) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(Err(error))
                if matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) =>
            {
                self.state.is_write_closed.store(true, Relaxed);
                Poll::Ready(Ok(all))
            }
            other => other,
        }
    }
}

impl AsyncRead for UpstreamSocket {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.state.checks_kernel.load(Relaxed) {
            this.state.checks_kernel.store(false, Relaxed);
            if this.is_readable_now() {
                // On an idle connection there must be nothing to read. The peer has closed it or
                // has sent bytes, so EOF is reported, and hyper closes the connection.
                return Poll::Ready(Ok(()));
            }
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if let Some(first) = buf.filled().get(before)
            && !this.state.has_read()
        {
            this.state.first_byte.store(*first, Relaxed);
            this.state.has_read.store(true, Relaxed);
        }
        polled
    }
}

impl AsyncWrite for UpstreamSocket {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.state.is_write_closed() {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.ignore_closed(written, buf.len())
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let all = || bufs.iter().map(|buf| buf.len()).sum();
        if this.state.is_write_closed() {
            return Poll::Ready(Ok(all()));
        }
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        match written {
            Poll::Ready(Err(_)) => this.ignore_closed(written, all()),
            other => other,
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.state.is_write_closed() {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.ignore_closed(flushed, ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
