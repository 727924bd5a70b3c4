//! Where the store takes blocks away from hosts that are lost: taking part in that, and not using
//! addresses that others may have by now.

use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cni::{Error, code};
use kernel::link;
use nix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, interval, sleep};
use tunnels::Desired;

use super::Daemon;
use crate::fence::{Confirmed, Fence};
use crate::identity::write;
use crate::store::Collected;

/// How often it is looked how long ago etcd confirmed this host; shorter where it takes blocks away
/// soon.
const LOOK: Duration = Duration::from_secs(10);
/// How often lost hosts are looked for.
const COLLECT: Duration = Duration::from_secs(60);
/// A confirmation is written down this often.
const WRITE: Duration = Duration::from_secs(30);

/// Remembers the last confirmation across restarts.
const FILE: &str = "confirmed.json";

impl Daemon {
    /// Follows how long ago etcd confirmed that this host is what it says.
    pub(super) async fn keep_fence(self: Rc<Self>) {
        let path = self.paths.state().join(FILE);
        let read = std::fs::read(&path).ok();
        let mut last: Option<Confirmed> = read.and_then(|text| serde_json::from_slice(&text).ok());
        let mut written: Option<Instant> = None;
        loop {
            let after = self.reclaim_after();
            sleep(after.map_or(LOOK, |after| LOOK.min(after / 50))).await;
            let Some(after) = after else {
                self.set_fence(Fence::Open);
                continue;
            };
            let heard = self
                .followed
                .borrow()
                .as_ref()
                .and_then(|followed| *followed.store.confirmed().borrow());
            if let Some(heard) = heard {
                let confirmed = self.moment(heard.elapsed());
                if written.is_none_or(|at| at.elapsed() >= WRITE.min(after / 20))
                    && last.as_ref() != Some(&confirmed)
                {
                    let text = serde_json::to_vec(&confirmed).expect("it has text keys");
                    if let Err(error) = write(&path, &text) {
                        eprintln!("cais-overlayd: write {}: {error}", path.display());
                    }
                    written = Some(Instant::now());
                }
                last = Some(confirmed);
            }
            let now = self.moment(Duration::ZERO);
            // A host that etcd has never confirmed has nothing that could be taken away.
            let fence = last.as_ref().map_or(Fence::Open, |last| last.fence(&now, Some(after)));
            self.set_fence(fence);
        }
    }

    /// Takes part in taking away what lost hosts have.
    pub(super) async fn collect(self: Rc<Self>) {
        let mut rounds = interval(COLLECT);
        loop {
            rounds.tick().await;
            let Some(followed) = self.followed.borrow().clone() else { continue };
            if self.reclaim_after().is_none() {
                continue;
            }
            match followed.store.collect().await {
                Ok(Some(collected)) if collected != Collected::default() => {
                    eprintln!("cais-overlayd: of hosts that are lost: {collected:?}");
                }
                Ok(_) => {}
                Err(error) => eprintln!("cais-overlayd: collect what lost hosts have: {error}"),
            }
        }
    }

    fn reclaim_after(&self) -> Option<Duration> {
        let followed = self.followed.borrow();
        let config = followed.as_ref()?.store.config();
        config.reclaim_after.map(Duration::from_secs)
    }

    fn set_fence(&self, fence: Fence) {
        if self.fence.replace(fence) != fence {
            eprintln!(
                "cais-overlayd: {}",
                match fence {
                    Fence::Open => "etcd counts on this host again",
                    Fence::DenyAdd =>
                        "etcd has not heard of this host for long: no more containers",
                    Fence::Isolate => {
                        "etcd has not heard of this host for so long that others may get its addresses: \\
                     its networks are taken down"
                    }
                }
            );
            self.want_whole_round();
        }
    }

    /// Why nothing may be added, if that is so by the time that etcd has been away.
    pub(super) fn fenced(&self) -> Option<String> {
        match self.fence.get() {
            Fence::Open => None,
            Fence::DenyAdd | Fence::Isolate => {
                Some("etcd has not confirmed this host's blocks for too long".to_owned())
            }
        }
    }

    /// Takes devices down where others may have our addresses; whether that is so.
    pub(super) fn isolate(&self, desired: &Desired) -> Result<bool, Error> {
        if self.fence.get() != Fence::Isolate {
            return Ok(false);
        }
        for name in desired.devices() {
            let told = |error: kernel::RequestError| Error::new(code::IO, error.to_string());
            if let Some(device) = link::find(&self.host, &name).map_err(told)? {
                self.host.run(&link::set(&device.dev).down().request()).map_err(told)?;
            }
        }
        Ok(true)
    }

    /// The time so long ago.
    fn moment(&self, ago: Duration) -> Confirmed {
        let boottime =
            clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Confirmed {
            boot: self.identity.boot.clone(),
            since_boot: boottime.saturating_sub(ago).as_secs(),
            wall: wall.saturating_sub(ago).as_secs(),
        }
    }
}
