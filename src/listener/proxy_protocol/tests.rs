use super::*;

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend_from_slice(&[command, family]);
    bytes.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn extension(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(value);
    bytes
}

const V4: [u8; 12] = [198, 51, 100, 7, 10, 0, 0, 1, 0xc8, 0x22, 0x01, 0xbb];

fn client(header: Result<Header, HeaderError>) -> Option<IpAddr> {
    header.unwrap().client
}

#[test]
fn version_1_lines() {
    let ip = |text: &str| Some(text.parse().unwrap());
    for (line, expected) in [
        (
            "PROXY TCP4 198.51.100.7 10.0.0.1 51234 443\r\n",
            ip("198.51.100.7"),
        ),
        ("PROXY TCP6 2001:db8::7 ::1 1 65535\r\n", ip("2001:db8::7")),
        (
            "PROXY TCP6 ::ffff:198.51.100.7 ::1 1 2\r\n",
            ip("198.51.100.7"),
        ),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN 198.51.100.7 what ever\r\n", None),
    ] {
        assert_eq!(client(parse_v1(line.as_bytes())), expected, "{line}");
    }
    for line in [
        "PROXY TCP4 198.51.100.7 10.0.0.1 51234 443\n",
        "PROXY  TCP4 198.51.100.7 10.0.0.1 51234 443\r\n",
        "PROXY TCP4 198.51.100.7 10.0.0.1 51234 443 \r\n",
        "PROXY TCP4 198.51.100.7 10.0.0.1 51234\r\n",
        "PROXY TCP4 198.51.100.7 10.0.0.1 +1 443\r\n",
        "PROXY TCP4 198.51.100.7 10.0.0.1 51234 65536\r\n",
        "PROXY TCP4 2001:db8::7 10.0.0.1 1 2\r\n",
        "PROXY TCP4 198.51.100.7, 10.0.0.1 1 2\r\n",
        "PROXY TCP4 0198.51.100.7 10.0.0.1 1 2\r\n",
        "PROXY UDP4 198.51.100.7 10.0.0.1 1 2\r\n",
        "PROXY \r\n",
        "proxy TCP4 198.51.100.7 10.0.0.1 1 2\r\n",
    ] {
        assert!(parse_v1(line.as_bytes()).is_err(), "{line}");
    }
}

#[test]
fn version_2_commands_and_families() {
    let ip = Some("198.51.100.7".parse().unwrap());
    let mut v6 = [0; 36];
    v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    v6[15] = 7;
    for (bytes, expected) in [
        (v2(0x21, 0x11, &V4), ip),
        (v2(0x21, 0x21, &v6), Some("2001:db8::7".parse().unwrap())),
        (v2(0x20, 0x11, &V4), None),
        (v2(0x20, 0x00, &[]), None),
        (v2(0x20, 0xf0, &[1, 2, 3]), None),
        (v2(0x21, 0x00, &[]), None),
        (v2(0x21, 0x31, &[0; 216]), None),
    ] {
        assert_eq!(client(parse_v2(&bytes)), expected, "{bytes:x?}");
    }
    for bytes in [
        v2(0x11, 0x11, &V4),
        v2(0x22, 0x11, &V4),
        v2(0x21, 0x12, &V4),
        v2(0x21, 0x41, &V4),
        v2(0x21, 0x11, &V4[..11]),
        v2(0x21, 0x11, &[&V4[..], &[0xe1, 0]].concat()),
        v2(0x21, 0x11, &[&V4[..], &[0xe1, 0, 9, 1]].concat()),
        v2(0x21, 0x11, &V4)[..20].to_vec(),
    ] {
        assert!(parse_v2(&bytes).is_err(), "{bytes:x?}");
    }
}

#[test]
fn extensions_carry_the_vpc_the_endpoint_and_a_checksum() {
    let body = [
        &V4[..],
        &extension(0xe1, b"\x01vpc-2ze1"),
        &extension(0xe1, b"\x02ep-bp1"),
        &extension(0xe1, b"\x03epsrv-1"),
        &extension(0x04, &[0; 5]),
    ]
    .concat();
    let header = parse_v2(&v2(0x21, 0x11, &body)).unwrap();
    assert_eq!(header.vpc_id.as_deref(), Some("vpc-2ze1"));
    assert_eq!(header.endpoint_id.as_deref(), Some("ep-bp1"));
    for id in [
        &b"\x01"[..],
        b"\x01a b",
        b"\x01\"\n",
        &[&[1][..], &[b'a'; 65]].concat(),
    ] {
        let body = [&V4[..], &extension(0xe1, id)].concat();
        assert_eq!(parse_v2(&v2(0x21, 0x11, &body)).unwrap().vpc_id, None);
    }
    let mut summed = v2(0x21, 0x11, &[&V4[..], &extension(0x03, &[0; 4])].concat());
    let sum = u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, &summed)).unwrap();
    let at = summed.len() - 4;
    summed[at..].copy_from_slice(&sum.to_be_bytes());
    assert!(parse_v2(&summed).is_ok());
    summed[16] ^= 1;
    assert!(parse_v2(&summed).is_err());
}

/// The check value of CRC-32C (RFC 3720, appendix B.4).
#[test]
fn the_checksum_is_crc32c() {
    assert_eq!(checksum(CrcAlgorithm::Crc32Iscsi, &[0; 32]), 0x8a91_36aa);
}

#[tokio::test]
async fn nothing_behind_the_header_is_read() {
    for header in [
        v2(0x21, 0x11, &V4),
        b"PROXY TCP4 198.51.100.7 10.0.0.1 51234 443\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
    ] {
        let bytes = [&header[..], b"rest"].concat();
        let mut io = &bytes[..];
        read(&mut io, ProxyProtocol::Any).await.unwrap();
        assert_eq!(io, b"rest");
    }
}

#[tokio::test]
async fn only_the_allowed_version_and_no_endless_header_is_read() {
    let one = b"PROXY TCP4 198.51.100.7 10.0.0.1 51234 443\r\n".to_vec();
    let two = v2(0x21, 0x11, &V4);
    let extended = v2(
        0x21,
        0x11,
        &[&V4[..], &extension(0x04, &[7; 4093])].concat(),
    );
    let long = v2(0x21, 0x11, &[0; 4313]);
    let endless = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
    for (bytes, allowed, expected) in [
        (&one, ProxyProtocol::V1, true),
        (&one, ProxyProtocol::V2, false),
        (&two, ProxyProtocol::V2, true),
        (&two, ProxyProtocol::V1, false),
        (&extended, ProxyProtocol::Any, true),
        (&long, ProxyProtocol::Any, false),
        (&endless, ProxyProtocol::Any, false),
        (
            &b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            ProxyProtocol::Any,
            false,
        ),
        (&b"PROX".to_vec(), ProxyProtocol::Any, false),
    ] {
        let found = read(&mut &bytes[..], allowed).await;
        assert_eq!(found.is_ok(), expected, "{bytes:x?} {found:?}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_parsed_or_are_an_error(
        tail in proptest::collection::vec(proptest::num::u8::ANY, 0..80),
        family in proptest::num::u8::ANY,
    ) {
        drop(parse_v1(&tail));
        drop(parse_v1(&[b"PROXY ", &tail[..], b"\r\n"].concat()));
        drop(parse_v2(&tail));
        let header = parse_v2(&v2(0x21, family, &tail));
        if let Ok(Header { client: Some(client), .. }) = header {
            proptest::prop_assert!(family == 0x11 || family == 0x21, "{client}");
        }
    }
}
