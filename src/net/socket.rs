//! A connected TCP or unix socket as one type.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connected stream socket.
#[derive(Debug)]
pub enum Socket {
    /// A TCP socket.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Socket {
    /// Waits until the socket has bytes to read, or the peer has closed the connection. Cancel-safe.
    ///
    /// # Errors
    ///
    /// Returns an error if the event loop has ended.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.ready(Interest::READABLE).await.map(drop),
            Self::Unix(socket) => socket.ready(Interest::READABLE).await.map(drop),
        }
    }

    /// Whether the event loop has reported that the connection failed, for example by a reset from the peer.
    /// Makes no system call and takes no bytes from the socket.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        // `try_io` fails unless the event loop has reported an error.
        match self {
            Self::Tcp(socket) => socket.try_io(Interest::ERROR, || Ok(())),
            Self::Unix(socket) => socket.try_io(Interest::ERROR, || Ok(())),
        }
        .is_ok()
    }

    /// Returns a reference to the socket for setting socket options.
    #[must_use]
    pub fn raw(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(socket) => SockRef::from(socket),
            Self::Unix(socket) => SockRef::from(socket),
        }
    }
}

/// Checks in the kernel whether there is a byte to read on `socket`. Returns 1 if there is one, and 0 if
/// the peer has closed the connection. Does not remove the byte. This is a system call, because the event
/// loop may not have reported the byte or the close yet.
///
/// # Errors
///
/// `WouldBlock` if there is no byte and the connection is open; otherwise the error of the connection.
#[inline]
pub fn peek_byte(socket: &SockRef<'_>) -> io::Result<usize> {
    socket.peek(&mut [MaybeUninit::uninit(); 1])
}

/// Calls the same method on the socket of either variant.
macro_rules! each {
    ($self:ident, $io:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Tcp($io) => $call,
            Self::Unix($io) => $call,
        }
    };
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, io => Pin::new(io).poll_write(cx, buf))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_flush(cx))
    }

    #[inline]
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_shutdown(cx))
    }
}
