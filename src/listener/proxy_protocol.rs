//! The PROXY protocol, versions 1 and 2, by which a load balancer reports the address of its client.
//!
//! The format is that of HAProxy's `proxy-protocol.txt`. Alibaba Cloud's load balancers NLB and CLB send
//! version 2. The caller reads a header only from trusted proxies (`handshake`). The size of a header is
//! bounded. No byte after the header is read, because the next byte belongs to TLS or HTTP. Anything other
//! than a valid header is an error: the address of the client is then unknown, and the connection cannot
//! be served.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crc_fast::{CrcAlgorithm, checksum};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::config::ProxyProtocol;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The maximum length of a version 1 header, line end included (section 2.1 of `proxy-protocol.txt`).
const LONGEST_V1: usize = 107;
/// The maximum length of a version 2 header: the fixed part, at most 216 bytes of addresses, and
/// extensions of up to 4 KiB. The extensions of Alibaba Cloud, with a checksum, take about 100 bytes.
/// Other load balancers also pass on a client certificate, which takes more.
const LONGEST_V2: usize = FIXED_V2 + 216 + 4096;
/// The length of the fixed part of a version 2 header.
const FIXED_V2: usize = 16;

const TYPE_CRC32C: u8 = 0x03;
/// The extension type of Alibaba Cloud. The first byte of its value is a subtype (PrivateLink
/// documentation, "Get real client information").
const TYPE_ALIBABA: u8 = 0xe1;
const SUBTYPE_VPC: u8 = 0x01;
const SUBTYPE_ENDPOINT: u8 = 0x02;

/// The content of a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The client's address. `None` when the load balancer opened the connection for itself (command
    /// LOCAL, as for a health check), or when the header has no IP address (`UNKNOWN`, other address
    /// families).
    pub client: Option<IpAddr>,
    /// The id of the client's VPC.
    pub vpc_id: Option<Box<str>>,
    /// The id of the PrivateLink endpoint through which the client connects.
    pub endpoint_id: Option<Box<str>>,
}

/// The reason why a header could not be read.
#[derive(Debug)]
pub enum HeaderError {
    /// The connection ended or failed before the end of the header.
    Ended(io::Error),
    /// The bytes are not a header of an allowed version.
    Missing,
    /// The bytes begin like a header, but the named part is invalid.
    Malformed(&'static str),
    /// The header is longer than the limit of its version.
    TooLong,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(error) => write!(f, "ended inside the PROXY header: {error}"),
            Self::Missing => f.write_str("no PROXY header of an allowed version"),
            Self::Malformed(what) => write!(f, "malformed PROXY header: {what}"),
            Self::TooLong => f.write_str("PROXY header too long"),
        }
    }
}

impl std::error::Error for HeaderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Ended(error) => Some(error),
            Self::Missing | Self::Malformed(_) | Self::TooLong => None,
        }
    }
}

/// Whether the first bytes of a connection are a PROXY header of either version, as far as they have arrived.
pub(super) fn begins_like_header(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PROXY ") || bytes.starts_with(SIGNATURE)
}

