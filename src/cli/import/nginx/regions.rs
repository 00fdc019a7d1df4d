//! Finds the routes that would serve requests that nginx refuses.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use crate::cli::import::nginx::loss::Loss;
use crate::cli::import::nginx::output::Route;

/// The paths of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Paths {
    /// Paths that begin with this text.
    Prefix(String),
    /// Paths that begin with this text, unless the route whose path is this text serves them. For example, the
    /// route `/img` does not serve `/imgx`.
    Beside(String),
    /// This path.
    Exact(String),
    /// Paths of any form: all paths, or the paths that match a regular expression.
    Any,
    /// Paths for which the host has no route of its own.
    Elsewhere,
}

/// A set of requests of which nginx refuses some or all.
#[derive(Debug)]
pub(super) struct Region {
    /// The hosts. An empty list, or an empty text in the list, means every host that no other server names.
    pub(super) hosts: Rc<[String]>,
    pub(super) paths: Paths,
    /// The listeners of the server.
    pub(super) listens: Vec<String>,
    /// The directives that refuse the requests.
    pub(super) losses: Vec<Rc<Loss>>,
}

/// Adds to each route the losses of the regions that it would serve. `is_open` returns whether requests of a
/// region reach a route through one of the listeners of the region.
pub(super) fn add_losses(
    regions: &[Region],
    routes: &mut [Route],
    is_open: impl Fn(&Region, &Route) -> bool,
) {
    let mut by_host: HashMap<String, BTreeMap<String, usize>> = HashMap::new();
    let mut shortest: HashMap<String, usize> = HashMap::new();
    for (number, route) in routes.iter().enumerate() {
        for host in keys(&route.hosts) {
            let first = shortest.entry(host.clone()).or_insert(number);
            let known = routes.get(*first).map_or(0, |known| known.path.len());
            if route.path.len() < known {
                *first = number;
            }
            by_host
                .entry(host)
                .or_default()
                .insert(route.path.clone(), number);
        }
    }
    for region in regions {
        let mut covering = HashSet::new();
        for host in keys(&region.hosts) {
            let found = broader(&host)
                .into_iter()
                .find_map(|key| match &region.paths {
                    Paths::Elsewhere if key == host => None,
                    Paths::Any | Paths::Elsewhere => shortest.get(&key).copied(),
                    Paths::Prefix(path) => {
                        let routes = by_host.get(&key)?;
                        // A route of the same host inside the region comes from an inner location, which has
                        // rules of its own.
                        let inside = || first_inside(routes, path).filter(|_| key != host);
                        find(routes, path, None).or_else(inside)
                    }
                    Paths::Exact(path) => find(by_host.get(&key)?, path, None),
                    Paths::Beside(path) => find(by_host.get(&key)?, path, Some(path)),
                });
            covering.extend(found);
        }
        for number in covering {
            let Some(route) = routes.get(number) else {
                continue;
            };
            if !is_open(region, route) {
                continue;
            }
            if let Some(route) = routes.get_mut(number) {
                route.losses.extend(region.losses.iter().cloned());
            }
        }
    }
}

/// Returns the keys under which the routes of `hosts` are stored. The key for "every host" is the empty text.
fn keys(hosts: &[String]) -> Vec<String> {
    if hosts.is_empty() {
        return vec![String::new()];
    }
    hosts.iter().map(|host| host.to_ascii_lowercase()).collect()
}

/// Returns the keys of the routes that can serve `host`. The most specific key is first, as in the search for a
/// route.
fn broader(host: &str) -> Vec<String> {
    let mut keys = vec![host.to_owned()];
    if !host.starts_with('*')
        && let Some((_, parent)) = host.split_once('.')
    {
        keys.push(format!("*.{parent}"));
    }
    if !host.is_empty() {
        keys.push(String::new());
    }
    keys
}

/// Returns the route with the longest path that is a prefix of `path` in whole segments. A route with the path
/// `except` is skipped.
fn find(routes: &BTreeMap<String, usize>, path: &str, except: Option<&str>) -> Option<usize> {
    let ends = path.match_indices('/').map(|(at, _)| at);
    let mut ends: Vec<usize> = ends.flat_map(|at| [at, at + 1]).collect();
    ends.push(path.len());
    ends.sort_unstable_by(|left, right| right.cmp(left));
    let candidates = ends.into_iter().filter_map(|end| path.get(..end));
    candidates
        .filter(|candidate| Some(*candidate) != except)
        .find_map(|candidate| routes.get(candidate).copied())
}

/// Returns a route whose path begins with `path`.
fn first_inside(routes: &BTreeMap<String, usize>, path: &str) -> Option<usize> {
    let (found, number) = routes.range(path.to_owned()..).next()?;
    found.starts_with(path).then_some(*number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_that_serves_a_region_is_found() {
        let route = |hosts: &[&str], path: &str| Route {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            path: path.to_owned(),
            ..Route::default()
        };
        let routes = || {
            vec![
                route(&["a.cn"], "/"),
                route(&["a.cn"], "/img/"),
                route(&["*.b.cn"], "/x"),
                route(&[], "/"),
            ]
        };
        for (hosts, paths, expected) in [
            (vec!["a.cn"], Paths::Prefix("/img/private/".into()), Some(1)),
            (vec!["a.cn"], Paths::Prefix("/img".into()), Some(0)),
            (vec!["A.cn"], Paths::Exact("/imgx".into()), Some(0)),
            (vec!["a.cn"], Paths::Beside("/img/".into()), Some(0)),
            (vec!["a.cn"], Paths::Any, Some(0)),
            (vec!["y.b.cn"], Paths::Prefix("/x/y".into()), Some(2)),
            (vec!["y.b.cn"], Paths::Prefix("/y".into()), Some(3)),
            (vec!["z.b.cn"], Paths::Prefix("/".into()), Some(2)),
            (vec!["a.cn"], Paths::Elsewhere, Some(3)),
            (vec![], Paths::Prefix("/".into()), Some(3)),
        ] {
            let region = Region {
                hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
                paths,
                listens: Vec::new(),
                losses: vec![Rc::new(Loss::new(&Default::default(), "", ""))],
            };
            let mut routes = routes();
            add_losses(std::slice::from_ref(&region), &mut routes, |_, _| true);
            let found = routes.iter().position(|route| !route.losses.is_empty());
            assert_eq!(found, expected, "{region:?}");
        }
        let mut none = vec![route(&["a.cn"], "/img/")];
        let region = Region {
            hosts: ["a.cn".to_owned()].into(),
            paths: Paths::Prefix("/".to_owned()),
            listens: Vec::new(),
            losses: vec![Rc::new(Loss::new(&Default::default(), "", ""))],
        };
        add_losses(&[region], &mut none, |_, _| true);
        assert!(none[0].losses.is_empty());
    }
}
