//! HTTP/2 by raw frames: what a client may do with its windows, frames and targets.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::origin::{RawOrigin, Reply, ok};
use crate::support::proxy::{Proxy, bucket_at, one_route};

const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

pub(crate) struct Frame {
    pub(crate) kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A connection that sends and reads frames as they are.
pub(crate) struct Raw(TcpStream);

impl Raw {
    /// Connects and says how large the client's windows are.
    pub(crate) async fn connect(proxy: &Proxy, window: u32) -> Self {
        Self::greet(TcpStream::connect(proxy.address).await.unwrap(), window).await
    }

    async fn greet(socket: TcpStream, window: u32) -> Self {
        let mut raw = Self(socket);
        raw.0
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        let mut settings = vec![0, 4];
        settings.extend_from_slice(&window.to_be_bytes());
        raw.send(SETTINGS, 0, 0, &settings).await;
        raw
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        // A connection that has been cut off shows when it is read.
        let _sent = self.0.write_all(&frame).await;
    }

    /// GET of `path`, with nothing compressed; more header fields by name and value.
    pub(crate) async fn get(&mut self, stream: u32, path: &str, more: &[(&str, &str)]) {
        self.ask("GET", stream, path, more).await;
    }

    async fn ask(&mut self, method: &str, stream: u32, path: &str, more: &[(&str, &str)]) {
        let mut block = vec![0x86];
        let mut field = |first: &[u8], value: &str| {
            block.extend_from_slice(first);
            block.push(u8::try_from(value.len()).unwrap());
            block.extend_from_slice(value.as_bytes());
        };
        field(&[0x02], method);
        field(&[0x04], path);
        field(&[0x01], "x");
        for (name, value) in more {
            let mut first = vec![0x00, u8::try_from(name.len()).unwrap()];
            first.extend_from_slice(name.as_bytes());
            field(&first, value);
        }
        // END_STREAM and END_HEADERS.
        self.send(HEADERS, 0x5, stream, &block).await;
    }

