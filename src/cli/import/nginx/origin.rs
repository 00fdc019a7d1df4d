//! Translates the target of a `proxy_pass` to the keys of `origin`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::cli::import::toml_text::{list, quoted};
use crate::oss::endpoint::{HostKind, Network, OssHost, classify, region};

/// The host that nginx connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A host, which may name a bucket.
    Host(String),
    /// The patterns of bucket names, and the endpoint. The request names the bucket in its host or its path. An
    /// empty list of patterns means any bucket.
    Buckets(Vec<String>, String),
}

/// A `proxy_pass` directive and the data that its translation needs.
pub(super) struct ProxyPass<'a> {
    /// The servers of each `upstream` block, by its name.
    pub(super) upstreams: &'a BTreeMap<String, Vec<String>>,
    /// `http` or `https`.
    pub(super) scheme: &'a str,
    /// The hosts of the route.
    pub(super) hosts: &'a [String],
    /// The value of `Host` that nginx sends.
    pub(super) sent: &'a str,
    /// The buckets that the operator names, for files that leave the choice to the client.
    pub(super) buckets: &'a [String],
}

/// The hosts of a route, and the lines of its `origin`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) hosts: Vec<String>,
    pub(super) lines: Vec<String>,
}

/// The reason why a `proxy_pass` cannot be imported.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OriginError {
    /// The target is not a URL.
    NotUrl(String),
    /// The target's host is not an OSS host.
    NotOss(String),
    /// The target's host does not contain a bucket, and the operator names none.
    NoBucket(String),
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUrl(target) => write!(f, "`{target}` is not a URL"),
            Self::NotOss(host) => write!(
                f,
                "`{host}` is not a host of OSS: write `origin` with its bucket by hand"
            ),
            Self::NoBucket(host) => write!(
                f,
                "`{host}` names no bucket: name each bucket that ossgate may serve with `--bucket NAME`"
            ),
        }
    }
}

