//! A proxy whose origin has a second endpoint as fallback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ossgate::demo::dns::{Dns, DnsAnswer};
use tokio::net::TcpListener;

use super::proxy::{Proxy, status};

pub(crate) const PLAIN: &str = "tls = false\ntimeouts = { connect = \"500ms\" }";

pub(crate) async fn dns() -> Dns {
    let dns = Dns::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    dns.set(DnsAnswer::Addresses {
        ips: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        ttl: 60,
    });
    dns
}

/// Starts a proxy whose origin has `endpoints`, the first one as primary, and the additional keys `more`.
pub(crate) fn proxy(dns: &Dns, endpoints: &[String], more: &str) -> Proxy {
    let fallback: Vec<String> = endpoints[1..]
        .iter()
        .map(|endpoint| format!("{{ endpoint = {endpoint:?} }}"))
        .collect();
    Proxy::start(&format!(
        "[server]\nworkers = 1\n[dns]\nservers = [\"{}\"]\nallow = [\"127.0.0.0/8\"]\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\n[route.origin]\nbucket = \"examplebucket\"\n\
         endpoint = {:?}\nfallback = [{}]\n{more}\n",
        dns.addr(),
        endpoints[0],
        fallback.join(", ")
    ))
}

pub(crate) fn named(ports: [u16; 2]) -> [String; 2] {
    [
        format!("first.test:{}", ports[0]),
        format!("second.test:{}", ports[1]),
    ]
}

/// Returns a port that refuses connections.
pub(crate) async fn closed() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

pub(crate) async fn get(proxy: &Proxy) -> String {
    let answer = proxy.get("x", "/k").await;
    assert_eq!(status(&answer), 200, "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}
