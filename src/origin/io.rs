//! A connected upstream socket, and what is known of its two directions.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The socket below an [`UpstreamIo`].
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    /// Boxed: rustls's state is about a kilobyte, and plain sockets should not carry it.
    Tls(Box<TlsStream<TcpStream>>),
}

/// What the user of a connection tells its socket, and learns from it. Both are on one worker thread.
#[derive(Debug, Default)]
pub struct Wire {
    asks_kernel: AtomicBool,
    has_read: AtomicBool,
    takes_no_more: AtomicBool,
}

impl Wire {
    /// A request begins. `asks_kernel`: the next read first asks the kernel whether the peer has
    /// closed, because the event loop may not have been told yet; for requests that must not be sent
    /// into a closing connection.
    pub fn begin(&self, asks_kernel: bool) {
        self.asks_kernel.store(asks_kernel, Relaxed);
        self.has_read.store(false, Relaxed);
    }

    /// Whether anything has come since the request began.
    #[must_use]
    pub fn has_read(&self) -> bool {
        self.has_read.load(Relaxed)
    }

    /// Whether the peer takes no more, so that what was written since is nowhere.
    #[must_use]
    pub fn takes_no_more(&self) -> bool {
        self.takes_no_more.load(Relaxed)
    }
}

/// A connected upstream socket.
///
/// A peer that answers a request before it has read it and closes makes writing fail, while its answer
/// waits to be read. A failed write would end hyper's half of the connection at once. So from the first
/// failure on, what is written is taken and thrown away, and reading tells how the exchange ended: by
/// the answer, or by the end of the connection without one.
#[derive(Debug)]
pub struct UpstreamIo {
    stream: Stream,
    wire: Arc<Wire>,
}

impl UpstreamIo {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            wire: Arc::default(),
        }
    }

    /// What is known of its two directions.
    #[must_use]
    pub fn wire(&self) -> Arc<Wire> {
        Arc::clone(&self.wire)
    }

    /// Whether the peer has closed, or sent something unasked.
    fn is_readable_now(&self) -> bool {
        let socket = match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.get_ref().0,
        };
        let mut byte = [std::mem::MaybeUninit::uninit(); 1];
        !matches!(SockRef::from(socket).peek(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Turns a write that failed because the peer is gone into one that took `length` bytes.
    fn forgive<T>(&self, written: Poll<io::Result<T>>, all: T) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(Err(error))
                if matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) =>
            {
                self.wire.takes_no_more.store(true, Relaxed);
                Poll::Ready(Ok(all))
            }
            other => other,
        }
    }
}

impl AsyncRead for UpstreamIo {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.wire.asks_kernel.load(Relaxed) {
            this.wire.asks_kernel.store(false, Relaxed);
            if this.is_readable_now() {
                // Reads as end of file: nothing may stand on an idle connection.
                return Poll::Ready(Ok(()));
            }
        }
        let before = buf.filled().len();
        let polled = match &mut this.stream {
            Stream::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Stream::Tls(io) => Pin::new(&mut **io).poll_read(cx, buf),
        };
        if buf.filled().len() > before {
            this.wire.has_read.store(true, Relaxed);
        }
        polled
    }
}

impl AsyncWrite for UpstreamIo {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.wire.takes_no_more() {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = match &mut this.stream {
            Stream::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Stream::Tls(io) => Pin::new(&mut **io).poll_write(cx, buf),
        };
        this.forgive(written, buf.len())
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let all = || bufs.iter().map(|buf| buf.len()).sum();
        if this.wire.takes_no_more() {
            return Poll::Ready(Ok(all()));
        }
        let written = match &mut this.stream {
            Stream::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Stream::Tls(io) => Pin::new(&mut **io).poll_write_vectored(cx, bufs),
        };
        match written {
            Poll::Ready(Err(_)) => this.forgive(written, all()),
            other => other,
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.wire.takes_no_more() {
            return Poll::Ready(Ok(()));
        }
        let flushed = match &mut this.stream {
            Stream::Plain(io) => Pin::new(io).poll_flush(cx),
            Stream::Tls(io) => Pin::new(&mut **io).poll_flush(cx),
        };
        this.forgive(flushed, ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Stream::Tls(io) => Pin::new(&mut **io).poll_shutdown(cx),
        }
    }
}
