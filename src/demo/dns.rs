//! A DNS server on loopback that answers every question from one script.
//!
//! It speaks UDP and TCP on the same port and knows no zones: the script's addresses are the answer
//! to every name that has no script of its own, A records for IPv4 and AAAA records for IPv6. The
//! codec is hickory's.

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

/// What every question is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These addresses, as far as they fit the question's type.
    Addresses {
        /// IPv4 and IPv6 addresses, in the order they are answered.
        ips: Vec<IpAddr>,
        /// Time to live of each record, in seconds.
        ttl: u32,
    },
    /// The name does not exist.
    NxDomain,
    /// The server failed.
    ServFail,
    /// The name exists and has no such record.
    Empty,
    /// No answer at all, so that the asker's timeout ends the question.
    Silent,
}

/// The running server. Dropping it closes its sockets.
#[derive(Debug)]
pub struct Dns {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    answer: Mutex<Answer>,
    /// Answers of single names, lower case.
    names: Mutex<HashMap<String, Answer>>,
    queries: AtomicU64,
}

impl Dns {
    /// Listens on `address`; port 0 takes a free one, the same for UDP and TCP.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            answer: Mutex::new(Answer::Empty),
            names: Mutex::default(),
            queries: AtomicU64::new(0),
        });
        let (udp, tcp) = bind_both(address).await?;
        let address = tcp.local_addr()?;
        let tasks = vec![
            tokio::spawn(serve_udp(udp, Arc::clone(&shared))),
            tokio::spawn(serve_tcp(tcp, Arc::clone(&shared))),
        ];
        Ok(Self {
            address,
            shared,
            tasks,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers with `answer` from now on.
    pub fn set(&self, answer: Answer) {
        *self.shared.answer() = answer;
    }

    /// Answers questions about `name` with `answer` from now on.
    pub fn set_for(&self, name: &str, answer: Answer) {
        self.shared.names().insert(name.to_lowercase(), answer);
    }

    /// How many questions were received.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.shared.queries.load(Ordering::Relaxed)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn answer(&self) -> MutexGuard<'_, Answer> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, Answer>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer_for(&self, question: &Message) -> Answer {
        let name = question
            .queries
            .first()
            .map(|query| query.name().to_lowercase().to_ascii());
        let own = name.and_then(|name| self.names().get(name.trim_end_matches('.')).cloned());
        own.unwrap_or_else(|| self.answer().clone())
    }

    /// The answer to one message; `None` when nothing is to be sent.
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
            Answer::Silent => return None,
            Answer::NxDomain => reply.metadata.response_code = ResponseCode::NXDomain,
            Answer::ServFail => reply.metadata.response_code = ResponseCode::ServFail,
            Answer::Empty => {}
            Answer::Addresses { ips, ttl } => {
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

/// UDP and TCP sockets of one port. A free UDP port may be taken for TCP, so a few are tried.
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

async fn serve_udp(socket: UdpSocket, shared: Arc<Shared>) {
    let mut buffer = [0_u8; 4096];
    loop {
        // An error on a UDP socket is about an earlier datagram's destination, not about this one.
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        if let Some(reply) = buffer.get(..length).and_then(|bytes| shared.reply(bytes)) {
            drop(socket.send_to(&reply, peer).await);
        }
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    let mut streams = tokio::task::JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            streams.spawn(async move {
                // The peer's end of the connection is an error too, and no news.
                drop(serve_stream(stream, &shared).await);
            });
            while streams.try_join_next().is_some() {}
        } else {
            tokio::task::yield_now().await;
        }
    }
}

async fn serve_stream(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut message = vec![0; usize::from(length)];
        stream.read_exact(&mut message).await?;
        if let Some(reply) = shared.reply(&message)
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
    async fn answers_the_script_on_udp_and_tcp() {
        let dns = Dns::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        dns.set(Answer::Addresses {
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
        let asked = question(RecordType::A);
        stream
            .write_u16(u16::try_from(asked.len()).unwrap())
            .await
            .unwrap();
        stream.write_all(&asked).await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut reply = vec![0; usize::from(length)];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(Message::from_vec(&reply).unwrap().answers.len(), 1);
        assert_eq!(dns.queries(), 4);
    }

    #[tokio::test]
    async fn failures_are_scripted_too() {
        let dns = Dns::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        for (answer, code) in [
            (Answer::NxDomain, ResponseCode::NXDomain),
            (Answer::ServFail, ResponseCode::ServFail),
            (Answer::Empty, ResponseCode::NoError),
        ] {
            dns.set(answer);
            let reply = ask_udp(&dns, RecordType::A).await;
            assert_eq!(reply.metadata.response_code, code);
            assert!(reply.answers.is_empty());
        }
        dns.set(Answer::Silent);
        assert!(dns.shared.reply(&question(RecordType::A)).is_none());
        assert!(dns.shared.reply(b"not dns").is_none());
    }
}
