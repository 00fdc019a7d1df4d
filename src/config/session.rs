//! The state that all readers of one config file share: its lines, the environment, and the problems found.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use crate::config::interpolate::Env;
use crate::config::lines::Lines;
use crate::config::network_list::NetworkList;
use crate::config::problem::{Problem, Source};

/// The trusted CA certificates in one PEM file.
pub(crate) type TrustedCas = Arc<[CertificateDer<'static>]>;

/// The state while one config file is read.
pub(crate) struct Session<'a> {
    pub(crate) lines: Arc<Lines>,
    pub(crate) env: Env<'a>,
    /// The directory to which relative paths are relative.
    pub(crate) base: &'a Path,
    /// The current time, in seconds since 1970.
    pub(crate) now: i64,
    pub(crate) problems: RefCell<Vec<Problem>>,
    /// The CA certificates of each file that a `ca` key names. Usually all routes name the same file, which
    /// is then read only once.
    trusted: RefCell<HashMap<PathBuf, TrustedCas>>,
    /// The list of each file that an `ip.file` key names; `None` if the file is wrong.
    network_lists: RefCell<HashMap<PathBuf, Option<Arc<NetworkList>>>>,
}

impl<'a> Session<'a> {
    /// Creates a session without problems.
    pub(crate) fn new(source: &Source, env: Env<'a>, base: &'a Path, now: i64) -> Self {
        Self {
            lines: source.lines(),
            env,
            base,
            now,
            problems: RefCell::default(),
            trusted: RefCell::default(),
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

    /// Returns the problems, in the order of detection.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}
