//! Combines all frames that an HTTP/2 connection produces in one poll into one write.
//!
//! h2 flushes after each DATA frame, so responses that are ready together would each need a system call.
//! Here a flush is delayed until the connection has been polled; then the owner of the connection calls
//! [`Corked::poll_uncork`]. rustls's buffer of encrypted bytes bounds the delayed bytes: when that buffer
//! is full, the bytes are written to the socket at once. On connections without TLS, writes are not
//! delayed.
//!
//! If h2 flushed once per poll, this delay could be removed. Only [`super::held_end`] would then need a
//! wrapper around the socket.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::listener::client_io::ClientIo;
use crate::listener::http2::held_end::HeldEnd;

/// A client's socket whose flushes are delayed. hyper has one handle to it, and the connection's owner
/// has another.
#[derive(Clone, Debug)]
pub struct Corked(
    /// Only the connection's task locks this mutex, so the lock is never contended.
    Arc<Mutex<Client>>,
);

#[derive(Debug)]
struct Client {
    io: ClientIo,
    end: HeldEnd,
}

impl Corked {
    /// Wraps a socket.
    #[must_use]
    pub fn new(io: ClientIo) -> Self {
        Self(Arc::new(Mutex::new(Client {
            io,
            end: HeldEnd::default(),
        })))
    }

    fn locked(&self) -> MutexGuard<'_, Client> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the bytes whose flush was delayed.
    ///
    /// # Errors
    ///
    /// The error of the socket.
    pub fn poll_uncork(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let client = &mut *self.locked();
        let polled = Pin::new(&mut client.io).poll_flush(cx);
        client.end.lose(polled, || ())
    }
}

impl Client {
    fn poll_buffer(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.io.poll_buffer(cx, bufs);
        let all = || bufs.iter().map(|buf| buf.len()).sum();
        self.end.lose(polled, all)
    }
}

impl AsyncRead for Corked {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let client = &mut *self.locked();
        if client.end.is_held() {
            return client.end.poll_end(client.io.activity(), cx);
        }
        let before = buf.filled().len();
        match Pin::new(&mut client.io).poll_read(cx, buf) {
            Poll::Ready(read) if read.is_err() || buf.filled().len() == before => {
                client.end.hold(read, cx);
                Poll::Pending
            }
            polled => polled,
        }
    }
}

impl AsyncWrite for Corked {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.locked().poll_buffer(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.locked().poll_buffer(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.locked().io).poll_shutdown(cx)
    }
}
