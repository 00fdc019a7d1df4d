//! Finds the route for a host and a path. Pure.
//!
//! An exact host wins over a wildcard, and a wildcard over "every host". Within one host the longest path
//! prefix wins. A prefix matches whole segments: `/img` serves `/img` and `/img/a`, but not `/image`.
//! Paths are compared as OSS reads them (see [`spelling`](crate::oss::spelling)), those of the config and
//! those of requests.

use std::collections::HashMap;

use crate::config::HostPattern;
use crate::route::paths::Paths;

/// The routes of a config by host and path.
#[derive(Debug)]
pub struct Table<T> {
    exact: HashMap<Box<str>, Paths<T>>,
    wildcard: HashMap<Box<str>, Paths<T>>,
    every: Paths<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            every: Paths::default(),
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

    /// Returns the route for `host` and the decoded `path`. `host` has no port; it is empty when the request has none.
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
        exact().or_else(wildcard).or_else(|| self.every.find(path))
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
}
