//! How much is taken at once: as much as there can be open files, and no more than is sane.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files that are open beside what is counted: streams, epoll, control socket and its clients, and
/// what a message brings.
const RESERVED: u64 = 350;

/// Upper bounds, none of them zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Mappings of all keys.
    pub(super) mappings: usize,
    /// TCP connections in all.
    pub(super) connections: usize,
    /// TCP connections of one mapping; more wait in the kernel's queue.
    pub(super) connections_each: usize,
    /// UDP clients in all.
    pub(super) sessions: usize,
    /// UDP clients of one mapping; for one more, the one that was silent longest goes.
    pub(super) sessions_each: usize,
}

impl Limits {
    /// Raises `RLIMIT_NOFILE` as far as it may be, and shares it out.
    pub(super) fn raise() -> Self {
        let files = match getrlimit(Resource::RLIMIT_NOFILE) {
            Ok((_, hard)) if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() => hard,
            Ok((soft, _)) => soft,
            Err(_) => 1024,
        };
        Self::of(files)
    }

    /// A quarter each for mappings and UDP clients, half for TCP connections, which take two.
    fn of(files: u64) -> Self {
        let quarter = files.saturating_sub(RESERVED) / 4;
        let quarter = usize::try_from(quarter).unwrap_or(usize::MAX).max(1);
        let most = |limit| quarter.min(limit);
        // One mapping never takes the room of all others.
        let each = |most: usize| most.div_ceil(2).min(2048);
        let (connections, sessions) = (most(8192), most(8192));
        Self {
            mappings: most(16_384),
            connections,
            connections_each: each(connections),
            sessions,
            sessions_each: each(sessions),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_limits_together_stay_below_the_open_files() {
        for files in [1024, 4096, 65_536, 1 << 20, u64::MAX] {
            let limits = Limits::of(files);
            let sum = limits.mappings + 2 * limits.connections + limits.sessions;
            assert!(sum as u64 + RESERVED <= files, "{files}: {limits:?}");
            assert!(limits.connections_each < limits.connections);
        }
        assert_eq!(Limits::of(0).connections_each, 1);
    }
}
