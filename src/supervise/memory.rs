//! Checks whether the process has memory for more requests.
//!
//! The resident memory of the process (`/proc/self/status`) is compared with a limit: `server.max_memory`,
//! or, if that key is 0, nine tenths of the control group's limit. If the process ran out of memory, the
//! kernel would kill it and every transfer would fail. A 503 response to new requests does not affect the
//! transfers in progress.

use std::path::Path;

use crate::runtime::resident_memory;

/// Compares the memory in use with a limit.
#[derive(Debug)]
pub(super) struct MemoryWatch {
    /// The limit of the control group in bytes, read at the start. `None` means that there is no limit.
    group: Option<u64>,
    has_room: bool,
}

impl Default for MemoryWatch {
    fn default() -> Self {
        Self {
            group: group_limit(),
            has_room: true,
        }
    }
}

impl MemoryWatch {
    /// Returns whether the memory in use is below the limit: `configured` bytes, or nine tenths of the
    /// control group's limit if `configured` is 0. After the limit was reached, the result stays false until
    /// the memory in use is a tenth below the limit. With a single limit, the result would change too often.
    pub(super) fn has_room(&mut self, configured: usize) -> bool {
        let limit = match u64::try_from(configured).unwrap_or(u64::MAX) {
            0 => self.group.map(|limit| limit / 10 * 9),
            limit => Some(limit),
        };
        self.has_room = match (limit, resident_memory()) {
            (Some(limit), Some(used)) => has_room(self.has_room, limit, used),
            _ => true,
        };
        self.has_room
    }
}

fn has_room(had: bool, limit: u64, used: u64) -> bool {
    used < if had { limit } else { limit / 10 * 9 }
}

/// Returns the lowest memory limit, in bytes, of this process's control group and its ancestors (cgroup v2).
/// Without a limit in cgroup v2, returns the limit of cgroup v1. `None` means that there is no limit.
fn group_limit() -> Option<u64> {
    let number =
        |path: &Path| -> Option<u64> { std::fs::read_to_string(path).ok()?.trim().parse().ok() };
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let root = Path::new("/sys/fs/cgroup");
    let unified = own.and_then(|own| {
        let own = root.join(own);
        own.ancestors()
            .take_while(|group| group.starts_with(root))
            .filter_map(|group| number(&group.join("memory.max")))
            .min()
    });
    // cgroup v1 represents "no limit" as a very large number.
    unified
        .or_else(|| number(&root.join("memory/memory.limit_in_bytes")))
        .filter(|limit| *limit < 1 << 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_again_a_tenth_below_the_limit() {
        assert!(has_room(true, 1000, 999));
        assert!(!has_room(true, 1000, 1000));
        assert!(!has_room(false, 1000, 950));
        assert!(has_room(false, 1000, 899));
    }

    #[test]
    fn resident_memory_is_compared_with_the_configured_limit() {
        assert!(resident_memory().unwrap() > 1 << 20);
        let mut memory = MemoryWatch::default();
        assert!(!memory.has_room(1));
        assert!(memory.has_room(1 << 40));
    }
}
