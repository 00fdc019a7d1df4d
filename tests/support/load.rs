//! A constant load of requests with counters of failures.

#![allow(clippy::print_stderr, reason = "a load prints its figures")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The number of clients. Each client sends one request every [`PACE`], 240 requests per second in total.
pub(crate) const CLIENTS: u64 = 24;
pub(crate) const PACE: Duration = Duration::from_millis(100);

/// The minimum number of requests in a load.
const ENOUGH: u64 = 1000;

/// Sends a request on an open connection. Returns whether the connection stays open.
///
/// # Errors
///
/// A text that describes an unexpected response or a failed connection.
pub(crate) async fn ask(socket: &mut TcpStream, request: &str) -> Result<bool, String> {
    socket
        .write_all(request.as_bytes())
        .await
        .map_err(|error| format!("write: {error}"))?;
    let mut answer = Vec::new();
    loop {
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
            let length: usize = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next())
                .map_or(0, |length| length.parse().unwrap());
            let is_head = request.starts_with("HEAD");
            if is_head || answer.len() >= end + 4 + length {
                return if head.starts_with("http/1.1 200") {
                    Ok(!head.contains("connection: close"))
                } else {
                    Err(String::from_utf8_lossy(&answer).into_owned())
                };
            }
        }
        match socket.read_buf(&mut answer).await {
            Ok(0) => {
                return Err(format!(
                    "ended after {:?}",
                    String::from_utf8_lossy(&answer)
                ));
            }
            Ok(_) => {}
            Err(error) => return Err(format!("read: {error}")),
        }
    }
}

/// The counters of a load.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) sent: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// The duration of the slowest request, in milliseconds.
    pub(crate) longest: AtomicU64,
    pub(crate) is_over: AtomicBool,
}

fn is_open(socket: &TcpStream) -> bool {
    let mut byte = [0];
    let read = socket.try_read(&mut byte);
    read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Starts [`CLIENTS`] clients, which run until `is_over` is set.
pub(crate) fn load(address: SocketAddr, tally: &Arc<Tally>) -> tokio::task::JoinSet<()> {
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let tally = Arc::clone(tally);
        clients.spawn(async move {
            let mut kept: Option<TcpStream> = None;
            let mut pace = tokio::time::interval(PACE);
            for turn in 0_u64.. {
                pace.tick().await;
                if tally.is_over.load(Relaxed) {
                    return;
                }
                let request = match (number + turn) % 10 {
                    0 => format!(
                        "PUT /put-{number} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"
                    ),
                    1 => "HEAD /k HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
                    _ => "GET /k HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
                };
                // A connection that was closed while idle is replaced; this is not a failure.
                let mut socket = match kept.take().filter(is_open) {
                    Some(socket) => socket,
                    None => TcpStream::connect(address).await.unwrap(),
                };
                let begin = Instant::now();
                let result = ask(&mut socket, &request).await;
                let millis = u64::try_from(begin.elapsed().as_millis()).unwrap();
                tally.longest.fetch_max(millis, Relaxed);
                tally.sent.fetch_add(1, Relaxed);
                match result {
                    Ok(goes_on) if goes_on && number % 2 == 0 => kept = Some(socket),
                    Ok(_) => {}
                    Err(why) => {
                        tally.failed.fetch_add(1, Relaxed);
                        eprintln!("failed: {why}");
                    }
                }
            }
        });
    }
    clients
}

/// Stops a load after at least [`ENOUGH`] requests. Panics if one failed or took five seconds.
pub(crate) async fn finish(
    name: &str,
    tally: &Tally,
    mut clients: tokio::task::JoinSet<()>,
    begin: Instant,
) {
    // On a busy machine the load runs longer to reach this number.
    let mut pace = tokio::time::interval(PACE);
    while tally.sent.load(Relaxed) < ENOUGH {
        pace.tick().await;
    }
    tally.is_over.store(true, Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let (sent, failed) = (tally.sent.load(Relaxed), tally.failed.load(Relaxed));
    let seconds = begin.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate to look at")]
    let rate = sent as f64 / seconds;
    let longest = tally.longest.load(Relaxed);
    eprintln!(
        "{name}: {sent} requests in {seconds:.0} s ({rate:.0}/s), {failed} failed, longest {longest} ms"
    );
    assert_eq!(failed, 0, "of {sent}");
    assert!(longest < 5000, "a request took {longest} ms");
}
