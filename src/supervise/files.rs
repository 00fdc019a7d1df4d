//! Notices that files have changed.
//!
//! Looks at what the system says about each file, through symbolic links, every round: that sees a
//! rename, a swap of links as Kubernetes makes, and a network file system alike. A file counts as
//! changed once it has stayed the same for a round, so that a half-written one is not read.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::Config;

/// What tells one state of a file from another; `None` when it cannot be looked at.
type Stamp = Option<(u64, u64, i64, i64, i64, i64)>;

fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((
        found.ino(),
        found.size(),
        found.mtime(),
        found.mtime_nsec(),
        // Changes with the permissions, too.
        found.ctime(),
        found.ctime_nsec(),
    ))
}

#[derive(Debug)]
struct Group {
    files: Vec<PathBuf>,
    /// As they were when they were read, or could not be.
    read: Vec<Stamp>,
    /// As they were a round ago.
    seen: Vec<Stamp>,
}

impl Group {
    fn new(files: Vec<PathBuf>) -> Self {
        let read: Vec<Stamp> = files.iter().map(|file| stamp(file)).collect();
        Self {
            files,
            seen: read.clone(),
            read,
        }
    }

    fn has_changed(&mut self) -> bool {
        let now: Vec<Stamp> = self.files.iter().map(|file| stamp(file)).collect();
        let is_still = now == self.seen;
        self.seen.clone_from(&now);
        let is_news = is_still && now != self.read && now.iter().all(Option::is_some);
        if is_news {
            self.read = now;
        }
        is_news
    }
}

/// What has changed since it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// The config file.
    pub(super) config: bool,
    /// Places of the certificates with a changed file, in the config's order.
    pub(super) certificates: Vec<usize>,
}

/// The files of a config.
#[derive(Debug)]
pub(super) struct Watched {
    config: Group,
    /// One for each certificate.
    certificates: Vec<Group>,
}

impl Watched {
    /// Takes the files as they are now for read.
    pub(super) fn new(path: &Path, config: &Config) -> Self {
        let certificates = config
            .certificates
            .iter()
            .map(|one| Group::new(vec![one.cert.clone(), one.key.clone()]));
        Self {
            config: Group::new(vec![path.to_owned()]),
            certificates: certificates.collect(),
        }
    }

    /// The config file as it is now has been read, whatever came of it.
    pub(super) fn note_config_read(&mut self) {
        let file = std::mem::take(&mut self.config.files);
        self.config = Group::new(file);
    }

    /// Looks again.
    pub(super) fn look(&mut self) -> News {
        let certificates = self.certificates.iter_mut().enumerate();
        News {
            config: self.config.has_changed(),
            certificates: certificates
                .filter_map(|(place, group)| group.has_changed().then_some(place))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_and_when_the_file_has_settled() {
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
}
