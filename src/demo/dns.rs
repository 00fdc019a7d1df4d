//! A DNS server on loopback with scripted answers.
//!
//! The server listens on UDP and TCP, on the same port. It has no zones. A scripted answer applies to one
//! name; every other name gets the common answer. IPv4 addresses are returned as A records, and IPv6
//! addresses as AAAA records. hickory encodes and decodes the messages.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hickory_resolver::proto::op::{Message, MessageType, Metadata, OpCode, ResponseCode};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

/// A scripted answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsAnswer {
    /// The addresses of `ips` that match the query type (A or AAAA).
    Addresses {
        /// The IPv4 and IPv6 addresses, in the order in which they are sent.
        ips: Vec<IpAddr>,
        /// The time to live of each record, in seconds.
        ttl: u32,
    },
    /// NXDOMAIN: the name does not exist.
    NxDomain,
    /// SERVFAIL: the server failed.
    ServFail,
    /// NOERROR without records: the name exists, but has no record of the query type.
    Empty,
    /// The server sends nothing, so the client's query times out.
    Silent,
}

/// A running DNS server. Dropping it closes its sockets.
#[derive(Debug)]
pub struct Dns {
    address: SocketAddr,
    state: Arc<DnsState>,
    tasks: Vec<JoinHandle<()>>,
}

/// The answers and the query counter.
#[derive(Debug)]
struct DnsState {
    answer: Mutex<DnsAnswer>,
    /// The scripted answers of single names. The names are in lower case.
    names: Mutex<HashMap<String, DnsAnswer>>,
    queries: AtomicU64,
}

impl Dns {
    /// Listens on `address`. At first the common answer is [`DnsAnswer::Empty`]. Port 0 selects a free port,
    /// the same one for UDP and TCP.
    ///
    /// # Errors
    ///
    /// The OS error if the address cannot be bound.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let state = Arc::new(DnsState {
            answer: Mutex::new(DnsAnswer::Empty),
            names: Mutex::default(),
            queries: AtomicU64::new(0),
        });
        let (udp, tcp) = bind_both(address).await?;
        let address = tcp.local_addr()?;
        let tasks = vec![
            tokio::spawn(serve_udp(udp, Arc::clone(&state))),
            tokio::spawn(serve_tcp(tcp, Arc::clone(&state))),
        ];
        Ok(Self {
            address,
            state,
            tasks,
        })
    }

    /// Returns the address that the server listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Sets the common answer, which every name without a scripted answer gets.
    pub fn set(&self, answer: DnsAnswer) {
        *self.state.answer() = answer;
    }

    /// Sets the scripted answer of `name`.
    pub fn set_for(&self, name: &str, answer: DnsAnswer) {
        self.state.names().insert(name.to_lowercase(), answer);
    }

    /// Returns the number of queries received.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.state.queries.load(Ordering::Relaxed)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl DnsState {
    fn answer(&self) -> MutexGuard<'_, DnsAnswer> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, DnsAnswer>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer_for(&self, question: &Message) -> DnsAnswer {
        let name = question
            .queries
            .first()
            .map(|query| query.name().to_lowercase().to_ascii());
        let own = name.and_then(|name| self.names().get(name.trim_end_matches('.')).cloned());
        own.unwrap_or_else(|| self.answer().clone())
    }

    /// Returns the reply to `message`, or `None` if the server must send nothing.
    fn reply(&self, message: &[u8]) -> Option<Vec<u8>> {
        let question = Message::from_vec(message).ok()?;
        if question.metadata.message_type != MessageType::Query {
            return None;
        }
        self.queries.fetch_add(1, Ordering::Relaxed);
        let mut reply = Message::response(question.metadata.id, OpCode::Query);
        reply.metadata = Metadata::response_from_request(&question.metadata);
        reply.metadata.recursion_available = true;
        reply.add_queries(question.queries.iter().cloned());
        match self.answer_for(&question) {
            DnsAnswer::Silent => return None,
            DnsAnswer::NxDomain => reply.metadata.response_code = ResponseCode::NXDomain,
            DnsAnswer::ServFail => reply.metadata.response_code = ResponseCode::ServFail,
            DnsAnswer::Empty => {}
            DnsAnswer::Addresses { ips, ttl } => {
                let asked = question.queries.first()?;
                for ip in ips {
                    let (kind, data) = match ip {
                        IpAddr::V4(ip) => (RecordType::A, RData::A(ip.into())),
                        IpAddr::V6(ip) => (RecordType::AAAA, RData::AAAA(ip.into())),
                    };
                    if asked.query_type() == kind {
                        reply.add_answer(Record::from_rdata(asked.name().clone(), ttl, data));
                    }
                }
            }
        }
        reply.to_vec().ok()
    }
}

