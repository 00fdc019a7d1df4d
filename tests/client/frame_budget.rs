//! HTTP/2 frames that carry no request: how many a client may send on a connection.
//!
//! Rows: a flood of each cheap frame ends its connection with ENHANCE_YOUR_CALM while others are served; clients
//! that send many frames for a good reason stay connected (windows opened one KiB at a time, bodies in frames of
//! ten bytes, uploads refused while they are in flight).

use std::time::Duration;

use crate::support::frames::{
    DATA, Frame, GOAWAY, HEADERS, PING, Raw, SETTINGS, WINDOW_UPDATE, frame,
};
use crate::support::origin::{RawOrigin, Reply, ok};
use crate::support::proxy::{Proxy, bucket_at, one_route, status};

/// The error code ENHANCE_YOUR_CALM.
const CALM: [u8; 4] = [0, 0, 0, 0x0b];

async fn pair(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (RawOrigin, Proxy) {
    let origin = RawOrigin::start(move |_| reply()).await;
    let proxy = Proxy::start(&one_route(&bucket_at(origin.address)));
    (origin, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_frames_ends_its_connection_and_no_other() {
    let origin = RawOrigin::start(|request| match request.line().contains("/silent") {
        true => Reply::Silent,
        false => ok("x"),
    })
    .await;
    let proxy = Proxy::start(&one_route(&bucket_at(origin.address)));
    for (name, one, at_least) in [
        ("ping", frame(PING, 0, 0, &[0; 8]), 400 * 1024),
        ("settings", frame(SETTINGS, 0, 0, &[]), 400 * 1024),
        ("priority", frame(2, 0, 1, &[0, 0, 0, 0, 1]), 400 * 1024),
        (
            "window update",
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
            400 * 1024,
        ),
        (
            "a kind of its own",
            frame(0xfa, 0, 0, &[0; 100]),
            400 * 1024,
        ),
        // h2 itself ends the connection after a hundred of these.
        ("empty data", frame(DATA, 0, 1, &[]), 900),
    ] {
        let mut client = Raw::connect(&proxy, 65_535).await;
        // The stream stays open, because the origin does not answer; the frames below may belong to it.
        client.open("PUT", 1, "/silent").await;
        let many = one.repeat(64 * 1024 / one.len());
        let mut sent = 0;
        for round in 0_u64.. {
            assert!(sent < 64 << 20, "{name}: not cut off");
            client.send_all(&many).await;
            sent += many.len();
            // Waiting for each PING keeps client and proxy in step: no GOAWAY is lost to a reset.
            let mark = (!round).to_be_bytes();
            client.send_all(&frame(PING, 0, 0, &mark)).await;
            let reply = client
                .until(|frame| frame.kind == GOAWAY || frame.payload == mark)
                .await;
            if reply.kind == GOAWAY {
                assert_eq!(reply.payload[4..8], CALM, "{name}");
                break;
            }
        }
        assert!(sent >= at_least, "{name}: cut off after {sent} bytes");
        assert_eq!(status(&proxy.get("x", "/k").await), 200, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_small_bodies_do_not_make_room_for_a_flood() {
    let (_origin, proxy) = pair(|| ok("x")).await;
    for method in ["GET", "PUT"] {
        let mut client = Raw::connect(&proxy, 65_535).await;
        client
            .until(|frame| frame.kind == WINDOW_UPDATE && frame.stream == 0)
            .await;
        let flood = frame(PING, 0, 0, &[0; 8]).repeat(4000);
        let flooding = async {
            for round in 0..1000 {
                let stream = 2 * round + 1;
                if method == "GET" {
                    client.get(stream, "/k", &[]).await;
                } else {
                    client.open("PUT", stream, "/k").await;
                    client.send_all(&frame(DATA, 1, stream, b"x")).await;
                }
                client.send_all(&flood).await;
                // Reading up to the answer empties the socket.
                loop {
                    match client.next().await {
                        None => return round,
                        Some(frame) if frame.kind == HEADERS => break,
                        Some(_) => {}
                    }
                }
            }
            1000
        };
        let rounds = tokio::time::timeout(Duration::from_secs(60), flooding).await;
        let rounds = rounds.expect("the flood ends");
        assert!(rounds < 200, "{method}: {rounds} times 68 KB");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_opens_its_windows_one_kib_at_a_time_gets_the_whole_body() {
    const LENGTH: usize = 40_000_000;
    let (_origin, proxy) = pair(|| ok(&"x".repeat(LENGTH))).await;
    let mut client = Raw::connect(&proxy, 65_535).await;
    client.get(1, "/k", &[]).await;
    let mut came = 0;
    while came < LENGTH {
        let Frame { payload, .. } = client.until(|frame| frame.kind == DATA).await;
        came += payload.len();
        let mut updates = Vec::new();
        for length in payload.chunks(1024).map(<[u8]>::len) {
            let length = u32::try_from(length).unwrap().to_be_bytes();
            updates.extend_from_slice(&frame(WINDOW_UPDATE, 0, 0, &length));
            updates.extend_from_slice(&frame(WINDOW_UPDATE, 0, 1, &length));
        }
        client.send_all(&updates).await;
    }
    assert_eq!(came, LENGTH);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_frames_of_ten_bytes_arrives() {
    let (origin, proxy) = pair(|| ok("")).await;
    let mut client = Raw::connect(&proxy, 65_535).await;
    client.open("PUT", 1, "/k").await;
    let piece = frame(DATA, 0, 1, &[b'y'; 10]);
    for _ in 0..400 {
        client.send_all(&piece.repeat(100)).await;
        // Waiting for the PING keeps the client in step: h2 buffers few frames of this size.
        client.send_all(&frame(PING, 0, 0, &[0; 8])).await;
        client.until(|frame| frame.kind == PING).await;
    }
    client.send_all(&frame(DATA, 1, 1, &[])).await;
    client.until(|frame| frame.kind == HEADERS).await;
    // The body arrives in chunks, because the request has no Content-Length.
    let body = &origin.received()[0].body;
    assert_eq!(body.iter().filter(|byte| **byte == b'y').count(), 400_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_refused_in_flight_each_get_their_answer() {
    let origin = RawOrigin::start(|_| ok("")).await;
    let route = bucket_at(origin.address) + "\nguard = { preset = \"read-only\" }";
    let proxy = Proxy::start(&one_route(&route));
    let mut client = Raw::connect(&proxy, 65_535).await;
    // Until this update the windows have the default size of the protocol.
    client
        .until(|frame| frame.kind == WINDOW_UPDATE && frame.stream == 0)
        .await;
    // The client acknowledges the settings.
    client.send_all(&frame(SETTINGS, 1, 0, &[])).await;
    for stream in (1..12).step_by(2) {
        client.open("PUT", stream, "/k").await;
        let piece = frame(DATA, 0, stream, &[b'y'; 10_000]);
        client.send_all(&piece.repeat(30)).await;
        client
            .until(|frame| frame.kind == HEADERS && frame.stream == stream)
            .await;
    }
    assert!(origin.received().is_empty());
    assert_eq!(proxy.stop().len(), 6);
}
