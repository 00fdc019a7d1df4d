//! Whether the process has room for more requests.
//!
//! Compares what the process has in memory (`/proc/self/status`) with a limit: the operator's, else
//! nine tenths of the control group's. Running out of it would end every transfer; answering new
//! requests 503 for a while ends none.

use std::path::Path;

use crate::runtime::resident_memory;

/// Compares memory in use with a limit.
#[derive(Debug)]
pub(super) struct Guard {
    /// Of the control group, read at the start.
    group: Option<u64>,
    has_room: bool,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            group: group_limit(),
            has_room: true,
        }
    }
}

impl Guard {
    /// Looks again, with `configured` bytes as the limit; 0 takes the control group's. Room comes back
    /// a tenth below the limit, so that it does not flicker.
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

/// The tightest limit of this process's control group and those above it; version 2, then 1.
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
    // Version 1 says that there is no limit with a number near the largest.
    unified
        .or_else(|| number(&root.join("memory/memory.limit_in_bytes")))
        .filter(|limit| *limit < 1 << 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back_below_the_limit() {
        assert!(has_room(true, 1000, 999));
        assert!(!has_room(true, 1000, 1000));
        assert!(!has_room(false, 1000, 950));
        assert!(has_room(false, 1000, 899));
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident_memory().unwrap() > 1 << 20);
        let mut guard = Guard::default();
        assert!(!guard.has_room(1));
        assert!(guard.has_room(1 << 40));
    }
}
