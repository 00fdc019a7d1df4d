//! Reads files with networks (`ip.file`) again while the proxy serves.
//!
//! Only the contents of these files are replaced in the config in use. Edits of the config file itself take
//! effect at the next reload.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;

use crate::app::change::LiveConfig;
use crate::app::state::ConfigWarning;
use crate::config::Config;
use crate::config::network_list::NetworkList;
use crate::route::build::{self, BuildError};

/// The new list of each file, or the reason why its previous list stays in use.
type Lists<'p> = BTreeMap<&'p Path, Result<Arc<NetworkList>, String>>;

fn nets(list: &NetworkList) -> impl Iterator<Item = &IpNet> {
    list.networks.iter().map(|network| &network.net)
}

/// The outcome of reading lists again.
#[derive(Debug, Default)]
pub struct RenewedLists {
    /// The lists that are in use from now on.
    pub lists: Vec<Arc<NetworkList>>,
    /// The warnings about these lists.
    pub warnings: Vec<String>,
    /// One error for each list that cannot be used. The previous version of such a list stays in use.
    pub errors: Vec<String>,
}

impl LiveConfig {
    /// Reads the lists at `paths` again, and replaces them in all routes at once. If a list cannot be used, its
    /// previous version stays in use, and the config counts as not reloaded until the list can be used.
    pub(in crate::app) fn renew_lists(&mut self, paths: &[PathBuf]) -> RenewedLists {
        let read = |path: &PathBuf| match NetworkList::read(path) {
            Ok(list) => Ok(Arc::new(list)),
            Err(error) => Err(error.to_string()),
        };
        let mut read: Lists<'_> = paths.iter().map(|path| (&**path, read(path))).collect();
        let mut config = self.config.clone();
        match self.serve_lists(&mut config, &read) {
            Ok(()) => self.config = config,
            Err(error) => {
                for outcome in read.values_mut().filter(|outcome| outcome.is_ok()) {
                    *outcome = Err(error.to_string());
                }
            }
        }
        let warnings = self.note_lists(&read);
        let (lists, errors): (Vec<_>, Vec<_>) = read.into_values().partition(Result::is_ok);
        RenewedLists {
            lists: lists.into_iter().filter_map(Result::ok).collect(),
            warnings,
            errors: errors.into_iter().filter_map(Result::err).collect(),
        }
    }

    /// Puts the lists that could be read into `config`. If the networks of a list have changed, builds the routes of
    /// `config` and serves them. If only comments in the files have changed, the routes stay as they are.
    fn serve_lists(&self, config: &mut Config, read: &Lists<'_>) -> Result<(), BuildError> {
        let mut is_changed = false;
        let mut compared = HashSet::new();
        for route in &mut config.routes {
            let file = route.policies.ip.as_mut().and_then(|ip| ip.file.as_mut());
            if let Some(file) = file
                && let Some(Ok(list)) = read.get(&*file.path)
            {
                // All routes that name this file have the same list, so one comparison is enough.
                if compared.insert(&*list.path) {
                    is_changed |= !nets(file).eq(nets(list));
                }
                *file = Arc::clone(list);
            }
        }
        if is_changed {
            let router = build::router(
                config,
                &self.state.registry,
                &self.state.referer_reports,
                &self.state.credentials,
            )?;
            self.state.routes().clone_from(&router.routes);
            self.router.send_replace(Arc::new(router));
        }
        Ok(())
    }

    /// Records which lists could be used, and replaces the warnings about the previous lists. Returns the
    /// warnings about the new lists. Each warning occurs once, even if many routes name the same file.
    fn note_lists(&self, read: &Lists<'_>) -> Vec<String> {
        let (mut keys, mut lines, mut shown) = (HashSet::new(), Vec::new(), Vec::new());
        let (mut named, mut empty) = (HashSet::new(), HashSet::new());
        for (index, route) in self.config.routes.iter().enumerate() {
            let Some(ip) = &route.policies.ip else {
                continue;
            };
            let Some((path, outcome)) = ip.file.as_ref().and_then(|file| {
                let (path, outcome) = read.get_key_value(&*file.path)?;
                Some((*path, outcome))
            }) else {
                continue;
            };
            let key = format!("route[{index}].ip.file");
            let mut show = |line: String| {
                let path = key.clone();
                shown.push(ConfigWarning { path, line });
            };
            let is_first = named.insert(path);
            match outcome {
                Ok(list) => {
                    if is_first {
                        list.warnings.iter().cloned().for_each(&mut show);
                        lines.extend_from_slice(&list.warnings);
                    }
                    if list.networks.is_empty() && ip.allow.is_empty() && empty.insert(path) {
                        let (path, name) = (path.display(), &route.name);
                        let line = format!(
                            "{path}: lists no network: route `{name}` refuses every client"
                        );
                        show(line.clone());
                        lines.push(line);
                    }
                }
                Err(error) if is_first => show(format!("{error}; the previous list is in use")),
                Err(_) => {}
            }
            keys.insert(key);
        }
        let outcomes = read.iter().map(|(path, outcome)| (*path, outcome.is_ok()));
        self.state.note_lists(outcomes);
        self.state
            .replace_warnings(|path| keys.contains(path), shown);
        lines
    }
}
