//! The sources in use. Routes with equal sources share one [`Source`], so the number of refreshes does not depend
//! on the number of routes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::source::{Source, keep};
use crate::config::{CredentialSource, NamedFiles};
use crate::identity::Clock;

/// The sources in use.
pub struct Sources {
    clock: Clock,
    files: NamedFiles,
    known: Mutex<Known>,
    tasks: mpsc::UnboundedSender<Weak<Source>>,
}

#[derive(Default)]
struct Known {
    sources: HashMap<CredentialSource, Weak<Source>>,
    /// When `sources` has this number of entries, the entries of dropped sources are removed.
    most: usize,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

/// Refreshes the keys of [`Sources`] on the control runtime.
#[derive(Debug)]
pub struct Runner {
    tasks: mpsc::UnboundedReceiver<Weak<Source>>,
    random: u64,
}

/// Creates an empty registry and its runner. `random` should differ between processes, so that they refresh
/// their keys at different times. If the runner does not run, the registry only has keys that need no
/// connection. With [`NamedFiles::Skip`], sources that name files then have no key either.
#[must_use]
pub fn sources(clock: Clock, random: u64, files: NamedFiles) -> (Arc<Sources>, Runner) {
    let (sender, tasks) = mpsc::unbounded_channel();
    let sources = Sources {
        clock,
        files,
        known: Mutex::default(),
        tasks: sender,
    };
    (Arc::new(sources), Runner { tasks, random })
}

impl Sources {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the clock of the sources.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Returns the source that `config` describes, and creates it if necessary. The source lives until its last
    /// user drops it.
    #[must_use]
    pub fn get(&self, config: &CredentialSource) -> Arc<Source> {
        let mut known = self.known();
        if let Some(source) = known.sources.get(config).and_then(Weak::upgrade) {
            return source;
        }
        if known.sources.len() >= known.most {
            known.sources.retain(|_, source| source.strong_count() > 0);
            known.most = 2 * known.sources.len() + 16;
        }
        let source = Arc::new(Source::new(config, self.clock, self.files));
        known
            .sources
            .insert(config.clone(), Arc::downgrade(&source));
        if source.changes() {
            // Sending fails only if the runner has been dropped. Then keys are not refreshed.
            drop(self.tasks.send(Arc::downgrade(&source)));
        }
        source
    }

    /// Returns the sources in use, sorted by label.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Source>> {
        let mut known = self.known();
        // The config in an entry may contain an access key, so the entries of dropped sources are removed.
        known.sources.retain(|_, source| source.strong_count() > 0);
        let mut all: Vec<Arc<Source>> = known.sources.values().filter_map(Weak::upgrade).collect();
        all.sort_by(|one, other| one.label().cmp(other.label()));
        all
    }
}

impl Runner {
    /// Refreshes the keys of all sources, until the registry is dropped.
    pub async fn run(mut self) {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                source = self.tasks.recv() => match source {
                    Some(source) => drop(tasks.spawn(keep(source, self.random))),
                    None => break,
                },
                Some(_ended) = tasks.join_next() => {}
            }
        }
        while tasks.join_next().await.is_some() {}
    }
}