impl ProxyPass<'_> {
    /// Returns the origins for `target`, each with its hosts. Parts that cannot be imported are reported in
    /// `notes`.
    ///
    /// # Errors
    ///
    /// [`OriginError`] when the target does not lead to a bucket.
    pub(super) fn origins(
        &self,
        target: &Target,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Origin>, OriginError> {
        match target {
            Target::Buckets(patterns, endpoint) => {
                let oss = classify(endpoint).filter(|host| host.bucket.is_none());
                let oss = oss.ok_or_else(|| OriginError::NotOss(endpoint.clone()))?;
                let buckets = self.bucket_list(patterns, endpoint)?;
                Ok(vec![self.gateway(&buckets, endpoint, &oss, self.hosts)])
            }
            Target::Host(name) => {
                let name = self.resolve(name, notes);
                let own = name.split(':').next().unwrap_or(&name);
                let is_own = self.sent == "$proxy_host" || self.sent.eq_ignore_ascii_case(own);
                let sent = classify(self.sent).filter(|host| host.bucket.is_some());
                match (classify(&name), sent) {
                    (Some(host), _) if host.bucket.is_some() => {
                        Ok(self.one_bucket(&name, &host, is_own, notes))
                    }
                    // The `Host` that nginx sends names the bucket.
                    (Some(_) | None, Some(host)) => {
                        if !is_own {
                            notes.push(format!("`{own}` is not carried over: ossgate connects to the addresses of `{}`", self.sent));
                        }
                        Ok(self.one_bucket(self.sent, &host, true, notes))
                    }
                    (None, None) => Err(OriginError::NotOss(name.clone())),
                    (Some(host), None) if self.passes_host() => {
                        self.bucket_of_host(own, &host, notes)
                    }
                    (Some(host), None) => {
                        let (labels, hosts): (Vec<String>, Vec<String>) = self
                            .hosts
                            .iter()
                            .cloned()
                            .partition(|host| host.starts_with("*."));
                        if !labels.is_empty() && hosts.is_empty() {
                            return Err(OriginError::NoBucket(own.to_owned()));
                        }
                        let buckets = self.bucket_list(&[], own)?;
                        Ok(vec![self.gateway(&buckets, own, &host, &hosts)])
                    }
                }
            }
        }
    }

    /// Returns the host that `name` stands for. If `name` is an `upstream` block, this is its first server.
    fn resolve(&self, name: &str, notes: &mut Vec<String>) -> String {
        let name = match self.upstreams.get(name) {
            None => name.to_owned(),
            Some(servers) => {
                let first = servers.first().cloned().unwrap_or_default();
                if servers.iter().any(|server| *server != first) {
                    notes.push(format!("of the servers of `{name}`, only `{first}` is carried over: ossgate uses every address of a host name by itself"));
                }
                first
            }
        };
        if let Some((_, port)) = name.split_once(':')
            && port != if self.scheme == "http" { "80" } else { "443" }
        {
            notes.push(format!(
                "the port of `{name}` is not carried over: OSS has ports 80 and 443 only"
            ));
        }
        name
    }

    /// Whether nginx sends the Host of the client.
    fn passes_host(&self) -> bool {
        let variables = ["$host", "$http_host", "$server_name", "$host:$server_port"];
        variables.contains(&self.sent)
    }

    fn bucket_list(&self, patterns: &[String], name: &str) -> Result<Vec<String>, OriginError> {
        match (patterns, self.buckets) {
            ([], []) => Err(OriginError::NoBucket(name.to_owned())),
            ([], named) => Ok(named.to_vec()),
            (patterns, _) => Ok(patterns.to_vec()),
        }
    }

    fn gateway(
        &self,
        buckets: &[String],
        endpoint: &str,
        oss: &OssHost<'_>,
        hosts: &[String],
    ) -> Origin {
        let buckets = list(buckets.iter().map(String::as_str));
        let mut lines = vec![format!("buckets = {buckets}")];
        self.add_endpoint(endpoint, oss, &mut lines);
        Origin {
            hosts: hosts.to_vec(),
            lines,
        }
    }

    fn add_endpoint(&self, endpoint: &str, oss: &OssHost<'_>, lines: &mut Vec<String>) {
        let endpoint = endpoint.split(':').next().unwrap_or(endpoint);
        let endpoint = endpoint.trim_end_matches('.').to_ascii_lowercase();
        let network = match (oss.kind, oss.is_internal) {
            (HostKind::Regional | HostKind::ServiceRoot, true) => {
                Some((Network::Internal, "internal"))
            }
            (HostKind::Regional | HostKind::ServiceRoot, false) => {
                Some((Network::Public, "public"))
            }
            (HostKind::DualStack, _) => Some((Network::DualStack, "dualstack")),
            _ => None,
        };
        // Some regions have several endpoints on one network, but only one of these has a name in the config.
        let named = oss.region.as_deref().zip(network).filter(|(id, network)| {
            region(id).and_then(|region| region.endpoint(network.0)) == Some(&*endpoint)
        });
        match named {
            Some((region, (_, network))) => {
                lines.push(format!("region = {}", quoted(region)));
                lines.push(format!("network = {}", quoted(network)));
            }
            None => lines.push(format!("endpoint = {}", quoted(&endpoint))),
        }
        if self.scheme == "http" {
            lines.push("tls = false".to_owned());
        }
    }

    /// Returns the origins for the host `name`, which names a bucket.
    fn one_bucket(
        &self,
        name: &str,
        oss: &OssHost<'_>,
        is_own: bool,
        notes: &mut Vec<String>,
    ) -> Vec<Origin> {
        let bare = name.split(':').next().unwrap_or(name);
        let endpoint = bare.split_once('.').map_or(bare, |(_, endpoint)| endpoint);
        let bucket = oss.bucket.as_deref().unwrap_or_default();
        let mut lines = vec![format!("bucket = {}", quoted(bucket))];
        self.add_endpoint(endpoint, oss, &mut lines);
        if !self.passes_host() {
            if !is_own && !self.sent.contains('$') {
                lines.push(format!("host = {}", quoted(self.sent)));
            } else if !is_own {
                notes.push(
                    "the variable in the header `host` is not carried over: OSS gets the host of the bucket"
                        .to_owned(),
                );
            }
            let hosts = self.hosts.to_vec();
            return vec![Origin { hosts, lines }];
        }
        let is_bound = |host: &&String| !host.contains('*') && host.parse::<IpAddr>().is_err();
        let (bound, others): (Vec<&String>, Vec<&String>) = self.hosts.iter().partition(is_bound);
        let mut origins = Vec::new();
        for host in bound {
            notes.push(format!(
                "OSS gets the Host `{host}`: it must be bound to the bucket"
            ));
            let mut lines = lines.clone();
            lines.push(format!("host = {}", quoted(host)));
            origins.push(Origin {
                hosts: vec![host.clone()],
                lines,
            });
        }
        if !others.is_empty() || origins.is_empty() {
            notes.push("the client's Host is not passed on: the server has no name that could be bound to the bucket".to_owned());
            let hosts = others.into_iter().cloned().collect();
            origins.push(Origin { hosts, lines });
        }
        origins
    }

    /// Returns the origins of a server that connects to the endpoint `name` and passes on the client's Host,
    /// which names the bucket.
    fn bucket_of_host(
        &self,
        name: &str,
        oss: &OssHost<'_>,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Origin>, OriginError> {
        let mut labels = Vec::new();
        let mut origins = Vec::new();
        for host in self.hosts {
            if host.starts_with("*.") {
                labels.push(host.clone());
                continue;
            }
            let of_oss =
                classify(host).and_then(|host| host.bucket.map(|bucket| bucket.to_string()));
            let bucket = match (of_oss, self.buckets) {
                (Some(bucket), _) => bucket,
                (None, [bucket]) if !bucket.contains('*') => bucket.clone(),
                (None, _) => return Err(OriginError::NoBucket(host.clone())),
            };
            let mut lines = vec![format!("bucket = {}", quoted(&bucket))];
            self.add_endpoint(name, oss, &mut lines);
            if *host != format!("{bucket}.{name}") {
                lines.push(format!("host = {}", quoted(host)));
                notes.push(format!(
                    "OSS gets the Host `{host}`: it must be bound to the bucket"
                ));
            }
            origins.push(Origin {
                hosts: vec![host.clone()],
                lines,
            });
        }
        if self.hosts.is_empty() {
            // Clients send the host of a bucket at OSS, so each endpoint of the region becomes the suffix of a
            // host pattern.
            let region = oss.region.as_deref().and_then(region);
            let known = region.map(|region| [region.public, region.internal]);
            let known = known
                .into_iter()
                .flatten()
                .filter(|known| !known.is_empty());
            labels.extend(known.map(|known| format!("*.{known}")));
            if labels.is_empty() {
                labels.push(format!("*.{name}"));
            }
            notes.push(format!(
                "`hosts` is made from the endpoint `{name}`: nginx passes on every Host, and OSS knows only hosts of buckets"
            ));
        }
        if !labels.is_empty() {
            let buckets = self.bucket_list(&[], name)?;
            origins.push(self.gateway(&buckets, name, oss, &labels));
        }
        Ok(origins)
    }
}
