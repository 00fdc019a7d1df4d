//! A client's socket: TCP or unix, with or without TLS. Bytes that were read too early can be put back.
//! The next reads return these bytes first.
//!
//! Every read and write is recorded in the connection's [`Activity`], from which the deadlines are
//! computed. HTTP/1.1 and HTTP/2 both use this type; each adds its own wrapper (`http1::hyper_io`,
//! [`super::http2::cork`]).

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::http::activity::Activity;
use crate::listener::tls_socket::TlsSocket;
use crate::net::socket::{Socket, peek_byte};
use crate::net::stream::MaybeTls;

/// The socket of a client, with or without TLS.
pub type ClientStream = MaybeTls<Socket, TlsStream<TlsSocket>>;

/// The maximum number of bytes read before the task yields to other tasks of this worker. hyper can need
/// a long time to parse them: a chunk size may have any number of leading zeros, which hyper reads one by
/// one.
const READ_BURST: usize = 256 * 1024;

/// The byte stream of a client connection.
#[derive(Debug)]
pub struct ClientIo {
    stream: ClientStream,
    /// Bytes that were read too early. They are returned before the bytes of the socket.
    prefix: Bytes,
    activity: Arc<Activity>,
    /// The number of bytes read since the task last yielded.
    burst: usize,
}

impl ClientIo {
    /// Wraps a socket.
    #[must_use]
    pub fn new(stream: ClientStream, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            prefix: Bytes::new(),
            activity,
            burst: 0,
        }
    }

    /// Returns the activity record of this connection.
    #[inline]
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Puts bytes back, so that they are read again before the bytes of the socket. Even an empty `Bytes`
    /// keeps alive the whole buffer that it was cut from, so empty `bytes` are dropped.
    pub fn put_back(&mut self, bytes: Bytes) {
        if self.prefix.is_empty() {
            self.prefix = bytes;
        } else if !bytes.is_empty() {
            let mut joined = Vec::with_capacity(bytes.len() + self.prefix.len());
            joined.extend_from_slice(&bytes);
            joined.extend_from_slice(&self.prefix);
            self.prefix = joined.into();
        }
        if self.prefix.is_empty() {
            self.prefix = Bytes::new();
        }
    }

    /// Makes the later close of a TCP socket send a reset, which no client mistakes for the end of a body.
    /// Has no effect on a unix socket.
    pub fn reset_on_close(&self) {
        if let socket @ Socket::Tcp(_) = self.stream.socket()
            && let Err(error) = socket.raw().set_linger(Some(Duration::ZERO))
        {
            tracing::debug!(%error, "cannot reset a connection");
        }
    }

    /// Waits until there are bytes to read. Needs no read buffer. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The OS error when the event loop has ended.
    pub async fn readable(&self) -> io::Result<()> {
        if !self.prefix.is_empty() {
            return Ok(());
        }
        self.stream.socket().readable().await
    }

    /// Whether the client has reset the connection, according to the latest report of the event loop.
    #[inline]
    pub(super) fn is_reset(&self) -> bool {
        self.stream.socket().has_failed()
    }

    /// Whether the client has sent bytes that have not been read. Makes a system call, because the event
    /// loop may not have reported the bytes yet.
    #[must_use]
    pub fn has_unread_bytes(&self) -> bool {
        !self.prefix.is_empty() || matches!(peek_byte(&self.stream.socket().raw()), Ok(1..))
    }

    /// Buffers bytes that [`AsyncWrite::poll_flush`] sends later. Writes to the socket only when rustls's
    /// buffer is full, or when the connection has no TLS.
    pub fn poll_buffer(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let MaybeTls::Tls(io) = &mut self.stream {
            let taken = io.get_mut().1.writer().write_vectored(bufs)?;
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
        }
        Pin::new(self).poll_write_vectored(cx, bufs)
    }

    #[inline]
    fn note_write<T>(&self, polled: &Poll<io::Result<T>>) {
        self.activity.set_write_blocked(polled.is_pending());
        if polled.is_ready() {
            self.activity.note_progress();
        }
    }
}

impl AsyncRead for ClientIo {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.prefix.is_empty() {
            let length = this.prefix.len().min(buf.remaining());
            buf.put_slice(this.prefix.get(..length).unwrap_or_default());
            this.prefix.advance(length);
            this.activity.set_read_drained(false);
            return Poll::Ready(Ok(()));
        }
        if this.burst >= READ_BURST {
            this.burst = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = match Pin::new(&mut this.stream).poll_read(cx, buf) {
            // This TLS client closed the connection without close_notify, which is treated as a normal
            // EOF. HTTP/1.1 requests and HTTP/2 frames have lengths, so truncation is detected anyway.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Poll::Ready(Ok(()))
            }
            polled => polled,
        };
        let length = buf.filled().len().saturating_sub(before);
        this.activity.note_read(length);
        this.burst = if polled.is_pending() {
            0
        } else {
            this.burst + length
        };
        let is_drained = length == 0;
        this.activity.set_read_drained(is_drained);
        if !is_drained {
            this.activity.note_progress();
        }
        polled
    }
}

impl AsyncWrite for ClientIo {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.note_write(&polled);
        polled
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.note_write(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.stream {
            MaybeTls::Plain(io) => Pin::new(io).poll_flush(cx),
            MaybeTls::Tls(io) => {
                // rustls buffers encrypted bytes. A socket without TLS has nothing to flush.
                let was_empty = !io.get_ref().1.wants_write();
                let polled = Pin::new(&mut **io).poll_flush(cx);
                this.activity.set_write_blocked(polled.is_pending());
                if !was_empty && polled.is_ready() {
                    this.activity.note_progress();
                }
                polled
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
