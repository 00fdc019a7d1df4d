//! Detects changed files.
//!
//! The metadata of each file is polled; symbolic links are followed. Polling detects renames, links that
//! Kubernetes swaps, and changes on a network file system. A change is reported only if the next poll finds
//! no further change, so that a half-written file is not read.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::{self, Config, Env, Includes};

/// The metadata by which two states of a file are compared: inode, size, modification time and change
/// time. `None` when the file is not accessible.
type Stamp = Option<(u64, u64, i64, i64, i64, i64)>;

fn stamp(path: &Path) -> Stamp {
    std::fs::metadata(path).ok().as_ref().and_then(stamp_of)
}

fn stamp_of(found: &Metadata) -> Stamp {
    Some((
        found.ino(),
        found.size(),
        found.mtime(),
        found.mtime_nsec(),
        // The change time (ctime) also changes when the permissions change.
        found.ctime(),
        found.ctime_nsec(),
    ))
}

/// A group of files that are read together.
#[derive(Debug)]
struct Group {
    files: Vec<PathBuf>,
    /// The state of the files when they were last read.
    read: Vec<Stamp>,
    /// The state of the files at the previous poll.
    seen: Vec<Stamp>,
    /// Whether a missing file is a change.
    reports_missing: bool,
}

impl Group {
    fn new(files: Vec<PathBuf>) -> Self {
        let read: Vec<Stamp> = files.iter().map(|file| stamp(file)).collect();
        Self {
            files,
            seen: read.clone(),
            read,
            reports_missing: false,
        }
    }

    /// Creates the group of one file that was read in the state `read`. The file may have changed since then. A
    /// missing file is a change: whoever removes it may believe that its content is no longer in use.
    fn read_at(file: &Path, read: &Metadata) -> Self {
        let read = vec![stamp_of(read)];
        Self {
            files: vec![file.to_owned()],
            seen: read.clone(),
            read,
            reports_missing: true,
        }
    }

    fn has_changed(&mut self) -> bool {
        let now: Vec<Stamp> = self.files.iter().map(|file| stamp(file)).collect();
        let is_still = now == self.seen;
        self.seen.clone_from(&now);
        let is_readable = self.reports_missing || now.iter().all(Option::is_some);
        let is_changed = is_still && now != self.read && is_readable;
        if is_changed {
            self.read = now;
        }
        is_changed
    }
}

/// The files that have changed since they were last read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ChangedFiles {
    /// Whether a file of the config has changed.
    pub(super) config: bool,
    /// The indexes, in the config, of the certificates with a changed file.
    pub(super) certificates: Vec<usize>,
    /// The changed files of `ip.file`.
    pub(super) lists: Vec<PathBuf>,
}

/// The main file of the config and the files that it includes.
#[derive(Debug)]
pub(super) struct ConfigFiles {
    main: PathBuf,
    includes: Includes,
    /// The files and their states when they were last read. The main file is the first.
    read: Vec<(PathBuf, Stamp)>,
    /// The files and their states at the previous poll.
    seen: Vec<(PathBuf, Stamp)>,
}

impl ConfigFiles {
    /// Creates the list. The current state of all files counts as read, so this is called before the config is
    /// loaded: a change during that time is then noticed.
    pub(super) fn new(main: &Path, env: Env<'_>) -> Self {
        let mut files = Self {
            main: main.to_owned(),
            includes: config::load_includes(main, env),
            read: Vec::new(),
            seen: Vec::new(),
        };
        files.read = files.now();
        files.seen.clone_from(&files.read);
        files
    }

    fn now(&self) -> Vec<(PathBuf, Stamp)> {
        let files = std::iter::once(self.main.clone()).chain(self.includes.files());
        files
            .map(|file| {
                let stamp = stamp(&file);
                (file, stamp)
            })
            .collect()
    }

    /// Whether a file has changed, appeared or vanished. While the main file is missing, nothing has changed.
    fn have_changed(&mut self) -> bool {
        let now = self.now();
        let is_still = now == self.seen;
        self.seen.clone_from(&now);
        let has_main = now.first().is_some_and(|(_, stamp)| stamp.is_some());
        let are_changed = is_still && has_main && now != self.read;
        if are_changed {
            self.read = now;
        }
        are_changed
    }
}

/// The files of the config, and the certificates and address lists that the config names.
#[derive(Debug)]
pub(super) struct WatchedFiles {
    /// `None` if the config is not to be loaded again when it changes.
    config: Option<ConfigFiles>,
    /// The files of each certificate, in the order of the config.
    certificates: Vec<Group>,
    /// The address lists by path. Many routes may name one file.
    lists: BTreeMap<PathBuf, Group>,
}

