//! The access key that one source currently has, and its refresh.
//!
//! Only the refresh task of a source fetches keys after the start, so there is one attempt at a time. Requests
//! read the key in use. A key stays in use until it is replaced or expires, even if attempts to refresh it
//! fail.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::fetch::{fetch, local};
use super::fetched::{FetchError, Fetched};
use super::schedule::{until_refresh, until_retry};
use crate::config::{AccessKey, CredentialSource, NamedFiles, Secret};
use crate::http::signing::NoCredentials;
use crate::identity::Clock;

/// How often the files of a source are checked for changes.
const FILE_POLL: Duration = Duration::from_secs(1);
/// The time after which a key without an expiry is fetched again, in case a change of the key was not noticed.
const UNLIMITED: Duration = Duration::from_secs(24 * 3600);
/// The minimum time between two attempts that are made because a request asks for another key.
const ASK_SPACING: Duration = Duration::from_secs(5);
/// The maximum time that a request waits for an attempt. An attempt usually takes some milliseconds. It takes
/// at most six seconds, for three requests to the metadata service.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// An access key in use.
#[derive(Debug)]
pub struct Key {
    /// The number of the key among the keys that its source has returned. When the source returns a key with
    /// another id, secret or token, that key gets the next number.
    pub number: u64,
    /// The public part.
    pub id: String,
    /// The secret part.
    pub secret: Secret,
    /// The security token, as a header value, because each request sends it. `None` for a permanent key.
    pub token: Option<HeaderValue>,
    /// The time at which the key expires, in seconds since 1970. `None` if the source has given no expiry.
    pub expires: Option<u64>,
    /// The time at which the source last returned the key, in seconds since 1970.
    pub fetched: u64,
}

impl Key {
    /// Whether the key has expired at `now`.
    #[must_use]
    pub fn has_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    fn is_same(&self, other: &AccessKey) -> bool {
        let token = self.token.as_ref().map(HeaderValue::as_bytes);
        let other_token = other.security_token.as_ref();
        self.id == other.id
            && self.secret == other.secret
            && token == other_token.map(|token| token.reveal().as_bytes())
    }
}

/// The state of a source.
#[derive(Clone, Debug, Default)]
pub struct SourceState {
    /// The latest key; it may have expired. `None` if the source has never returned a key.
    pub key: Option<Arc<Key>>,
    /// The number of attempts that have ended.
    pub attempts: u64,
    /// The number of attempts that failed.
    pub failures: u64,
    /// The reason why the latest attempt failed; `None` if it succeeded.
    pub failure: Option<String>,
    /// The number of failed attempts since the latest success.
    failures_in_row: u32,
}

/// A source of access keys. All routes whose config describes the same source share one value.
#[derive(Debug)]
pub struct Source {
    config: CredentialSource,
    label: String,
    state: watch::Sender<SourceState>,
    /// Wakes the refresh task when a request asks for an attempt, and when the source is dropped.
    wake: Arc<Notify>,
    /// The time at which a request last asked for an attempt, and the number of attempts that had ended by then.
    asked: Mutex<Option<(Instant, u64)>>,
    clock: Clock,
}

impl Drop for Source {
    /// Ends the refresh task.
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

impl Source {
    /// Creates the source. Reads a key that needs no connection at once, unless `files` forbids reading its
    /// files.
    pub(super) fn new(config: &CredentialSource, clock: Clock, files: NamedFiles) -> Self {
        let source = Self {
            config: config.clone(),
            label: config.to_string(),
            state: watch::Sender::default(),
            wake: Arc::default(),
            asked: Mutex::default(),
            clock,
        };
        if files == NamedFiles::Skip && !source.files().is_empty() {
            return source;
        }
        let found = local(config);
        if found.is_ok() || !needs_connection(config) {
            source.note(found);
        }
        source
    }

    /// Returns the text that identifies the source in logs, metrics and `status`. It contains nothing secret.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Returns the value of the key `source` in the config.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.config.kind()
    }

    /// Returns the state of the source.
    #[must_use]
    pub fn state(&self) -> SourceState {
        self.state.borrow().clone()
    }

    /// Returns the key in use; `None` if there is no key or the latest key has expired.
    #[must_use]
    pub fn key(&self) -> Option<Arc<Key>> {
        let key = self.state.borrow().key.as_ref().map(Arc::clone);
        key.filter(|key| !key.has_expired((self.clock)()))
    }

    /// Whether a new attempt can return another key than the key in use.
    pub(super) fn changes(&self) -> bool {
        !matches!(
            self.config,
            CredentialSource::Env(_) | CredentialSource::Static(_)
        )
    }

    /// Whether the first attempt has not ended yet.
    #[must_use]
    pub fn is_starting(&self) -> bool {
        self.state.borrow().attempts == 0
    }

    /// Waits until the first attempt has ended, but at most some seconds.
    pub async fn started(&self) {
        let mut state = self.state.subscribe();
        let started = state.wait_for(|state| state.attempts > 0);
        // If the time is over first, the caller finds no key.
        drop(tokio::time::timeout(LONGEST_WAIT, started).await);
    }

