//! The state that all readers of one config share: its environment, and the problems found.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use crate::config::interpolate::Env;
use crate::config::network_list::NetworkList;
use crate::config::problem::Problem;

/// The trusted CA certificates in one PEM file.
pub(crate) type TrustedCas = Arc<[CertificateDer<'static>]>;

/// What happens with the files that a config names: certificates, keys, CAs, the files of `${file:}`, and the
/// directories of logs. Included files are a part of the config itself, so they are always read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedFiles {
    /// The files are read and checked.
    Read,
    /// The files are not looked at, so they need not exist. The config can be checked and explained, and it
    /// cannot be served: it has no certificates.
    Skip,
}

/// The state of reading one config.
pub(crate) struct Session<'a> {
    pub(crate) env: Env<'a>,
    pub(crate) named_files: NamedFiles,
    /// The current time, in seconds since 1970.
    pub(crate) now: i64,
    pub(crate) problems: RefCell<Vec<Problem>>,
    /// The CA certificates of each file that a `ca` key names. Usually all routes name the same file, which
    /// is then read only once.
    trusted: RefCell<HashMap<PathBuf, TrustedCas>>,
    /// The files that were not looked at, in the order of the config.
    skipped: RefCell<Vec<PathBuf>>,
    /// The list of each file that an `ip.file` key names; `None` if the file is wrong.
    network_lists: RefCell<HashMap<PathBuf, Option<Arc<NetworkList>>>>,
}

impl<'a> Session<'a> {
    /// Creates a session without problems.
    pub(crate) fn new(env: Env<'a>, named_files: NamedFiles, now: i64) -> Self {
        Self {
            env,
            named_files,
            now,
            problems: RefCell::default(),
            trusted: RefCell::default(),
            skipped: RefCell::default(),
            network_lists: RefCell::default(),
        }
    }

    /// Returns the CA certificates of the file at `path`. If no earlier call has read the file, it is read
    /// with `read`. Returns `None` if `read` fails.
    pub(crate) fn trusted(
        &self,
        path: &Path,
        read: impl FnOnce() -> Option<Vec<CertificateDer<'static>>>,
    ) -> Option<TrustedCas> {
        let known = self.trusted.borrow().get(path).map(Arc::clone);
        known.or_else(|| {
            let read: TrustedCas = read()?.into();
            let mut trusted = self.trusted.borrow_mut();
            trusted.insert(path.to_owned(), Arc::clone(&read));
            Some(read)
        })
    }

    /// Whether the file at `path` must not be looked at. If so, notes the path.
    pub(crate) fn skips(&self, path: &Path) -> bool {
        let skips = self.named_files == NamedFiles::Skip;
        if skips {
            self.skipped.borrow_mut().push(path.to_owned());
        }
        skips
    }

    /// Returns the files that were not looked at, each once, in the order of the config.
    pub(crate) fn take_skipped(&self) -> Vec<PathBuf> {
        let mut seen = std::collections::HashSet::new();
        let mut skipped = self.skipped.take();
        skipped.retain(|path| seen.insert(path.clone()));
        skipped
    }

    /// Returns the list of networks of the file at `path`. If no earlier call has read the file, it is read with
    /// `read`. Returns `None` if this or an earlier `read` of the file has failed.
    pub(crate) fn network_list(
        &self,
        path: &Path,
        read: impl FnOnce() -> Option<NetworkList>,
    ) -> Option<Arc<NetworkList>> {
        if let Some(known) = self.network_lists.borrow().get(path) {
            return known.clone();
        }
        let read = read().map(Arc::new);
        let mut lists = self.network_lists.borrow_mut();
        lists.insert(path.to_owned(), read.clone());
        read
    }
}
