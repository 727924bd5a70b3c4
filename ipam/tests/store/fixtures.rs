//! Folders, hosts and sets for the cases.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};
use std::{env, fs, process};

use ipam::{BootId, Host, Owner, RangeSets, RangeSpec, Store};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder that goes away with the case, and the two kinds of store in it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("cais-store-{}-{number}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.0.join("networks/net")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.0.join("index/net")
    }

    pub(crate) fn table_file(&self) -> PathBuf {
        self.0.join("leases/net")
    }

    pub(crate) fn table(&self) -> Store {
        Store::table(self.table_file())
    }

    pub(crate) fn host_local(&self) -> Store {
        Store::host_local(self.directory(), self.index())
    }

    /// Both kinds, to run a case over each.
    pub(crate) fn stores(&self) -> [Store; 2] {
        [self.table(), self.host_local()]
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The machine `seconds` after 2033 in its boot number `boot`, which began at second 0.
pub(crate) fn host(boot: u8, seconds: u64) -> Host {
    let text = format!("{boot:02x}000000-0000-4000-8000-000000000001");
    let started = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    Host::at(BootId::parse(&text).unwrap(), started + Duration::from_secs(seconds), started)
}

pub(crate) fn owner(container: &str) -> Owner {
    Owner::new(&container.parse().unwrap(), &"eth0".parse().unwrap())
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Sets of ranges, each `SUBNET[ START[ END[ GATEWAY]]]`.
pub(crate) fn sets(sets: &[&[&str]]) -> RangeSets {
    let range = |text: &&str| {
        let mut words = text.split(' ');
        let subnet = words.next().unwrap().parse().unwrap();
        let mut next = || words.next().map(ip);
        RangeSpec { subnet, start: next(), end: next(), gateway: next() }
    };
    RangeSets::new(sets.iter().map(|set| set.iter().map(range).collect()).collect()).unwrap()
}