    /// Asks for another key than the key with the number `used`, and waits for an attempt to get it. Returns
    /// whether the source has another key then.
    ///
    /// All requests that ask at the same time wait for one attempt. Requests cause at most one attempt in five
    /// seconds.
    pub async fn renewed(&self, used: u64) -> bool {
        let mut state = self.state.subscribe();
        let is_other =
            |state: &SourceState| state.key.as_ref().is_some_and(|key| key.number != used);
        let attempts = {
            let now = state.borrow();
            if is_other(&now) {
                return true;
            }
            now.attempts
        };
        if !self.changes() {
            return false;
        }
        let awaited = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            match *asked {
                Some((at, before)) if now.saturating_duration_since(at) < ASK_SPACING => before,
                Some(_) | None => {
                    *asked = Some((now, attempts));
                    self.wake.notify_one();
                    attempts
                }
            }
        };
        let ended = state.wait_for(|state| is_other(state) || state.attempts > awaited);
        let ended = tokio::time::timeout(LONGEST_WAIT, ended).await;
        ended.is_ok_and(|state| state.is_ok_and(|state| is_other(&state)))
    }

    /// Records the outcome of an attempt.
    fn note(&self, outcome: Result<Fetched, FetchError>) {
        let now = (self.clock)();
        self.state.send_modify(|state| {
            state.attempts += 1;
            match outcome {
                // The clock of this machine may be ahead, or the source may be late. An expired key counts as
                // a failure, because without the pause after a failure the source would be asked without end.
                Ok(fetched) if fetched.expires.is_some_and(|expires| expires <= now) => {
                    self.note_failure(state, &FetchError::Expired, now);
                }
                Ok(fetched) => self.note_key(state, fetched, now),
                Err(error) => self.note_failure(state, &error, now),
            }
        });
    }

    fn note_key(&self, state: &mut SourceState, fetched: Fetched, now: u64) {
        let Fetched { key, expires } = fetched;
        let known = state.key.as_deref();
        let is_same = known.is_some_and(|known| known.is_same(&key));
        let number = known.map_or(0, |known| known.number) + u64::from(!is_same);
        let token = key.security_token.as_ref().and_then(|token| {
            let mut value = HeaderValue::from_str(token.reveal()).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        if !is_same || state.failures_in_row > 0 {
            tracing::info!(
                source = self.label,
                key_id = key.id,
                expires,
                "access key in use"
            );
        }
        state.key = Some(Arc::new(Key {
            number,
            id: key.id,
            secret: key.secret,
            token,
            expires,
            fetched: now,
        }));
        state.failure = None;
        state.failures_in_row = 0;
    }

    fn note_failure(&self, state: &mut SourceState, error: &FetchError, now: u64) {
        let text = error.to_string();
        // Failures in a row with the same reason are logged once.
        if state.failure.as_ref() != Some(&text) {
            let expires_in = remaining(state, now);
            tracing::warn!(
                source = self.label,
                error = text,
                expires_in,
                advice = NoCredentials {
                    source: self.kind()
                }
                .advice(),
                "access key not refreshed"
            );
        }
        state.failure = Some(text);
        state.failures += 1;
        state.failures_in_row = state.failures_in_row.saturating_add(1);
    }

    /// Returns the time until the next attempt. `random` spreads the refreshes of several proxies.
    fn pause(&self, random: u64) -> Duration {
        let state = self.state.borrow();
        let remaining = remaining(&state, (self.clock)());
        match (state.failures_in_row, remaining) {
            (0, Some(remaining)) => until_refresh(remaining, random),
            (0, None) => UNLIMITED,
            (failures, remaining) => until_retry(failures, remaining),
        }
    }

    /// Returns the files from which the key may come.
    fn files(&self) -> Vec<PathBuf> {
        let parts = match &self.config {
            CredentialSource::Chain(parts) => &parts[..],
            one => std::slice::from_ref(one),
        };
        let file = |part: &CredentialSource| match part {
            CredentialSource::File(path) | CredentialSource::Profile { path, .. } => {
                Some(path.clone())
            }
            CredentialSource::Env(_)
            | CredentialSource::Static(_)
            | CredentialSource::EcsRamRole { .. }
            | CredentialSource::Chain(_) => None,
        };
        parts.iter().filter_map(file).collect()
    }
}

/// Returns the time until the latest key expires, in seconds; `None` if there is no key or the key does not
/// expire.
fn remaining(state: &SourceState, now: u64) -> Option<u64> {
    let expires = state.key.as_ref().and_then(|key| key.expires);
    expires.map(|expires| expires.saturating_sub(now))
}

fn needs_connection(config: &CredentialSource) -> bool {
    matches!(
        config,
        CredentialSource::EcsRamRole { .. } | CredentialSource::Chain(_)
    )
}

/// The metadata by which two states of a file are compared; `None` when the file is not accessible.
type Stamp = Option<(u64, u64, i64, i64)>;

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &Metadata| (file.ino(), file.size(), file.mtime(), file.mtime_nsec());
    let of = |path: &PathBuf| std::fs::metadata::<&Path>(path).ok().as_ref().map(stamp);
    files.iter().map(of).collect()
}

/// Fetches the key of a source again and again, until the source is dropped.
pub(super) async fn keep(source: Weak<Source>, random: u64) {
    loop {
        let (files, wake, pause, read) = {
            let Some(source) = source.upgrade() else {
                return;
            };
            let files = source.files();
            // The stamps are taken before the files are read, so that a change after this is noticed.
            let read = stamps(&files);
            let outcome = fetch(&source.config).await;
            source.note(outcome);
            (files, Arc::clone(&source.wake), source.pause(random), read)
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = wake.notified() => {}
            () = changed(&files, read) => {}
        }
    }
}

/// Waits until a file no longer has its stamp in `read` and then has not changed for one [`FILE_POLL`], so that
/// a half-written file is not read. If `files` is empty, never returns.
async fn changed(files: &[PathBuf], read: Vec<Stamp>) {
    if files.is_empty() {
        return std::future::pending().await;
    }
    let mut seen = read.clone();
    loop {
        tokio::time::sleep(FILE_POLL).await;
        let now = stamps(files);
        if now != read && now == seen {
            return;
        }
        seen = now;
    }
}
