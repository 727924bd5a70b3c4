//! Keeping a host that was cut off from etcd from using addresses that others may have by now.
//!
//! It matters only where the store's configuration has `reclaimAfter`: without it nobody takes a
//! block away. Times are the kernel's since boot, sleep included, so that no change of the clock
//! moves the fence; over a reboot only the wall clock is left, which counts with a margin.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When etcd last confirmed that this host is what it says. To be kept in the state directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// The kernel's boot id then.
    pub boot: String,
    /// Time since boot then, sleep included (`CLOCK_BOOTTIME`), in seconds.
    pub since_boot: u64,
    /// Wall clock then, in seconds since 1970.
    pub wall: u64,
}

/// What a host may do that etcd has not confirmed for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fence {
    /// Everything.
    Open,
    /// Hand out no address: from 80 % of the time on.
    DenyAdd,
    /// Use none: from 95 % of the time on the device is taken down, if the operator has it so.
    Isolate,
}

impl Confirmed {
    /// What this host may do at `now`.
    #[must_use]
    pub fn fence(&self, now: &Self, reclaim_after: Option<Duration>) -> Fence {
        let Some(limit) = reclaim_after.map(|after| after.as_secs()) else { return Fence::Open };
        let passed = match self.boot == now.boot {
            true => now.since_boot.saturating_sub(self.since_boot),
            // How long the machine was off nobody measured. A clock that went back tells nothing.
            false => match now.wall.checked_sub(self.wall) {
                Some(passed) => passed.saturating_add(passed.div_ceil(10)),
                None => limit,
            },
        };
        let percent = u128::from(passed) * 100;
        match u128::from(limit) {
            limit if percent > limit * 95 => Fence::Isolate,
            limit if percent > limit * 80 => Fence::DenyAdd,
            _ => Fence::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot: &str, since_boot: u64, wall: u64) -> Confirmed {
        Confirmed { boot: boot.to_owned(), since_boot, wall }
    }

    const HUNDRED: Option<Duration> = Some(Duration::from_secs(100));

    #[test]
    fn the_fence_falls_in_two_steps_by_the_time_since_boot() {
        let then = at("one", 1000, 50_000);
        // The wall clock jumps about meanwhile.
        for (now, fence) in [
            (at("one", 1080, 10), Fence::Open),
            (at("one", 1081, 99_999), Fence::DenyAdd),
            (at("one", 1095, 50_000), Fence::DenyAdd),
            (at("one", 1096, 50_000), Fence::Isolate),
        ] {
            assert_eq!(then.fence(&now, HUNDRED), fence, "{now:?}");
        }
    }

    #[test]
    fn over_a_reboot_the_wall_clock_counts_with_a_margin() {
        let then = at("one", 1000, 50_000);
        for (now, fence) in [
            (at("two", 5, 50_072), Fence::Open),
            (at("two", 5, 50_073), Fence::DenyAdd),
            (at("two", 5, 50_087), Fence::Isolate),
            (at("two", 5, 49_999), Fence::Isolate),
        ] {
            assert_eq!(then.fence(&now, HUNDRED), fence, "{now:?}");
        }
    }

    #[test]
    fn where_nobody_takes_blocks_away_there_is_no_fence() {
        let (then, now) = (at("one", 0, 0), at("one", u64::MAX, u64::MAX));
        assert_eq!(then.fence(&now, None), Fence::Open);
        assert_eq!(then.fence(&now, HUNDRED), Fence::Isolate, "and no overflow");
    }
}
