//! The parts of the demo: an OSS-like origin on two loopback addresses, a DNS server that answers with one
//! of them, and the real proxy in front.
//!
//! The proxy is built from a config file by [`app::build`], as in `ossgate run`. The file stays in a
//! temporary directory until the demo ends.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;

use crate::app::{self, Running};
use crate::config;
use crate::demo::ca::{Ca, Leaf};
use crate::demo::dns::{Dns, DnsAnswer};
use crate::demo::net::{self, Served};
use crate::demo::origin::{Acl, BucketOptions, Keyring, Options, Origin};
use crate::listener::tls;
use crate::oss::signature::Keys;
use crate::telemetry::sink::SharedSink;

/// The id of the demo's access key.
pub(crate) const KEY_ID: &str = "DemoAccessKeyId";
/// The secret of the demo's access key.
pub(crate) const KEY_SECRET: &str = "DemoAccessKeySecret";
const STS_ID: &str = "STS.DemoAccessKeyId";
const STS_SECRET: &str = "DemoStsSecret";
const STS_TOKEN: &str = "DemoSecurityToken/+=";
/// The bucket of the demo.
pub(crate) const BUCKET: &str = "examplebucket";
/// The region of the origin.
pub(crate) const REGION: &str = "cn-hangzhou";
/// The endpoint of the origin: the host name that the DNS server of the demo resolves.
const ENDPOINT: &str = "oss-demo.example";
/// The addresses of the origin. A real OSS endpoint has several addresses too.
pub(crate) const ORIGINS: [Ipv4Addr; 2] =
    [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3)];

/// An error of any part of the demo. The demo only prints it.
pub(crate) type DemoError = Box<dyn std::error::Error + Send + Sync>;

/// The running demo.
pub(crate) struct World {
    pub(crate) origin: Origin,
    pub(crate) dns: Dns,
    pub(crate) proxy: Running,
    /// The address of the proxy without TLS.
    pub(crate) http: SocketAddr,
    /// The address of the proxy with TLS.
    pub(crate) https: SocketAddr,
    /// The address of the origin without TLS, for requests that bypass the proxy.
    pub(crate) direct: SocketAddr,
    /// The temporary directory for the config, the certificates and the access log.
    pub(crate) directory: PathBuf,
    /// The certificate of the CA that signed all certificates of the demo, in PEM.
    pub(crate) ca_pem: String,
    _served: Vec<Served>,
}

fn origin() -> Origin {
    let key = |id: &str, secret: &str, token: Option<&str>| Keys {
        access_key_id: id.to_owned(),
        access_key_secret: secret.to_owned(),
        security_token: token.map(str::to_owned),
    };
    let keys = vec![
        key(KEY_ID, KEY_SECRET, None),
        key(STS_ID, STS_SECRET, Some(STS_TOKEN)),
    ];
    let now = Arc::new(wall_clock);
    let keyring = Keyring::new(keys, Some(REGION.to_owned()), Arc::clone(&now) as _);
    let mut options = Options::new(Arc::new(keyring), now);
    options.region = REGION.to_owned();
    options.endpoints = vec![ENDPOINT.to_owned()];
    let mut bucket = BucketOptions::new(BUCKET);
    bucket.acl = Acl::PublicRead;
    bucket.domains = vec!["img.example.test".to_owned()];
    bucket.generated = true;
    bucket.sink_above = Some(256 << 20);
    options.buckets = vec![bucket];
    let origin = Origin::new(options);
    let objects: [(&str, &str, &[u8]); 4] = [
        (
            "hello.txt",
            "text/plain",
            b"Hello from the other side of a fixed IP.\n",
        ),
        (
            "index.html",
            "text/html",
            b"<!doctype html><title>demo</title><h1>It works</h1>\n",
        ),
        (
            "data/a+b c.json",
            "application/json",
            b"{\"plus\":\"+\",\"space\":\" \"}\n",
        ),
        ("data//two slashes", "text/plain", b"An ordinary key.\n"),
    ];
    for (name, kind, body) in objects {
        origin.put(
            BUCKET,
            name.as_bytes(),
            Some(kind),
            Bytes::from_static(body),
        );
    }
    origin
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only place where the demo reads the wall clock"
)]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

