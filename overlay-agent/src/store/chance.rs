//! Chance, for what must not happen at the same moment or at the same place on all hosts.

use std::time::Duration;

/// Any number below `count`, 0 for 0.
pub(crate) fn below(count: u64) -> u64 {
    // Without random numbers the first will do: what collides is tried again.
    getrandom::u64().unwrap_or(0).checked_rem(count).unwrap_or(0)
}

/// Between `1 - part` and `1 + part` of `mean`; `part` is in per cent.
pub(crate) fn around(mean: Duration, part: u32) -> Duration {
    let width = mean * part / 100;
    let nanos = u64::try_from(width.as_nanos() * 2).unwrap_or(u64::MAX);
    mean - width + Duration::from_nanos(below(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_a_time_is_never_far_from_it() {
        for _ in 0..1000 {
            let time = around(Duration::from_secs(10), 20);
            assert!(time >= Duration::from_secs(8) && time < Duration::from_secs(12), "{time:?}");
        }
        assert_eq!(around(Duration::from_secs(1), 0), Duration::from_secs(1));
        assert_eq!(below(0), 0);
    }
}
