//! Networks over several hosts, with a real etcd.

mod add;
mod hour;
mod join;
mod records;
mod start;
mod throughput;
mod town;

pub(crate) use add::{first, outage, warm};
pub(crate) use hour::hour;
pub(crate) use join::{at_once, join};
pub(crate) use start::start;
pub(crate) use throughput::throughput;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// No wait is longer.
const PATIENCE: Duration = Duration::from_secs(60);

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Waits until `is_so`; how long that took.
fn await_that(what: &str, is_so: impl Fn() -> bool) -> Result<Duration> {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > PATIENCE {
            bail!("not within {} s: {what}", PATIENCE.as_secs());
        }
        pause(Duration::from_millis(2));
    }
    Ok(begun.elapsed())
}

/// Lets time pass where nothing tells that something is over.
#[expect(clippy::disallowed_methods, reason = "what others do has no event here")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
