//! Routes from their config: which origin, through which stack.
//!
//! Runs at start, off the request path. Everything a request can be sent to is fixed here.

use std::sync::Arc;

use http::HeaderValue;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::config::{
    self, Addressing, BucketPattern, Buckets, Config, Endpoint, EndpointHost, HostPattern,
};
use crate::origin::Origin;
use crate::origin::address::AddressSet;
use crate::origin::buckets::BucketTable;
use crate::origin::connect::Tls;
use crate::origin::dns::{AddressRule, Engine};
use crate::origin::exchange::Deadlines;
use crate::origin::pool::Limits;
use crate::origin::request::Rewrite;
use crate::origin::tier::Tiers;
use crate::origin::upstream::{Upstream, Upstreams};
use crate::oss::addressing::Layout;
use crate::oss::guard::Preset;
use crate::oss::referer::ListTooLarge;
use crate::policy::cors::Cors;
use crate::policy::guard::Guard;
use crate::policy::hsts::Hsts;
use crate::policy::https::Https;
use crate::policy::preview::{ForcedDownload, Preview};
use crate::policy::referer::{BucketRoot, Referer};
use crate::policy::website::Website;
use crate::route::stack::{Policies, Stack};
use crate::route::table::Table;
use crate::route::{Route, Router};

/// TLS sessions kept for resumption, per origin: one per upstream name is needed, tickets make more.
const SESSIONS: usize = 64;

/// The router of `config`.
///
/// # Errors
///
/// When a route's origin cannot be set up; the text names the route.
pub fn router(
    config: &Config,
    engine: &Arc<Engine>,
    upstreams: &Arc<Upstreams>,
    provider: &Arc<CryptoProvider>,
) -> Result<Router, String> {
    let mut table = Table::default();
    let mut routes = Vec::with_capacity(config.routes.len());
    for route in &config.routes {
        let origin = origin(config, route, engine, upstreams, provider)
            .map_err(|error| format!("route `{}`: {error}", route.name))?;
        let policies =
            policies(route).map_err(|error| format!("route `{}`: {error}", route.name))?;
        let built = Arc::new(Route {
            name: route.name.as_str().into(),
            stack: Stack::new(policies.clone(), origin.clone()),
            origin,
            policies,
        });
        table.insert(&route.hosts, &route.path, &built);
        routes.push(built);
    }
    Ok(Router { table, routes })
}

/// Compiles the policies of a route.
///
/// # Errors
///
/// [`ListTooLarge`] when a list of `referer` cannot be compiled.
pub fn policies(route: &config::Route) -> Result<Policies, ListTooLarge> {
    let rules = &route.policies;
    let layout = Layout {
        strip: route.origin.strip_path.then(|| route.path.clone()),
        suffixes: match route.origin.buckets {
            Buckets::One(_) => None,
            Buckets::Many(_) => Some(suffixes(route)),
        },
    };
    let preset = rules
        .guard
        .as_ref()
        .map_or(Preset::Full, |guard| guard.preset);
    let has_guard = preset != Preset::Full || !route.methods.is_empty();
    let root = if rules.website.is_some() {
        BucketRoot::IndexDocument
    } else {
        BucketRoot::Bucket
    };
    let referer = match &rules.referer {
        None => None,
        Some(referer) => Some(Arc::new(Referer::new(referer, layout.clone(), root)?)),
    };
    let strips = rules
        .preview
        .as_ref()
        .is_some_and(|preview| preview.strip_force_download);
    let forced = if strips {
        ForcedDownload::Strip
    } else {
        ForcedDownload::Keep
    };
    let https = rules.https.as_ref();
    Ok(Policies {
        hsts: https
            .and_then(|https| https.hsts.as_ref())
            .and_then(Hsts::new)
            .map(Arc::new),
        cors: rules.cors.as_ref().map(|cors| Arc::new(Cors::new(cors))),
        https: https.map(|https| Arc::new(Https::new(https))),
        guard: has_guard.then(|| {
            Arc::new(Guard {
                methods: route.methods.clone(),
                preset,
                layout: layout.clone(),
            })
        }),
        referer,
        website: rules
            .website
            .as_ref()
            .map(|website| Arc::new(Website::new(website, layout))),
        preview: Arc::new(Preview::new(forced)),
    })
}

/// What the wildcard hosts of a route have behind their first label.
fn suffixes(route: &config::Route) -> Vec<String> {
    route
        .hosts
        .iter()
        .filter_map(|host| match host {
            HostPattern::Wildcard(suffix) => Some(suffix.clone()),
            HostPattern::Exact(_) => None,
        })
        .collect()
}

fn origin(
    config: &Config,
    route: &config::Route,
    engine: &Arc<Engine>,
    upstreams: &Arc<Upstreams>,
    provider: &Arc<CryptoProvider>,
) -> Result<Origin, String> {
    let settings = &route.origin;
    let rewrite = Rewrite {
        buckets: settings.buckets.clone(),
        suffixes: suffixes(route),
        addressing: settings.addressing,
        prefix: settings.prefix.clone(),
        strip: settings.strip_path.then(|| route.path.clone()),
    };
    let maker = Maker {
        origin: Arc::clone(settings),
        engine: Arc::clone(engine),
        upstreams: Arc::clone(upstreams),
        rules: endpoints(settings)
            .map(|endpoint| AddressRule::new(endpoint.network, &config.dns))
            .collect(),
        connector: if settings.tls {
            Some(connector(settings, provider)?)
        } else {
            None
        },
    };
    let names: Vec<&str> = match &settings.buckets {
        Buckets::One(bucket) => vec![bucket],
        Buckets::Many(patterns) => patterns
            .iter()
            .filter_map(|pattern| match pattern {
                BucketPattern::Exact(bucket) => Some(bucket.as_str()),
                BucketPattern::Glob { .. } => None,
            })
            .collect(),
    };
    // Where the bucket is in the path there is one host for all of them.
    let shared = match settings.addressing {
        Addressing::Path => Some(maker.upstream("any")?),
        Addressing::VirtualHost => None,
    };
    // Says at start what a request would find out.
    maker.upstream(names.first().copied().unwrap_or("any"))?;
    let make = Box::new(move |bucket: &str| match &shared {
        Some(shared) => Some(Arc::clone(shared)),
        None => maker.upstream(bucket).ok(),
    });
    Ok(Origin::new(
        endpoints(settings)
            .map(|endpoint| endpoint.to_string().into())
            .collect(),
        rewrite,
        BucketTable::new(names, make),
        Deadlines {
            first_byte: settings.timeouts.first_byte,
            idle: settings.timeouts.idle,
        },
        settings.timeouts.idle,
    ))
}

