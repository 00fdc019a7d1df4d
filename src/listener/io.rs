//! A client's socket as hyper sees it: TCP or unix, plain or TLS, after some bytes already read.
//!
//! It reports what moves to the connection's [`Activity`], from which the deadlines are taken.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::StatusCode;
use memchr::memmem;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::http::activity::Activity;
use crate::http::respond;
use crate::net::socket::{Socket, peek_byte};
use crate::net::stream::MaybeTls;

/// The socket of a client, with or without TLS.
pub type ClientStream = MaybeTls<Socket, TlsStream<Socket>>;

/// A client connection's bytes.
#[derive(Debug)]
pub struct ClientIo {
    stream: ClientStream,
    /// Bytes read before hyper got the socket.
    prefix: Bytes,
    activity: Arc<Activity>,
    refusal: Refusal,
    /// Bytes read since others had their turn.
    burst: usize,
}

/// Most bytes read before others on this worker have their turn. What hyper does with them may take
/// long: a chunk's size may have zeros without end, which it reads one by one.
const BURST: usize = 256 * 1024;

/// hyper's own answer to an HTTP/1 request that it cannot read.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    /// Goes out: not HTTP/1, or over.
    Passes,
    /// Is to be held back.
    Awaited,
    /// Was held back; its status.
    Held(StatusCode),
}

/// The status of an answer without id: one that the service did not make.
fn refused(buf: &[u8]) -> Option<StatusCode> {
    let status = buf.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    let is_own = status.starts_with(b"4")
        && buf.ends_with(b"\r\n\r\n")
        && memmem::find(buf, respond::REQUEST_ID.as_str().as_bytes()).is_none();
    StatusCode::from_bytes(status).ok().filter(|_| is_own)
}

impl ClientIo {
    /// Wraps a socket.
    #[must_use]
    pub fn new(stream: ClientStream, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            prefix: Bytes::new(),
            activity,
            refusal: Refusal::Passes,
            burst: 0,
        }
    }

    /// HTTP/1 is spoken from now on: an answer hyper makes to what it cannot read is dropped and
    /// remembered, and targets are looked at before hyper reads them.
    pub fn watch_http1(&mut self) {
        self.refusal = Refusal::Awaited;
    }

    /// The status of the answer that was dropped, once. What is written from now on goes out.
    pub fn take_refusal(&mut self) -> Option<StatusCode> {
        match std::mem::replace(&mut self.refusal, Refusal::Passes) {
            Refusal::Held(status) => Some(status),
            Refusal::Passes | Refusal::Awaited => None,
        }
    }

    /// Looks at what hyper is about to read.
    #[inline]
    fn look(&self, bytes: &[u8]) {
        if !matches!(self.refusal, Refusal::Passes) && !self.activity.is_in_body() {
            self.activity.fragments.look(bytes);
        }
    }

    /// Whether `buf` is an answer to be held back; then it is.
    #[inline]
    fn holds(&mut self, buf: &[u8]) -> bool {
        // An answer of the service may be written when its request is over, if it has no body.
        if self.activity.in_flight() > 0 || !matches!(self.refusal, Refusal::Awaited) {
            return false;
        }
        let status = refused(buf);
        if let Some(status) = status {
            self.refusal = Refusal::Held(status);
        }
        status.is_some()
    }

    /// Puts bytes back in front of what the socket will give. An empty piece is let go: it would keep
    /// the whole read buffer it was cut from alive while the connection is parked.
    pub fn put_back(&mut self, bytes: Bytes) {
        self.activity.fragments.forget();
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

    /// Makes the close a reset, which no client takes for the end of a body.
    pub fn reset_on_close(&self) {
        if let Socket::Tcp(socket) = self.stream.socket()
            && let Err(error) = SockRef::from(socket).set_linger(Some(Duration::ZERO))
        {
            tracing::debug!(%error, "cannot reset a connection");
        }
    }

    /// Waits until the socket has something to read, holding no buffer. Cancel-safe.
    ///
    /// # Errors
    ///
    /// When the event loop is gone.
    pub async fn readable(&self) -> io::Result<()> {
        if !self.prefix.is_empty() {
            return Ok(());
        }
        self.stream.socket().readable().await
    }

    /// Whether the client has sent something that has not been read. Asks the kernel: the event loop
    /// may not have been told yet.
    #[must_use]
    pub fn has_come(&self) -> bool {
        !self.prefix.is_empty() || matches!(peek_byte(&self.stream.socket().raw()), Ok(1..))
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
            let piece = this.prefix.get(..length).unwrap_or_default();
            buf.put_slice(piece);
            this.look(piece);
            this.prefix.advance(length);
            this.activity.set_read_drained(false);
            return Poll::Ready(Ok(()));
        }
        if this.burst >= BURST {
            this.burst = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
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
            this.look(buf.filled().get(before..).unwrap_or_default());
            this.activity.bump();
        }
        polled
    }
}

impl ClientIo {
    /// Takes bytes that [`AsyncWrite::poll_flush`] sends later. Writes only when there is no room to
    /// hold them, and on plain text.
    pub fn poll_take(
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
            self.activity.bump();
        }
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
        if this.holds(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
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
        if let [buf] = bufs
            && this.holds(buf)
        {
            return Poll::Ready(Ok(buf.len()));
        }
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
                // TLS holds encrypted bytes of its own back; a plain socket has nothing to flush.
                let was_empty = !io.get_ref().1.wants_write();
                let polled = Pin::new(&mut **io).poll_flush(cx);
                this.activity.set_write_blocked(polled.is_pending());
                if !was_empty && polled.is_ready() {
                    this.activity.bump();
                }
                polled
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.refusal, Refusal::Held(_)) {
            // The answer in its place is yet to come.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