    /// The next frame; `None` at the end of the connection.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// Reads up to the first frame `is` is true for; the connection must not end before.
    pub(crate) async fn until(&mut self, is: impl Fn(&Frame) -> bool) -> Frame {
        let reading = async {
            loop {
                let frame = self.next().await.expect("the connection goes on");
                if is(&frame) {
                    return frame;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reading)
            .await
            .expect("the frame comes")
    }
}

fn proxy(origin: &RawOrigin) -> Proxy {
    Proxy::start(&format!(
        "[server]\nworkers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         timeouts = {{ header = \"2s\", idle = \"6s\", stall = \"2s\" }}\n\
         limits = {{ headers = 20 }}\n\
         [[route]]\n{}\n",
        bucket_at(origin.address)
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_window_stays_shut_is_reset_and_its_connection_goes_on() {
    let origin = RawOrigin::start(|_| ok(&"x".repeat(100_000))).await;
    let proxy = proxy(&origin);
    let mut client = Raw::connect(&proxy, 0).await;
    client.get(1, "/stalled", &[]).await;
    client.get(3, "/moving", &[]).await;
    let _head = client
        .until(|frame| frame.kind == HEADERS && frame.stream == 3)
        .await;
    // What the client says besides does not count as taking the answer.
    let mut reset = None;
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    while reset.is_none() {
        pace.tick().await;
        client.send(PING, 0, 0, &[0; 8]).await;
        client
            .send(WINDOW_UPDATE, 0, 3, &500_u32.to_be_bytes())
            .await;
        let frame = client
            .until(|frame| {
                matches!(frame.kind, PING | RST_STREAM) || (frame.kind == DATA && frame.stream == 3)
            })
            .await;
        if frame.kind == RST_STREAM {
            reset = Some(frame.stream);
        }
    }
    assert_eq!(reset, Some(1));
    client.get(5, "/after", &[]).await;
    client
        .until(|frame| frame.kind == HEADERS && frame.stream == 5)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_opens_streams_only_to_give_them_up_is_cut_off() {
    let origin = RawOrigin::start(|_| Reply::Silent).await;
    let proxy = proxy(&origin);
    let mut client = Raw::connect(&proxy, 65_535).await;
    let begin = tokio::time::Instant::now();
    let mut stream = 1;
    'rounds: loop {
        // hyper cuts off streams given up before it has handed them out; these are under way.
        let round: Vec<u32> = (0..50).map(|nth| stream + 2 * nth).collect();
        for stream in &round {
            client.get(*stream, "/k", &[]).await;
        }
        client.send(PING, 0, 0, &[0; 8]).await;
        loop {
            match client.next().await {
                Some(frame) if frame.kind == PING => break,
                Some(_) => {}
                None => break 'rounds,
            }
        }
        for stream in &round {
            client
                .send(RST_STREAM, 0, *stream, &8_u32.to_be_bytes())
                .await;
        }
        stream += 100;
        assert!(begin.elapsed() < Duration::from_secs(20), "{stream}");
    }
    assert!(stream > 200, "not before it is too much: {stream}");
    assert!(
        origin.received().len() < 2000,
        "{}",
        origin.received().len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stray_frame_does_not_shorten_the_idle_time() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(&origin);
    let mut client = Raw::connect(&proxy, 65_535).await;
    client.get(1, "/k", &[]).await;
    client
        .until(|frame| frame.kind == DATA && frame.stream == 1)
        .await;
    client.send(PING, 0, 0, &[0; 8]).await;
    let begin = tokio::time::Instant::now();
    client.until(|frame| frame.kind == GOAWAY).await;
    let idle = begin.elapsed();
    assert!(
        idle > Duration::from_secs(4),
        "{idle:?}: `header` is no idle time"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_path_is_the_root_and_headers_are_counted() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(&origin);
    let mut client = Raw::connect(&proxy, 65_535).await;
    client.get(1, "#x", &[]).await;
    client
        .until(|frame| frame.stream == 1 && matches!(frame.kind, HEADERS | RST_STREAM))
        .await;
    let lines: Vec<String> = origin
        .received()
        .iter()
        .map(|request| request.line())
        .collect();
    assert_eq!(lines, ["GET / HTTP/1.1"]);
    let many: Vec<(&str, &str)> = vec![("x-many", "1"); 30];
    client.get(3, "/k", &many).await;
    let body = client
        .until(|frame| frame.kind == DATA && frame.stream == 3)
        .await;
    let body = String::from_utf8_lossy(&body.payload).into_owned();
    assert!(body.contains("more header fields than"), "{body}");
    assert_eq!(
        origin.received().len(),
        lines.len(),
        "it never reached the origin"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_answer_ends_in_a_reset_where_the_end_is_the_connection() {
    let origin = RawOrigin::start(|_| {
        Reply::Close(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec(),
        )
    })
    .await;
    let proxy = proxy(&origin);
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    socket
        .write_all(b"GET /k HTTP/1.0\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let end = socket.read_to_end(&mut answer).await;
    assert!(end.is_err(), "{:?}", String::from_utf8_lossy(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_with_other_codings_or_several_lengths_are_not_passed_on() {
    for fields in [
        "transfer-encoding: xchunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "content-length: 5, 5",
        "content-length: 5\r\ncontent-length: 5",
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello");
        let origin = RawOrigin::start(move |_| Reply::Close(head.clone().into_bytes())).await;
        let answer = proxy(&origin).get("x", "/k").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{fields}: {answer}");
    }
}

/// What a slow client had not taken yet was cut off: a drain closed its connection two seconds after
/// the GOAWAY, once the whole answer had been handed to h2, although h2 waited for the client's window.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_gets_the_tail_of_its_answer_during_a_drain() {
    const WINDOW: usize = 65_535;
    const TAIL: usize = 200;
    let origin = RawOrigin::start(|_| ok(&"x".repeat(WINDOW + TAIL))).await;
    let mut proxy = Proxy::start(&one_route(&bucket_at(origin.address)));
    let mut client = Raw::connect(&proxy, u32::try_from(WINDOW).unwrap()).await;
    client
        .send(WINDOW_UPDATE, 0, 0, &1_000_000_u32.to_be_bytes())
        .await;
    client.get(1, "/k", &[]).await;
    let mut taken = 0;
    while taken < WINDOW {
        let frame = client.until(|frame| frame.kind == DATA).await;
        taken += frame.payload.len();
    }
    let taking = async {
        let mut pace = tokio::time::interval(Duration::from_millis(200));
        while taken < WINDOW + TAIL {
            pace.tick().await;
            client.send(WINDOW_UPDATE, 0, 1, &8_u32.to_be_bytes()).await;
            let frame = client
                .until(|frame| matches!(frame.kind, DATA | PING))
                .await;
            if frame.kind == PING {
                client.send(PING, 1, 0, &frame.payload).await;
            } else {
                taken += frame.payload.len();
            }
        }
    };
    tokio::join!(taking, proxy.drain());
    assert_eq!(taken, WINDOW + TAIL);
}

/// The first byte of a head with status 400 or 200, from HPACK's static table.
const STATUS_400: u8 = 0x8c;
const STATUS_200: u8 = 0x88;

#[tokio::test(flavor = "multi_thread")]
async fn what_http_1_1_has_no_place_for_is_refused() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(&origin);
    let mut client = Raw::connect(&proxy, 65_535).await;
    let lengths = [("content-length", "0"), ("content-length", "0")];
    client.get(1, "/k", &lengths).await;
    client.get(3, "/k", &[("\"x\"", "1")]).await;
    for stream in [1, 3] {
        let head = client
            .until(|frame| frame.kind == HEADERS && frame.stream == stream)
            .await;
        assert_eq!(head.payload[0], STATUS_400, "stream {stream}");
    }
    assert!(origin.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_http2_says_in_another_way_is_said_to_the_origin() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(&origin);
    let mut client = Raw::connect(&proxy, 65_535).await;
    let crumbs = [("cookie", "a=b"), ("cookie", "c=d")];
    client.ask("PUT", 1, "/k", &crumbs).await;
    let head = client.until(|frame| frame.kind == HEADERS).await;
    assert_eq!(head.payload[0], STATUS_200);
    let received = origin.received();
    assert_eq!(received[0].header("cookie"), [b"a=b; c=d".to_vec()]);
    assert_eq!(received[0].header("content-length"), [b"0".to_vec()]);
}

/// A socket closed with something unread is reset, and what the client has not read yet is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_what_it_takes_gets_all_of_it_when_its_node_drains() {
    const LENGTH: usize = 700_000;
    let origin = RawOrigin::start(|_| ok(&"x".repeat(LENGTH))).await;
    let mut proxy = Proxy::start(&one_route(&bucket_at(origin.address)));
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let socket = socket.connect(proxy.address).await.unwrap();
    let mut client = Raw::greet(socket, 1 << 20).await;
    let window = 1_000_000_u32.to_be_bytes();
    client.send(WINDOW_UPDATE, 0, 0, &window).await;
    client.get(1, "/k", &[]).await;
    let _head = client.until(|frame| frame.kind == HEADERS).await;
    let taking = async {
        let mut taken = 0;
        while let Some(frame) = client.next().await {
            match frame.kind {
                DATA => {
                    taken += frame.payload.len();
                    let length = u32::try_from(frame.payload.len().max(1)).unwrap();
                    client
                        .send(WINDOW_UPDATE, 0, 0, &length.to_be_bytes())
                        .await;
                }
                PING => client.send(PING, 1, 0, &frame.payload).await,
                _ => {}
            }
        }
        taken
    };
    let (taken, ()) = tokio::join!(taking, proxy.drain());
    assert_eq!(taken, LENGTH);
}
