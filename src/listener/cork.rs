//! One write for what an HTTP/2 connection has to say at a time.
//!
//! h2 flushes after each DATA frame, so that answers which are ready together leave one by one, each
//! with its system call. Here a flush is put off until the connection has been polled: its owner
//! calls [`Corked::poll_uncork`] then. What is held back is bounded by rustls's own buffer of encrypted
//! bytes; when that is full, the socket is written at once. Plain text is not held back.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::listener::io::ClientIo;

/// A client's socket whose flushes wait. hyper has one handle, the connection's owner another.
#[derive(Clone, Debug)]
pub struct Corked(
    /// Locked by the connection's task only, so never contended.
    Arc<Mutex<ClientIo>>,
);

impl Corked {
    /// Takes a socket.
    #[must_use]
    pub fn new(io: ClientIo) -> Self {
        Self(Arc::new(Mutex::new(io)))
    }

    fn locked(&self) -> MutexGuard<'_, ClientIo> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what was held back.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub fn poll_uncork(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.locked()).poll_flush(cx)
    }
}

impl AsyncRead for Corked {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.locked()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Corked {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.locked().poll_take(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.locked().poll_take(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.locked()).poll_shutdown(cx)
    }
}
