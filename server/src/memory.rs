//! How much memory this process may use, and how many sessions fit into it.

use std::{fmt, fs, path::Path};

/// Sessions of an edge, by the memory that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes that the process may use; `None`: the system does not say.
    pub(crate) memory: Option<u64>,
    /// Sessions that fit.
    pub(crate) sessions: usize,
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, sessions } = self;
        match memory {
            Some(memory) => {
                let (memory, each) = (memory / 1_024 / 1_024, SESSION / 1_024);
                write!(f, "{sessions} sessions: half of {memory} MiB of memory, {each} KiB each, {LEAST} to {MOST}")
            }
            None => write!(f, "{sessions} sessions: the system does not say how much memory there is"),
        }
    }
}

impl Room {
    /// Looks at the limits of this process's control groups (cgroup v2, else v1) and at the
    /// machine's memory.
    pub(crate) fn look() -> Self {
        Self::of(memory(Path::new("/")))
    }

    fn of(memory: Option<u64>) -> Self {
        let fit = memory.map_or(UNKNOWN, |memory| usize::try_from(memory / 2 / SESSION).unwrap_or(usize::MAX));
        Self { memory, sessions: fit.clamp(LEAST, MOST) }
    }
}

/// The least of all limits below `root`, which is "/" but for tests.
fn memory(root: &Path) -> Option<u64> {
    let number = |path: &str| fs::read_to_string(root.join(path)).ok()?.trim().parse::<u64>().ok();
    let machine = fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
    });
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut limits: Vec<u64> = machine.into_iter().collect();
    for line in groups.lines() {
        // "0::/PATH" is version 2, "4:memory:/PATH" version 1 (cgroups(7)).
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (base, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            of if of.split(',').any(|name| name == "memory") => ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        // A group is within the limits of all above it. In a container the path may be the host's,
        // and the container's own group the top of what it sees.
        let above = Path::new(path.trim_start_matches('/')).ancestors();
        limits.extend(above.filter_map(|group| number(&format!("{base}/{}/{file}", group.display()))));
    }
    limits.into_iter().min()
}

/// What a session costs with the logs that it hears: docs/scaling.md has what was measured, 41.6 KiB.
const SESSION: u64 = 48 * 1_024;
/// Where the system does not say how much memory there is.
const UNKNOWN: usize = 10_000;
const LEAST: usize = 1_000;
/// More than that an operator says on purpose.
const MOST: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024 * 1024 * 1024;

    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn found(files: &[(&str, &str)]) -> Option<u64> {
        memory(system(files).path())
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:       16777216 kB\nMemFree:        1 kB\n");

    #[test]
    fn the_least_of_machine_and_groups_counts() {
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[MACHINE]), Some(16 * GIB));
        let group = ("proc/self/cgroup", "0::/system.slice/gogochat.service\n");
        let own = "sys/fs/cgroup/system.slice/gogochat.service/memory.max";
        assert_eq!(found(&[MACHINE, group, (own, "2147483648\n")]), Some(2 * GIB));
        assert_eq!(found(&[MACHINE, group, (own, "max\n")]), Some(16 * GIB));
        assert_eq!(
            found(&[MACHINE, group, (own, "max\n"), ("sys/fs/cgroup/system.slice/memory.max", "1073741824")]),
            Some(GIB)
        );
    }

    #[test]
    fn a_container_sees_its_group_at_the_top() {
        let group = ("proc/self/cgroup", "0::/\n");
        assert_eq!(found(&[MACHINE, group, ("sys/fs/cgroup/memory.max", "2147483648\n")]), Some(2 * GIB));
        let group = ("proc/self/cgroup", "5:cpu:/docker/a\n4:memory:/docker/a\n");
        let limit = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n");
        assert_eq!(found(&[MACHINE, group, limit]), Some(2 * GIB));
        // Version 1 has no word for "none".
        let none = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(found(&[MACHINE, group, none]), Some(16 * GIB));
    }

    #[test]
    fn sessions_take_half_of_the_memory() {
        let sessions = |memory| Room::of(memory).sessions;
        assert_eq!(sessions(Some(2 * GIB)), 21_845);
        assert_eq!(sessions(Some(8 * GIB)), 87_381);
        assert_eq!(
            [sessions(Some(64 * 1024 * 1024)), sessions(None), sessions(Some(64 * GIB))],
            [LEAST, UNKNOWN, MOST]
        );
    }
}