/// Reads the header of a connection, and no byte after it. Not cancel-safe: when the future is dropped,
/// the connection must be closed.
///
/// # Errors
///
/// Any [`HeaderError`].
pub async fn read(
    io: &mut (impl AsyncRead + Unpin),
    allowed: ProxyProtocol,
) -> Result<Header, HeaderError> {
    let mut bytes = vec![0; SIGNATURE.len()];
    io.read_exact(&mut bytes)
        .await
        .map_err(HeaderError::Ended)?;
    let has = |version| allowed == version || allowed == ProxyProtocol::Any;
    if bytes == SIGNATURE && has(ProxyProtocol::V2) {
        bytes.resize(FIXED_V2, 0);
        let fixed = bytes.get_mut(SIGNATURE.len()..).unwrap_or_default();
        io.read_exact(fixed).await.map_err(HeaderError::Ended)?;
        let length = FIXED_V2 + usize::from(be16(&bytes, 14));
        if length > LONGEST_V2 {
            return Err(HeaderError::TooLong);
        }
        bytes.resize(length, 0);
        let rest = bytes.get_mut(FIXED_V2..).unwrap_or_default();
        io.read_exact(rest).await.map_err(HeaderError::Ended)?;
        return parse_v2(&bytes);
    }
    if bytes.starts_with(b"PROXY ") && has(ProxyProtocol::V1) {
        // Reads byte by byte, because the length of a version 1 header is not known in advance.
        while !bytes.ends_with(b"\n") {
            if bytes.len() >= LONGEST_V1 {
                return Err(HeaderError::TooLong);
            }
            bytes.push(io.read_u8().await.map_err(HeaderError::Ended)?);
        }
        return parse_v1(&bytes);
    }
    Err(HeaderError::Missing)
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    match bytes.get(at..at + 2) {
        Some([high, low]) => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

/// Parses a whole header of version 1, including its line end.
///
/// # Errors
///
/// [`HeaderError::Malformed`].
pub fn parse_v1(bytes: &[u8]) -> Result<Header, HeaderError> {
    let malformed = HeaderError::Malformed;
    let line = bytes
        .strip_suffix(b"\r\n")
        .and_then(|line| std::str::from_utf8(line).ok())
        .and_then(|line| line.strip_prefix("PROXY "))
        .ok_or(malformed("no line of text"))?;
    let mut words = line.split(' ');
    let is_v4 = match words.next() {
        Some("TCP4") => true,
        Some("TCP6") => false,
        // The rest of an `UNKNOWN` line must be ignored.
        Some("UNKNOWN") => return Ok(Header::default()),
        _ => return Err(malformed("unknown protocol")),
    };
    let mut address = || {
        let word = words.next()?;
        if is_v4 {
            word.parse().ok().map(IpAddr::V4)
        } else {
            word.parse().ok().map(IpAddr::V6)
        }
    };
    let (client, server) = (address(), address());
    let client = client.ok_or(malformed("source address"))?;
    server.ok_or(malformed("destination address"))?;
    for _ in 0..2 {
        let port = words.next().unwrap_or_default();
        // `parse` would accept a plus sign.
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || port.parse::<u16>().is_err() {
            return Err(malformed("port"));
        }
    }
    if words.next().is_some() {
        return Err(malformed("more than two ports"));
    }
    Ok(Header {
        client: Some(client.to_canonical()),
        ..Header::default()
    })
}

/// Parses a whole header of version 2.
///
/// # Errors
///
/// [`HeaderError::Malformed`].
pub fn parse_v2(bytes: &[u8]) -> Result<Header, HeaderError> {
    let malformed = HeaderError::Malformed;
    if !bytes.starts_with(SIGNATURE) || bytes.len() != FIXED_V2 + usize::from(be16(bytes, 14)) {
        return Err(malformed("signature or length"));
    }
    let is_local = match bytes.get(12) {
        Some(0x20) => true,
        Some(0x21) => false,
        _ => return Err(malformed("version or command")),
    };
    let addresses = match bytes.get(13).map(|family| family >> 4) {
        Some(0) => 0,
        Some(1) => 12,
        Some(2) => 36,
        Some(3) => 216,
        // The addresses of a LOCAL header must be ignored, whatever their family.
        _ if is_local => 0,
        _ => return Err(malformed("address family")),
    };
    let block = bytes.get(FIXED_V2..FIXED_V2 + addresses);
    if is_local {
        return Ok(Header::default());
    }
    let block = block.ok_or(malformed("address block"))?;
    let client = match bytes.get(13) {
        Some(0x11) => block
            .first_chunk::<4>()
            .map(|ip| Ipv4Addr::from(*ip).into()),
        Some(0x21) => block
            .first_chunk::<16>()
            .map(|ip| IpAddr::from(Ipv6Addr::from(*ip)).to_canonical()),
        // UNSPEC and unix sockets have no IP address. Datagram transports cannot occur on a connection.
        Some(0x00 | 0x31) => None,
        _ => return Err(malformed("transport")),
    };
    let mut header = Header {
        client,
        ..Header::default()
    };
    let mut at = FIXED_V2 + addresses;
    while at < bytes.len() {
        let end = at + 3 + usize::from(be16(bytes, at + 1));
        let (Some(kind), Some(value)) = (bytes.get(at), bytes.get(at + 3..end)) else {
            return Err(malformed("extension"));
        };
        match (*kind, value) {
            (TYPE_CRC32C, [a, b, c, d]) => {
                let mut zeroed = bytes.to_vec();
                zeroed.get_mut(at + 3..end).unwrap_or_default().fill(0);
                let sum = checksum(CrcAlgorithm::Crc32Iscsi, &zeroed);
                if sum != u64::from(u32::from_be_bytes([*a, *b, *c, *d])) {
                    return Err(malformed("checksum"));
                }
            }
            (TYPE_CRC32C, _) => return Err(malformed("checksum")),
            (TYPE_ALIBABA, [SUBTYPE_VPC, id @ ..]) => header.vpc_id = name(id),
            (TYPE_ALIBABA, [SUBTYPE_ENDPOINT, id @ ..]) => header.endpoint_id = name(id),
            _ => {}
        }
        at = end;
    }
    Ok(header)
}

/// Returns an id as text, or `None` when the id is empty, longer than 64 bytes, or not printable ASCII.
fn name(id: &[u8]) -> Option<Box<str>> {
    let is_text = !id.is_empty() && id.len() <= 64 && id.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(id)
        .ok()
        .filter(|_| is_text)
        .map(Into::into)
}

#[cfg(test)]
mod tests;
