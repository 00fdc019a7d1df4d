//! An imported nginx file in a real nginx and in ossgate, in front of one origin that responds like OSS.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ossgate::cli::import::{Losses, Source, import};
use ossgate::demo::dns::{Dns, DnsAnswer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

use super::certificates::leaf;
use super::client_at;
use super::nginx::Nginx;
use super::origin::{RawOrigin, Received, Reply};
use super::proxy::{Proxy, status};

pub(crate) const INTERNAL: &str = "oss-cn-hangzhou-internal.aliyuncs.com";
pub(crate) const PUBLIC: &str = "oss-cn-hangzhou.aliyuncs.com";
pub(crate) const BUCKETS: [&str; 3] = ["examplebucket", "bucket-a", "bucket-b"];

/// The objects of each bucket.
pub(crate) const OBJECTS: [&str; 20] = [
    "a.jpg",
    "a.png",
    "a b.jpg",
    "a.sql",
    "index.html",
    "404.html",
    "img/a.jpg",
    "imgx",
    "ro/a.jpg",
    "pub/a.jpg",
    "b/a.jpg",
    "open/a.jpg",
    "nested/a.jpg",
    "partner/a.jpg",
    "private/a.jpg",
    "logs/a.jpg",
    "public/a.jpg",
    "secret.txt",
    ".git",
    "bucket-a/a.jpg",
];

/// The result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The response is a success. The text is the object, or empty for a preflight.
    Served(String),
    Redirected,
    Refused,
}

/// Responds like OSS: with an object, with 404, or to an operation on a bucket.
pub(crate) fn oss(request: &Received) -> Reply {
    let line = request.line();
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let host = request.header("host").first().cloned().unwrap_or_default();
    let host = String::from_utf8(host).unwrap();
    let bucket = host.split('.').next().unwrap();
    let bucket = Some(bucket).filter(|bucket| BUCKETS.contains(bucket));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let key = percent_encoding::percent_decode_str(&path[1..])
        .decode_utf8()
        .unwrap();
    let is_stored = matches!(method, "PUT" | "POST") || query == "policy";
    let (code, text) = match bucket {
        Some(bucket) if is_stored || OBJECTS.contains(&&*key) => {
            ("200 OK", format!("{method} {bucket}/{key}"))
        }
        _ => ("404 Not Found", "NoSuchKey".to_owned()),
    };
    let body = if method == "HEAD" { "" } else { text.as_str() };
    let head = format!(
        "HTTP/1.1 {code}\r\nx-object: {text}\r\ncontent-length: {}\r\n\r\n{body}",
        text.len()
    );
    Reply::Close(head.into_bytes())
}

/// Returns the hosts of OSS in the files.
pub(crate) fn hosts() -> Vec<String> {
    let mut hosts = Vec::new();
    for endpoint in [INTERNAL, PUBLIC] {
        hosts.push(endpoint.to_owned());
        let buckets = BUCKETS.iter().chain(&["other"]);
        hosts.extend(buckets.map(|bucket| format!("{bucket}.{endpoint}")));
    }
    hosts
}

/// The origin, its name server and the certificate, for all files.
pub(crate) struct World {
    pub(crate) origin: RawOrigin,
    dns: Dns,
    certificates: String,
}

impl World {
    /// Starts an origin that responds with `answer`.
    pub(crate) async fn start(answer: fn(&Received) -> Reply) -> Self {
        let dns = Dns::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        dns.set(DnsAnswer::Addresses {
            ips: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            ttl: 60,
        });
        let leaf = leaf(&["img.example.com", "closed.example.com"]);
        Self {
            origin: RawOrigin::start(answer).await,
            dns,
            certificates: leaf.cert.parent().unwrap().display().to_string(),
        }
    }

    /// Returns the text of an nginx file, with the paths of the certificate.
    pub(crate) fn with_certificate(&self, text: &str) -> String {
        text.replace("/etc/nginx/ssl", &self.certificates)
    }

    /// Starts ossgate with an imported config on free ports, with the addresses of the origin. Returns it with
    /// the number of the listener for port 80.
    pub(crate) fn ossgate(&self, config: &str) -> (Proxy, usize) {
        let port = self.origin.address.port();
        let mut text = format!(
            "[server]\nworkers = 1\n[dns]\nservers = [\"{}\"]\nallow = [\"127.0.0.0/8\"]\n",
            self.dns.addr()
        );
        let (mut listeners, mut clear) = (0, 0);
        for line in config.lines() {
            if let Some(address) = line.strip_prefix("address = ") {
                if address == "\"0.0.0.0:80\"" {
                    clear = listeners;
                }
                listeners += 1;
                text.push_str("address = \"127.0.0.1:0\"\n");
                continue;
            }
            let line = line
                .replace(
                    "region = \"cn-hangzhou\", network = \"internal\"",
                    &format!("endpoint = \"{INTERNAL}:{port}\""),
                )
                .replace(
                    "region = \"cn-hangzhou\", network = \"public\"",
                    &format!("endpoint = \"{PUBLIC}:{port}\""),
                );
            writeln!(text, "{line}").unwrap();
        }
        (Proxy::start(&text), clear)
    }
}

/// Imports a file. Returns the exit code, the config and the messages.
pub(crate) fn imported(text: &str, buckets: &[String], losses: Losses) -> (u8, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("site.conf");
    std::fs::write(&path, text).unwrap();
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let source = Source::Nginx {
        files: &[path],
        buckets,
        losses,
    };
    let code = import(&source, &mut out, &mut errors).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (code, text(out), text(errors))
}

/// Sends a request and returns the response.
async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
    fields: &str,
    front: &str,
) -> String {
    let mut words = request.splitn(4, ' ');
    let [method, host, target] = [(); 3].map(|()| words.next().unwrap());
    let field = words
        .next()
        .map_or(String::new(), |field| format!("{field}\r\n"));
    let more = match method {
        "OPTIONS" => "access-control-request-method: PUT\r\n",
        "PUT" | "POST" => "content-length: 0\r\n",
        _ => "",
    };
    let text = format!(
        "{front}{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{field}{more}{fields}\r\n"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // nginx closes the connection for its status 444.
    let _end = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends a request to nginx and to ossgate, and returns both responses. The request has the method, the host, the
/// target and, if it needs one, a header field. It begins with `@ADDRESS` if the client is not 127.0.0.1. `front`
/// is a PROXY header.
pub(crate) async fn answers(
    nginx: &Nginx,
    proxy: (&Proxy, usize),
    request: &str,
    front: &str,
) -> [String; 2] {
    let (client, request) = match request.strip_prefix('@') {
        Some(request) => request.split_once(' ').unwrap(),
        None => ("127.0.0.1", request),
    };
    let stream = UnixStream::connect(nginx.socket()).await.unwrap();
    let told = format!("x-client: {client}\r\n");
    let of_nginx = answer(stream, request, &told, front).await;
    let address = proxy.0.addresses[proxy.1].unwrap();
    let stream = client_at::connect(client, address).await;
    let of_ossgate = answer(stream, request, "", front).await;
    [of_nginx, of_ossgate]
}

/// Returns the verdict of a response.
pub(crate) fn verdict(answer: &str) -> Verdict {
    // A closed connection is a refusal.
    if answer.is_empty() {
        return Verdict::Refused;
    }
    match status(answer) {
        200..=299 => {
            let mut lines = answer.lines();
            let object = lines.find_map(|line| line.strip_prefix("x-object: "));
            Verdict::Served(object.unwrap_or_default().to_owned())
        }
        300..=399 => Verdict::Redirected,
        _ => Verdict::Refused,
    }
}
