//! Builds the routes of a config: the origin and the stack of each route.
//!
//! This code runs at a start and at a reload, never for a request. It determines every host to which requests
//! can be sent.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;

use crate::config::network_list::Network;
use crate::config::policy::{Located, RefererMode, RuleKey};
use crate::config::{self, Addressing, BucketPattern, Buckets, Config, HostPattern, ListBuckets};
use crate::http::signing::SignRequests;
use crate::identity::credentials::Sources;
use crate::identity::sign::Signer;
use crate::net::ranges::IpRanges;
use crate::origin::Origin;
use crate::origin::exchange::Exchange;
use crate::origin::exchange::attempt::Deadlines;
use crate::origin::exchange::fields::FieldChanges;
use crate::origin::exchange::locate::Service;
use crate::origin::exchange::rewrite::Rewrite;
use crate::origin::tiers::buckets::{BucketTable, MakeTiers};
use crate::origin::tiers::registry::{Registry, RegistryError};
use crate::oss::addressing::Layout;
use crate::oss::guard::Preset;
use crate::oss::referer::{ListTooLarge, Rules, Switches};
use crate::policy::cors::Cors;
use crate::policy::guard::Guard;
use crate::policy::headers::Headers;
use crate::policy::hsts::Hsts;
use crate::policy::https::Https;
use crate::policy::ip::{Allow, Ip};
use crate::policy::preview::{ForcedDownload, Preview};
use crate::policy::referer::{BucketRoot, Referer, Reports};
use crate::policy::website::Website;
use crate::route::stack::{Policies, Stack};
use crate::route::table::Table;
use crate::route::{Route, Router};

/// The reason why the routes of a config cannot be built. Each variant names the route.
#[derive(Debug)]
pub enum BuildError {
    /// The hosts of the route's origin cannot be created.
    Origin {
        /// The name of the route.
        route: String,
        /// The reason.
        error: RegistryError,
    },
    /// A list of the route's `referer` policy is too large.
    Policies {
        /// The name of the route.
        route: String,
        /// The reason.
        error: ListTooLarge,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin { route, error } => write!(f, "route `{route}`: {error}"),
            Self::Policies { route, error } => write!(f, "route `{route}`: {error}"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Origin { error, .. } => Some(error),
            Self::Policies { error, .. } => Some(error),
        }
    }
}

/// Builds the router of `config`. Hosts in `registry` and access keys in `sources` are used again. So are the
/// reports in `reports`, for a route that has the same name as before.
///
/// # Errors
///
/// [`BuildError::Origin`] and [`BuildError::Policies`].
pub fn router(
    config: &Config,
    registry: &Arc<Registry>,
    reports: &Reports,
    sources: &Sources,
) -> Result<Router, BuildError> {
    let mut table = Table::default();
    let mut routes = Vec::with_capacity(config.routes.len());
    reports.forget_unused();
    let mut shared = SharedRules::new(reports);
    for route in &config.routes {
        let signer = signer(sources, route);
        let origin =
            origin(registry, route, signer.as_ref()).map_err(|error| BuildError::Origin {
                route: route.name.clone(),
                error,
            })?;
        let policies = policies(route, &mut shared).map_err(|error| BuildError::Policies {
            route: route.name.clone(),
            error,
        })?;
        let built = Arc::new(Route {
            name: route.name.as_str().into(),
            stack: Stack::new(policies.clone(), origin.clone()),
            origin,
            policies,
            signer,
        });
        table.insert(&route.hosts, &route.decoded_path(), &built);
        if let Buckets::Many(_) = route.origin.buckets {
            let root = service_root(route);
            table.insert_service(&route.hosts, &root, route.list_buckets, &built);
        }
        routes.push(built);
    }
    Ok(Router { table, routes })
}

/// The compiled rules of `referer`, `headers` and `ip`. Equal rules are compiled only once: an automaton needs many
/// times the memory of its list, often all routes have the same header fields, and a thousand routes may name one
/// file with ten thousand networks.
#[derive(Debug)]
pub struct SharedRules<'c> {
    referer: HashMap<RefererKey<'c>, Arc<Rules>>,
    headers: HashMap<Vec<RuleKey<'c>>, Arc<Headers>>,
    reports: &'c Reports,
    /// The compiled lists of the config, keyed by their networks.
    networks: HashMap<Vec<IpNet>, Arc<IpRanges>>,
    /// The compiled lists from files, keyed by path. All routes that name the same file have one list.
    files: HashMap<&'c Path, Arc<IpRanges>>,
}

/// The switches, the list `allow` and the list `deny`.
type RefererKey<'c> = (Switches, Vec<&'c str>, Vec<&'c str>);

impl<'c> SharedRules<'c> {
    /// Creates a collection without rules.
    #[must_use]
    pub fn new(reports: &'c Reports) -> Self {
        Self {
            referer: HashMap::new(),
            headers: HashMap::new(),
            reports,
            networks: HashMap::new(),
            files: HashMap::new(),
        }
    }

    /// Returns the compiled rules of `headers`; `None` when there are none.
    fn headers(&mut self, rules: &'c [config::policy::HeaderRule]) -> Option<Arc<Headers>> {
        if rules.is_empty() {
            return None;
        }
        let key = rules.iter().map(config::policy::HeaderRule::key).collect();
        let known = self.headers.entry(key);
        Some(Arc::clone(
            known.or_insert_with(|| Arc::new(Headers::new(rules))),
        ))
    }

