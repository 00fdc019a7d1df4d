//! Origins that end every exchange in the same wrong way.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What an origin does with a connection after it has read some bytes.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    Send(&'static [u8]),
    Close,
    Reset,
    Nothing,
}

/// Starts an origin that does `act` with each connection.
pub(crate) async fn acting(act: Act) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(acts(socket, act));
        }
    });
    address
}

async fn acts(mut socket: TcpStream, act: Act) {
    let mut read = [0; 16 << 10];
    // A probe of the proxy may leave without having sent a byte.
    if !matches!(socket.read(&mut read).await, Ok(1..)) {
        return;
    }
    match act {
        Act::Send(bytes) => {
            socket.write_all(bytes).await.unwrap();
            while matches!(socket.read(&mut read).await, Ok(1..)) {}
        }
        Act::Close => {}
        Act::Reset => socket2::SockRef::from(&socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap(),
        Act::Nothing => std::future::pending().await,
    }
}
