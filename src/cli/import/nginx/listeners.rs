//! Translates `listen` directives to listeners, and finds the default server of each listener.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::cli::import::nginx::names::listen_address;
use crate::cli::import::nginx::notes::Notes;
use crate::cli::import::nginx::syntax::Directive;

/// Whether clients of a listener use TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Clear,
    Tls,
}

/// One listener of the config.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) transport: Transport,
    /// Whether connections begin with a PROXY header.
    pub(super) has_proxy_header: bool,
    /// The addresses of trusted proxies.
    pub(super) trusted: Vec<String>,
    /// The number of the server that nginx uses for hosts that no server names.
    default: usize,
    /// Whether a `listen` directive marks the default server. Otherwise, the first server is the default.
    has_written_default: bool,
    /// Whether a route or a redirect of the config needs the listener.
    pub(super) is_used: bool,
}

impl Listener {
    /// Whether the listener at `address` has to accept a PROXY header from every peer, as nginx does without
    /// `set_real_ip_from`. A Unix socket does not need this, because its peers are always trusted.
    pub(super) fn trusts_all(&self, address: &str) -> bool {
        self.is_used
            && self.has_proxy_header
            && self.trusted.is_empty()
            && !address.starts_with("unix:")
    }
}

/// A `listen` directive of a server, or the listener that nginx assumes if the server has none.
#[derive(Clone, Debug)]
pub(super) struct Listen {
    pub(super) address: String,
    /// The `listen` directive. If a server has none, nginx listens on port 80; then this is the `server` directive,
    /// without its block.
    pub(super) directive: Rc<Directive>,
}

/// The listeners by address.
#[derive(Debug, Default)]
pub(super) struct Listeners(pub(super) BTreeMap<String, Listener>);

impl Listeners {
    /// Adds the listeners of `server`, and returns its `listen` directives. `number` is the position of the
    /// server in the order of the files.
    pub(super) fn add(
        &mut self,
        server: &Directive,
        number: usize,
        notes: &mut Notes,
    ) -> Vec<Listen> {
        let is_old_tls = |one: &Directive| one.name() == "ssl" && one.first() == "on";
        let all_tls = server.block.iter().any(is_old_tls);
        let mut listens = Vec::new();
        let written = server.block.iter().filter(|one| one.name() == "listen");
        for directive in written {
            let has = |word: &str| directive.rest().iter().any(|one| one == word);
            if has("quic") {
                continue;
            }
            let address = listen_address(directive.first());
            if !address.starts_with("unix:") && address.parse::<SocketAddr>().is_err() {
                let text = format!(
                    "`listen {}` is not carried over: it is no address",
                    directive.first()
                );
                notes.add(directive, &text);
                continue;
            }
            let transport = if has("ssl") || all_tls {
                Transport::Tls
            } else {
                Transport::Clear
            };
            let is_default = has("default_server") || has("default");
            self.add_one(
                &address,
                transport,
                has("proxy_protocol"),
                number,
                is_default,
            );
            listens.push(Listen {
                address,
                directive: Rc::new(directive.clone()),
            });
        }
        if listens.is_empty() {
            let address = "0.0.0.0:80".to_owned();
            self.add_one(&address, Transport::Clear, false, number, false);
            let mut directive = server.clone();
            directive.block.clear();
            listens.push(Listen {
                address,
                directive: Rc::new(directive),
            });
        }
        listens
    }

    /// Adds the listener of one `listen`. If servers on the same address differ in TLS, the listener uses TLS.
    fn add_one(
        &mut self,
        address: &str,
        transport: Transport,
        has_proxy_header: bool,
        number: usize,
        is_default: bool,
    ) {
        let known = self.0.entry(address.to_owned()).or_insert(Listener {
            transport,
            has_proxy_header,
            trusted: Vec::new(),
            default: number,
            has_written_default: is_default,
            is_used: false,
        });
        if transport == Transport::Tls {
            known.transport = transport;
        }
        known.has_proxy_header |= has_proxy_header;
        if is_default && !known.has_written_default {
            known.default = number;
            known.has_written_default = true;
        }
    }

    /// Whether the server with this number is the default of the listener at `address`.
    pub(super) fn is_default(&self, address: &str, number: usize) -> bool {
        self.0.get(address).is_some_and(|one| one.default == number)
    }

    /// Whether clients of the listener at `address` use TLS.
    pub(super) fn is_tls(&self, address: &str) -> bool {
        let found = self.0.get(address);
        found.is_some_and(|one| one.transport == Transport::Tls)
    }

    /// Marks the listeners of a server as used, and adds the proxies that the server trusts to each of them.
    pub(super) fn use_for(&mut self, listens: &[Listen], trusted: &[String]) {
        for listen in listens {
            if let Some(listener) = self.0.get_mut(&listen.address) {
                listener.is_used = true;
                for address in trusted {
                    if !listener.trusted.contains(address) {
                        listener.trusted.push(address.clone());
                    }
                }
            }
        }
    }
}

/// Whether the address stands for all addresses of the machine, such as `0.0.0.0:80`.
pub(super) fn is_open_to_all(address: &str) -> bool {
    address
        .parse::<SocketAddr>()
        .is_ok_and(|address| address.ip().is_unspecified())
}
