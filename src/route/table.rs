//! Finds the route for a host and a path. There is no I/O.
//!
//! A route with an exact host has priority over a route with a wildcard host; a route without hosts comes
//! after both. For one host, the longest path prefix has priority. A prefix matches whole segments: `/img`
//! serves `/img` and `/img/a`, but not `/image`. The paths of the config and of requests are compared as OSS
//! reads them (see [`spelling`](crate::oss::spelling)).

use std::collections::HashMap;

use crate::config::{HostPattern, ListBuckets};
use crate::route::paths::Paths;

/// The routes of a config, which are found by host and path.
#[derive(Debug)]
pub struct Table<T> {
    exact: HashMap<Box<str>, Paths<T>>,
    wildcard: HashMap<Box<str>, Paths<T>>,
    every: Paths<T>,
    /// The routes for requests that name no bucket. These are the routes with several buckets. The keys are the
    /// suffixes of their wildcard hosts.
    services: HashMap<Box<str>, Vec<ServiceRoute<T>>>,
}

/// A route with several buckets, for requests that name no bucket.
#[derive(Debug)]
struct ServiceRoute<T> {
    /// The path of a request that names no bucket, without a slash at its end.
    root: Box<[u8]>,
    list_buckets: ListBuckets,
    route: T,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            every: Paths::default(),
            services: HashMap::new(),
        }
    }
}

impl<T: Clone> Table<T> {
    /// Adds a route for `hosts` and the decoded path prefix `path`. No `hosts` means every host.
    pub fn insert(&mut self, hosts: &[HostPattern], path: &[u8], route: &T) {
        if hosts.is_empty() {
            self.every.insert(path, route.clone());
        }
        for host in hosts {
            let (group, name) = match host {
                HostPattern::Exact(name) => (&mut self.exact, name),
                HostPattern::Wildcard(suffix) => (&mut self.wildcard, suffix),
            };
            group
                .entry(name.as_str().into())
                .or_default()
                .insert(path, route.clone());
        }
    }

    /// Adds a route with several buckets for requests that name no bucket. Such requests have the decoded
    /// path `root`, and their host is the suffix of one of the route's wildcard hosts. `root` has no
    /// slash at its end.
    pub fn insert_service(
        &mut self,
        hosts: &[HostPattern],
        root: &[u8],
        list_buckets: ListBuckets,
        route: &T,
    ) {
        for host in hosts {
            if let HostPattern::Wildcard(suffix) = host {
                let services = self.services.entry(suffix.as_str().into()).or_default();
                services.push(ServiceRoute {
                    root: root.into(),
                    list_buckets,
                    route: route.clone(),
                });
            }
        }
    }

    /// Returns the route for `host` and the decoded `path`. `host` has no port; for a request without a host
    /// it is empty.
    #[must_use]
    pub fn find(&self, host: &str, path: &[u8]) -> Option<&T> {
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.find_lower(&host.to_ascii_lowercase(), path);
        }
        self.find_lower(host, path)
    }

    fn find_lower(&self, host: &str, path: &[u8]) -> Option<&T> {
        let exact = || self.exact.get(host)?.find(path);
        let wildcard = || self.wildcard.get(host.split_once('.')?.1)?.find(path);
        let every = || self.every.find(path);
        // `ListBuckets::Refuse` comes last, because its route only refuses the request. A refusal is better
        // than the error "unknown host", but every other route has priority over a refusal.
        exact()
            .or_else(wildcard)
            .or_else(|| self.find_service(host, path, ListBuckets::Pass))
            .or_else(every)
            .or_else(|| self.find_service(host, path, ListBuckets::Refuse))
    }

    fn find_service(&self, host: &str, path: &[u8], wanted: ListBuckets) -> Option<&T> {
        if self.services.is_empty() {
            return None;
        }
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let mut routes = self.services.get(host)?.iter();
        let found = routes.find(|one| *one.root == *path && one.list_buckets == wanted);
        found.map(|found| &found.route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_route_serves() {
        let mut table = Table::default();
        let exact = HostPattern::Exact("img.example.com".into());
        let wildcard = HostPattern::Wildcard("example.com".into());
        table.insert(std::slice::from_ref(&exact), b"/", &"exact");
        table.insert(std::slice::from_ref(&exact), b"/thumbs/", &"thumbs");
        table.insert(std::slice::from_ref(&wildcard), b"/", &"wildcard");
        table.insert(&[], b"/only", &"every");
        for (host, path, expected) in [
            ("img.example.com", "/a", Some("exact")),
            ("IMG.Example.com", "/a", Some("exact")),
            ("img.example.com", "/thumbs/a", Some("thumbs")),
            ("img.example.com", "/thumbs", Some("exact")),
            ("img.example.com", "/thumbsx", Some("exact")),
            ("b.example.com", "/a", Some("wildcard")),
            ("a.b.example.com", "/a", None),
            ("example.com", "/a", None),
            ("other.org", "/only/a", Some("every")),
            ("other.org", "/only", Some("every")),
            ("other.org", "/onlyx", None),
            ("", "/only", Some("every")),
        ] {
            assert_eq!(
                table.find(host, path.as_bytes()).copied(),
                expected,
                "{host}{path}"
            );
        }
    }

    #[test]
    fn the_bare_suffix_is_for_the_service_only() {
        let wildcard = [HostPattern::Wildcard("oss.example.com".into())];
        for (list_buckets, before_every) in
            [(ListBuckets::Pass, true), (ListBuckets::Refuse, false)]
        {
            let mut table = Table::default();
            table.insert(&wildcard, b"/", &"buckets");
            table.insert_service(&wildcard, b"", list_buckets, &"service");
            table.insert_service(&wildcard, b"/api", list_buckets, &"api");
            for (host, path, expected) in [
                ("oss.example.com", "/", Some("service")),
                ("OSS.example.com", "/", Some("service")),
                ("oss.example.com", "/api", Some("api")),
                ("oss.example.com", "/api/", Some("api")),
                ("oss.example.com", "/bucket", None),
                ("oss.example.com", "//", None),
                ("example.com", "/", None),
                ("a.oss.example.com", "/", Some("buckets")),
            ] {
                assert_eq!(
                    table.find(host, path.as_bytes()).copied(),
                    expected,
                    "{host}{path}"
                );
            }
            table.insert(&[], b"/", &"every");
            let found = table.find("oss.example.com", b"/").copied();
            let expected = if before_every { "service" } else { "every" };
            assert_eq!(found, Some(expected), "{list_buckets:?}");
            let found = table.find("oss.example.com", b"/bucket").copied();
            assert_eq!(found, Some("every"), "{list_buckets:?}");
        }
    }
}