impl WatchedFiles {
    /// Creates the list for `config`, which was read from `files`. For a certificate, the current state counts as
    /// read. For an address list, the state in which it was loaded counts as read. So a change since
    /// then is noticed, and clients that the changed list excludes do not stay admitted.
    pub(super) fn new(files: ConfigFiles, config: &Config) -> Self {
        let certificates = config
            .certificates
            .iter()
            .map(|one| Group::new(vec![one.cert.clone(), one.key.clone()]));
        let ips = config
            .routes
            .iter()
            .filter_map(|route| route.policies.ip.as_ref());
        let lists = ips.filter_map(|ip| ip.file.as_ref()).map(|list| {
            let group = Group::read_at(&list.path, &list.metadata);
            (list.path.clone(), group)
        });
        Self {
            config: config.server.watch_config.then_some(files),
            certificates: certificates.collect(),
            lists: lists.collect(),
        }
    }

    /// Records that a config which cannot be served was read from `files`. They may be other files than before.
    pub(super) fn note_config_read(&mut self, files: ConfigFiles) {
        if let Some(config) = &mut self.config {
            *config = files;
        }
    }

    /// Polls all files and returns those that have changed.
    pub(super) fn poll(&mut self) -> ChangedFiles {
        let certificates = self.certificates.iter_mut().enumerate();
        let lists = self.lists.iter_mut();
        ChangedFiles {
            config: self.config.as_mut().is_some_and(ConfigFiles::have_changed),
            certificates: certificates
                .filter_map(|(place, group)| group.has_changed().then_some(place))
                .collect(),
            lists: lists
                .filter_map(|(path, group)| group.has_changed().then(|| path.clone()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_reported_once_after_the_file_has_settled() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cert.pem");
        std::fs::write(&file, "one").unwrap();
        let mut group = Group::new(vec![file.clone()]);
        assert!(!group.has_changed());
        std::fs::write(&file, "three").unwrap();
        assert!(!group.has_changed(), "it may still be written to");
        assert!(group.has_changed());
        assert!(!group.has_changed());
        std::fs::remove_file(&file).unwrap();
        assert!(!group.has_changed());
        assert!(!group.has_changed(), "a missing file is not read");
        std::os::unix::fs::symlink(dir.path().join("other"), &file).unwrap();
        std::fs::write(dir.path().join("other"), "four").unwrap();
        assert!(!group.has_changed());
        assert!(group.has_changed(), "seen through a link");
    }

    #[test]
    fn an_included_file_that_appears_changes_or_vanishes_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("ossgate.toml");
        std::fs::write(&main, "include = [\"r.d/*.toml\"]\n").unwrap();
        std::fs::create_dir(dir.path().join("r.d")).unwrap();
        let mut files = ConfigFiles::new(&main, &|_| None);
        let mut settles = |expected: bool, what: &str| {
            assert!(!files.have_changed(), "{what}: it may still be written to");
            assert_eq!(files.have_changed(), expected, "{what}");
            assert!(!files.have_changed(), "{what}: reported once");
        };
        let path = |name: &str| dir.path().join("r.d").join(name);
        std::fs::write(path("a.toml"), "1").unwrap();
        settles(true, "a new file");
        std::fs::write(path("a.toml"), "12").unwrap();
        settles(true, "a changed file");
        std::fs::write(path(".a.toml.swp"), "1").unwrap();
        std::fs::write(path("a.toml~"), "1").unwrap();
        settles(false, "files that the pattern does not match");
        std::fs::remove_file(path("a.toml")).unwrap();
        settles(true, "a removed file");
        std::fs::remove_file(&main).unwrap();
        settles(false, "a missing main file");
    }

    #[test]
    fn a_list_that_has_changed_since_the_config_was_read_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("partners.txt");
        std::fs::write(&list, "10.0.0.1").unwrap();
        let text = "[[listener]]\naddress = \"127.0.0.1:80\"\n[[route]]\n\
                    origin = { bucket = \"abc\", region = \"cn-hangzhou\" }\nip = { file = \"partners.txt\" }\n";
        let read = || {
            let loaded = config::from_str("t", text, dir.path(), &|_| None);
            loaded.unwrap().config
        };
        let files = || ConfigFiles::new(&list, &|_| None);
        let mut watched = WatchedFiles::new(files(), &read());
        assert_eq!(watched.poll().lists, [""; 0].map(PathBuf::from));
        let config = read();
        std::fs::write(&list, "10.0.0.1\n10.0.0.2").unwrap();
        let mut watched = WatchedFiles::new(files(), &config);
        assert!(
            watched.poll().lists.is_empty(),
            "it may still be written to"
        );
        assert_eq!(watched.poll().lists, [&*list]);
        assert!(watched.poll().lists.is_empty());
        std::fs::remove_file(&list).unwrap();
        assert!(watched.poll().lists.is_empty(), "it may be replaced");
        assert_eq!(watched.poll().lists, [&*list]);
        assert!(watched.poll().lists.is_empty());
    }
}