impl World {
    /// Starts all parts on free ports of loopback addresses.
    pub(crate) async fn start() -> Result<Self, DemoError> {
        let origin = origin();
        let ca = Ca::generate()?;
        let wildcard = format!("*.{ENDPOINT}");
        let origin_leaf = ca.leaf(&[wildcard.as_str(), ENDPOINT, "img.example.test"])?;
        let tls = server_tls(&origin_leaf)?;
        let (first, second) = two_listeners().await?;
        let port = first.local_addr()?.port();
        let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let direct = plain.local_addr()?;
        let served = vec![
            net::serve(first, Some(Arc::clone(&tls)), origin.clone()),
            net::serve(second, Some(tls), origin.clone()),
            net::serve(plain, None, origin.clone()),
        ];
        let dns = Dns::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        dns.set(answer(0));
        let directory = temporary_directory()?;
        let proxy_leaf = ca.leaf(&["localhost", "*.localhost", "127.0.0.1"])?;
        for (name, text) in [
            ("ca.pem", ca.certificate()),
            ("proxy.pem", proxy_leaf.chain.as_str()),
            ("proxy-key.pem", proxy_leaf.key.as_str()),
            ("ossgate.toml", &config_text(dns.addr(), port)),
        ] {
            std::fs::write(directory.join(name), text)?;
        }
        let config = config::load(&directory.join("ossgate.toml"), &|_| None)?.config;
        let proxy =
            app::build(config, log_sink(&directory)?, u64::from(std::process::id()))?.start()?;
        let address = |index: usize| {
            proxy
                .addresses()
                .get(index)
                .copied()
                .flatten()
                .ok_or("no address")
        };
        Ok(Self {
            http: address(0)?,
            https: address(1)?,
            ca_pem: ca.certificate().to_owned(),
            origin,
            dns,
            proxy,
            direct,
            directory,
            _served: served,
        })
    }

    /// Makes DNS answer with address number `index` of the origin.
    pub(crate) fn point_dns_at(&self, index: usize) {
        self.dns.set(answer(index));
    }

    /// Stops the proxy and removes the demo's files.
    pub(crate) fn stop(self) {
        self.proxy.stop();
        // A file that cannot be removed stays in the temporary directory and does no harm.
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

fn answer(index: usize) -> DnsAnswer {
    let ip = ORIGINS
        .get(index % ORIGINS.len())
        .copied()
        .unwrap_or(Ipv4Addr::LOCALHOST);
    DnsAnswer::Addresses {
        ips: vec![IpAddr::V4(ip)],
        ttl: 1,
    }
}

/// Binds one listener to each origin address, both with the same free port.
async fn two_listeners() -> Result<(TcpListener, TcpListener), DemoError> {
    let [one, other] = ORIGINS;
    for _ in 0..16 {
        let first = TcpListener::bind((one, 0)).await?;
        if let Ok(second) = TcpListener::bind((other, first.local_addr()?.port())).await {
            return Ok((first, second));
        }
    }
    Err("no port is free on both 127.0.0.2 and 127.0.0.3".into())
}

fn server_tls(leaf: &Leaf) -> Result<Arc<rustls::ServerConfig>, DemoError> {
    let chain =
        CertificateDer::pem_slice_iter(leaf.chain.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes())?;
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(tls::provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// Opens the access log as a file, because the demo prints to standard output.
fn log_sink(directory: &Path) -> Result<SharedSink, DemoError> {
    Ok(SharedSink::file(directory.join("access.log"))?)
}

fn temporary_directory() -> Result<PathBuf, DemoError> {
    let directory = std::env::temp_dir().join(format!("ossgate-demo-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

fn config_text(dns: SocketAddr, port: u16) -> String {
    format!(
        "# The config of the demo. A config for real OSS has a region instead of an endpoint.\n\
         [dns]\n\
         servers = [\"{dns}\"]\n\
         min_ttl = \"1s\"\n\
         \n\
         [[listener]]\n\
         address = \"127.0.0.1:0\"\n\
         \n\
         [[listener]]\n\
         address = \"127.0.0.1:0\"\n\
         tls = true\n\
         \n\
         [[certificate]]\n\
         cert = \"proxy.pem\"\n\
         key = \"proxy-key.pem\"\n\
         \n\
         # A domain bound to the bucket: the whole path is the key.\n\
         [[route]]\n\
         hosts = [\"img.example.test\"]\n\
         origin = {{ bucket = \"{BUCKET}\", endpoint = \"{ENDPOINT}:{port}\", ca = \"ca.pem\" }}\n\
         \n\
         # Virtual-host style: the first label is the bucket.\n\
         [[route]]\n\
         hosts = [\"*.oss.example.test\"]\n\
         list_buckets = \"pass\"\n\
         origin = {{ buckets = [\"{BUCKET}\", \"team-*\"], endpoint = \"{ENDPOINT}:{port}\", ca = \"ca.pem\" }}\n\
         \n\
         # Every other host, and requests by IP address: the first path segment is the bucket.\n\
         [[route]]\n\
         name = \"sdk\"\n\
         list_buckets = \"pass\"\n\
         origin = {{ buckets = [\"{BUCKET}\", \"team-*\"], endpoint = \"{ENDPOINT}:{port}\", ca = \"ca.pem\" }}\n"
    )
}

/// Returns the access keys for an SDK, one `name=value` per line.
pub(crate) fn credentials() -> String {
    format!(
        "key-id={KEY_ID}\nkey-secret={KEY_SECRET}\nsts-id={STS_ID}\nsts-secret={STS_SECRET}\nsts-token={STS_TOKEN}\n"
    )
}