/// Binds a UDP and a TCP socket to the same port. A port that is free for UDP can be in use for TCP.
/// Therefore, if `address` has port 0, up to nine free ports are tried.
async fn bind_both(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut attempts_left = 8_u8;
    loop {
        let udp = UdpSocket::bind(address).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(_) if address.port() == 0 && attempts_left > 0 => attempts_left -= 1,
            Err(error) => return Err(error),
        }
    }
}

async fn serve_udp(socket: UdpSocket, state: Arc<DnsState>) {
    let mut buffer = [0_u8; 4096];
    loop {
        // An error of `recv_from` concerns an earlier reply that could not be delivered. The server continues.
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        if let Some(reply) = buffer.get(..length).and_then(|bytes| state.reply(bytes)) {
            drop(socket.send_to(&reply, peer).await);
        }
    }
}

async fn serve_tcp(listener: TcpListener, state: Arc<DnsState>) {
    let mut streams = tokio::task::JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let state = Arc::clone(&state);
            streams.spawn(async move {
                // The result is ignored: when the peer closes the connection, the next read fails.
                drop(serve_stream(stream, &state).await);
            });
            while streams.try_join_next().is_some() {}
        } else {
            tokio::task::yield_now().await;
        }
    }
}

async fn serve_stream(mut stream: TcpStream, state: &DnsState) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut message = vec![0; usize::from(length)];
        stream.read_exact(&mut message).await?;
        if let Some(reply) = state.reply(&message)
            && let Ok(length) = u16::try_from(reply.len())
        {
            stream.write_u16(length).await?;
            stream.write_all(&reply).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::op::Query;
    use hickory_resolver::proto::rr::Name;

    use super::*;

    fn question(kind: RecordType) -> Vec<u8> {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(
            Name::from_ascii("b.oss.example.com.").unwrap(),
            kind,
        ));
        message.to_vec().unwrap()
    }

    async fn ask_udp(dns: &Dns, kind: RecordType) -> Message {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(&question(kind), dns.addr()).await.unwrap();
        let mut buffer = [0; 4096];
        let (length, _) = socket.recv_from(&mut buffer).await.unwrap();
        Message::from_vec(&buffer[..length]).unwrap()
    }

    #[tokio::test]
    async fn scripted_addresses_are_answered_over_udp_and_tcp() {
        let dns = Dns::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        dns.set(DnsAnswer::Addresses {
            ips: vec!["127.0.0.9".parse().unwrap(), "::1".parse().unwrap()],
            ttl: 3,
        });
        let v4 = ask_udp(&dns, RecordType::A).await;
        assert_eq!(v4.metadata.id, 7);
        assert_eq!(v4.answers.len(), 1);
        assert_eq!(v4.answers[0].ttl, 3);
        assert_eq!(ask_udp(&dns, RecordType::AAAA).await.answers.len(), 1);
        assert_eq!(ask_udp(&dns, RecordType::MX).await.answers.len(), 0);

        let mut stream = TcpStream::connect(dns.addr()).await.unwrap();
        let query = question(RecordType::A);
        stream
            .write_u16(u16::try_from(query.len()).unwrap())
            .await
            .unwrap();
        stream.write_all(&query).await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut reply = vec![0; usize::from(length)];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(Message::from_vec(&reply).unwrap().answers.len(), 1);
        assert_eq!(dns.queries(), 4);
    }

    #[tokio::test]
    async fn failures_are_answered_as_scripted() {
        let dns = Dns::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        for (answer, code) in [
            (DnsAnswer::NxDomain, ResponseCode::NXDomain),
            (DnsAnswer::ServFail, ResponseCode::ServFail),
            (DnsAnswer::Empty, ResponseCode::NoError),
        ] {
            dns.set(answer);
            let reply = ask_udp(&dns, RecordType::A).await;
            assert_eq!(reply.metadata.response_code, code);
            assert!(reply.answers.is_empty());
        }
        dns.set(DnsAnswer::Silent);
        assert!(dns.state.reply(&question(RecordType::A)).is_none());
        assert!(dns.state.reply(b"not dns").is_none());
    }
}