/// The endpoints of an origin, best first.
fn endpoints(origin: &config::Origin) -> impl Iterator<Item = &Endpoint> {
    std::iter::once(&origin.endpoint).chain(&origin.fallback)
}

/// Makes upstreams for one origin.
struct Maker {
    origin: Arc<config::Origin>,
    engine: Arc<Engine>,
    upstreams: Arc<Upstreams>,
    /// One for each endpoint.
    rules: Vec<AddressRule>,
    connector: Option<TlsConnector>,
}

impl Maker {
    /// The upstream of `bucket` at the first endpoint, with those at the others behind it.
    fn upstream(&self, bucket: &str) -> Result<Arc<Upstream>, String> {
        let origin = &self.origin;
        let identity = format!(
            "{bucket} {:?} {:?} {} {:?} {:?} {:?} {:?} {:?}",
            endpoints(origin).collect::<Vec<_>>(),
            origin.addressing,
            origin.tls,
            origin.ca,
            origin.server_name,
            origin.host,
            origin.timeouts.connect,
            origin.pool,
        );
        self.upstreams.get_or_make(identity, || self.make(bucket))
    }

    fn make(&self, bucket: &str) -> Result<Upstream, String> {
        let mut upstreams = Vec::with_capacity(self.rules.len());
        for (endpoint, rule) in endpoints(&self.origin).zip(&self.rules) {
            upstreams.push(self.upstream_at(endpoint, rule, bucket)?);
        }
        let mut upstreams = upstreams.into_iter();
        let mut first = upstreams.next().ok_or("no endpoint")?;
        let others: Vec<_> = upstreams.map(Arc::new).collect();
        first.tiers = (!others.is_empty()).then(|| Tiers::new(others, Instant::now()));
        Ok(first)
    }

    fn upstream_at(
        &self,
        endpoint: &Endpoint,
        rule: &AddressRule,
        bucket: &str,
    ) -> Result<Upstream, String> {
        // The name the endpoint is resolved under and reached by.
        let name = match (&endpoint.host, self.origin.addressing) {
            (EndpointHost::Ip(ip), _) => ip.to_string(),
            (EndpointHost::Name(name), Addressing::Path) => name.clone(),
            (EndpointHost::Name(name), Addressing::VirtualHost) => format!("{bucket}.{name}"),
        };
        let default_port = if self.origin.tls { 443 } else { 80 };
        let bracketed = match endpoint.host {
            EndpointHost::Ip(std::net::IpAddr::V6(_)) => format!("[{name}]"),
            EndpointHost::Ip(std::net::IpAddr::V4(_)) | EndpointHost::Name(_) => name.clone(),
        };
        let host = match &self.origin.host {
            Some(host) => host.clone(),
            None if endpoint.port == default_port => bracketed,
            None => format!("{bracketed}:{}", endpoint.port),
        };
        let host = HeaderValue::from_str(&host).map_err(|_| format!("`{host}` is not a Host"))?;
        let tls = match &self.connector {
            None => None,
            Some(connector) => {
                let name = self
                    .origin
                    .server_name
                    .clone()
                    .unwrap_or_else(|| name.clone());
                Some(Tls {
                    connector: connector.clone(),
                    name: ServerName::try_from(name.clone())
                        .map_err(|_| format!("`{name}` is not a TLS name"))?,
                })
            }
        };
        let busy = self.origin.pool.max_per_address;
        let addresses = match endpoint.host {
            EndpointHost::Ip(ip) => {
                Arc::new(AddressSet::fixed(ip, endpoint.port, busy, Instant::now()))
            }
            EndpointHost::Name(_) => self.engine.addresses(&name, endpoint.port, busy, rule),
        };
        Ok(Upstream {
            id: Upstream::next_id(),
            endpoint: name.into(),
            host,
            addresses,
            tls,
            connect_timeout: self.origin.timeouts.connect,
            limits: Limits {
                idle_per_address: self.origin.pool.idle_per_address,
                idle: self.origin.pool.idle,
            },
            region: endpoint.region.as_deref().map(Into::into),
            tiers: None,
            has_alternative: !self.origin.fallback.is_empty(),
        })
    }
}

/// Verified TLS to OSS: the operator's CA, or the system's roots with the bundled ones where the
/// system has none.
fn connector(
    origin: &config::Origin,
    provider: &Arc<CryptoProvider>,
) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    match &origin.ca {
        Some(certificates) => {
            for certificate in certificates {
                roots
                    .add(certificate.clone())
                    .map_err(|error| format!("a certificate of `ca` cannot be trusted: {error}"))?;
            }
        }
        None => {
            let (_added, _ignored) =
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
        }
    }
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(TlsConnector::from(Arc::new(config)))
}
