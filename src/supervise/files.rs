//! Detects changed files.
//!
//! The metadata of each file is polled; symbolic links are followed. Polling detects renames, links that
//! Kubernetes swaps, and changes on a network file system. A change is reported only if the next poll finds
//! no further change, so that a half-written file is not read.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::Config;

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
    /// Whether the config file has changed.
    pub(super) config: bool,
    /// The indexes, in the config, of the certificates with a changed file.
    pub(super) certificates: Vec<usize>,
    /// The changed files of `ip.file`.
    pub(super) lists: Vec<PathBuf>,
}

/// The config file, and the certificates and address lists that the config names.
#[derive(Debug)]
pub(super) struct WatchedFiles {
    config: Group,
    /// The files of each certificate, in the order of the config.
    certificates: Vec<Group>,
    /// The address lists by path. Many routes may name one file.
    lists: BTreeMap<PathBuf, Group>,
}

impl WatchedFiles {
    /// Creates the list of files. The current state of each file counts as read, except that of an address list:
    /// a list that has changed after `config` was read would otherwise admit clients until its next change.
    pub(super) fn new(path: &Path, config: &Config) -> Self {
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
            config: Group::new(vec![path.to_owned()]),
            certificates: certificates.collect(),
            lists: lists.collect(),
        }
    }

    /// Records that the current state of the config file has been read.
    pub(super) fn note_config_read(&mut self) {
        let file = std::mem::take(&mut self.config.files);
        self.config = Group::new(file);
    }

    /// Polls all files and returns those that have changed.
    pub(super) fn poll(&mut self) -> ChangedFiles {
        let certificates = self.certificates.iter_mut().enumerate();
        let lists = self.lists.iter_mut();
        ChangedFiles {
            config: self.config.has_changed(),
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
    fn a_list_that_has_changed_since_the_config_was_read_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("partners.txt");
        std::fs::write(&list, "10.0.0.1").unwrap();
        let text = "[[listener]]\naddress = \"127.0.0.1:80\"\n[[route]]\n\
                    origin = { bucket = \"abc\", region = \"cn-hangzhou\" }\nip = { file = \"partners.txt\" }\n";
        let read = || {
            let loaded = crate::config::from_str("t", text, dir.path(), &|_| None);
            loaded.unwrap().config
        };
        let mut watched = WatchedFiles::new(&list, &read());
        assert_eq!(watched.poll().lists, [""; 0].map(PathBuf::from));
        let config = read();
        std::fs::write(&list, "10.0.0.1\n10.0.0.2").unwrap();
        let mut watched = WatchedFiles::new(&list, &config);
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