    fn referer(
        &mut self,
        referer: &'c config::policy::Referer,
    ) -> Result<Arc<Rules>, ListTooLarge> {
        fn texts(list: &[Located]) -> Vec<&str> {
            list.iter().map(|pattern| pattern.text.as_str()).collect()
        }
        let switches = referer.switches();
        let key = (switches, texts(&referer.allow), texts(&referer.deny));
        if let Some(rules) = self.referer.get(&key) {
            return Ok(Arc::clone(rules));
        }
        let rules = Arc::new(Rules::new(switches, &key.1, &key.2)?);
        self.referer.insert(key, Arc::clone(&rules));
        Ok(rules)
    }

    fn ip(&mut self, ip: &'c config::policy::Ip) -> Ip {
        let deny = self.networks(&ip.deny);
        let allow = ip.has_allow().then(|| Allow {
            written: self.networks(&ip.allow),
            file: ip.file.as_deref().map(|list| {
                let set = self.files.entry(&list.path);
                Arc::clone(set.or_insert_with(|| Arc::new(IpRanges::new(&nets(&list.networks)))))
            }),
        });
        Ip { deny, allow }
    }

    fn networks(&mut self, list: &[Network]) -> Arc<IpRanges> {
        let list = nets(list);
        if let Some(set) = self.networks.get(&list) {
            return Arc::clone(set);
        }
        let set = Arc::new(IpRanges::new(&list));
        self.networks.insert(list, Arc::clone(&set));
        set
    }
}

fn nets(list: &[Network]) -> Vec<IpNet> {
    list.iter().map(|network| network.net).collect()
}

/// Compiles the policies of a route. `shared` has the compiled rules of the other routes.
///
/// # Errors
///
/// [`ListTooLarge`] when a list of `referer` cannot be compiled.
pub fn policies<'c>(
    route: &'c config::Route,
    shared: &mut SharedRules<'c>,
) -> Result<Policies, ListTooLarge> {
    let rules = &route.policies;
    let layout = layout(route);
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
        Some(referer) => {
            let rules = shared.referer(referer)?;
            let report =
                (referer.mode == RefererMode::Report).then(|| shared.reports.of_route(&route.name));
            let referer = Referer::new(report, rules, layout.clone(), root);
            Some(Arc::new(referer))
        }
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
        headers: shared.headers(&rules.headers),
        ip: rules.ip.as_ref().map(|ip| Arc::new(shared.ip(ip))),
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
                allow: rules
                    .guard
                    .iter()
                    .flat_map(|guard| &guard.allow)
                    .map(|allowed| allowed.operation.clone())
                    .collect(),
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

/// Returns where the requests of a route have the bucket and the key.
fn layout(route: &config::Route) -> Layout {
    let origin = &route.origin;
    let suffixes = match origin.buckets {
        Buckets::One(_) => None,
        // The suffixes are the wildcard hosts without their first label.
        Buckets::Many(_) => Some(
            (route.hosts.iter())
                .filter_map(|host| match host {
                    HostPattern::Wildcard(suffix) => Some(suffix.clone()),
                    HostPattern::Exact(_) => None,
                })
                .collect(),
        ),
    };
    let path = route.decoded_path();
    let strip = if origin.strip_path {
        path.strip_suffix(b"/").unwrap_or(&path).into()
    } else {
        Box::default()
    };
    Layout {
        strip,
        suffixes,
        prefix: origin.prefix.clone(),
    }
}

/// Returns the percent-decoded path of a request that names no bucket, without a slash at its end.
fn service_root(route: &config::Route) -> Vec<u8> {
    if !route.origin.strip_path {
        return Vec::new();
    }
    let path = route.decoded_path();
    path.strip_suffix(b"/").unwrap_or(&path).to_vec()
}

/// Returns the signer of a route; `None` if its origin has no credentials.
fn signer(sources: &Sources, route: &config::Route) -> Option<Arc<Signer>> {
    let (source, sign) = (route.origin.credentials.as_ref()?, route.sign.as_ref()?);
    let source = sources.get(source);
    Some(Arc::new(Signer::new(sign, source, sources.clock())))
}

/// Returns the origin of a route.
fn origin(
    registry: &Arc<Registry>,
    route: &config::Route,
    signer: Option<&Arc<Signer>>,
) -> Result<Origin, RegistryError> {
    let settings = &route.origin;
    let rewrite = Rewrite {
        buckets: settings.buckets.clone(),
        addressing: settings.addressing,
        layout: layout(route),
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
    // The hosts of one bucket are created now, so that an invalid setting is reported here and not at the
    // first request.
    let first = registry.tiers(settings, Some(names.first().copied().unwrap_or("any")))?;
    let service = match route.list_buckets {
        ListBuckets::Refuse => None,
        ListBuckets::Pass => Some(Service {
            root: service_root(route),
            tiers: registry.tiers(settings, None)?,
        }),
    };
    let make: MakeTiers = match settings.addressing {
        // In path style all buckets have the same host.
        Addressing::Path => Box::new(move |_| Some(Arc::clone(&first))),
        Addressing::VirtualHost => {
            let (registry, settings) = (Arc::clone(registry), Arc::clone(settings));
            Box::new(move |bucket| registry.tiers(&settings, Some(bucket)).ok())
        }
    };
    let signer = signer.map(|signer| Arc::clone(signer) as Arc<dyn SignRequests>);
    let endpoints = std::iter::once(&settings.endpoint).chain(&settings.fallback);
    let deadlines = Deadlines {
        first_byte: settings.timeouts.first_byte,
        idle: settings.timeouts.idle,
    };
    Ok(Origin::new(
        endpoints
            .map(|endpoint| endpoint.to_string().into())
            .collect(),
        Exchange::new(
            rewrite,
            BucketTable::new(names, make),
            service,
            signer,
            FieldChanges::new(&settings.headers),
            deadlines,
        ),
    ))
}
