use std::cell::OnceCell;
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use types::{ContainerId, IfName};

/// Who holds an address.
///
/// Both are texts as they were found: a directory that other programs write to may hold ids that
/// no CNI plugin would take today, and they have to be matched to be removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The container's id, of any length.
    pub container: String,
    /// The interface; `None` in records of host-local before 0.8, which know only the container.
    pub ifname: Option<String>,
}

impl Owner {
    /// The interface `ifname` of `container`.
    #[must_use]
    pub fn new(container: &ContainerId, ifname: &IfName) -> Self {
        Self { container: container.as_str().to_owned(), ifname: Some(ifname.as_str().to_owned()) }
    }

    /// How a record before 0.8 would name the same owner.
    pub(crate) fn legacy(&self) -> Self {
        Self { container: self.container.clone(), ifname: None }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ifname {
            Some(ifname) => write!(f, "`{ifname}` of container `{}`", self.container),
            None => write!(f, "container `{}`", self.container),
        }
    }
}

/// An address that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: IpAddr,
    /// Who holds it.
    pub owner: Owner,
    /// When it was taken, as far as is known.
    pub since: SystemTime,
    /// Which boot of the machine it belongs to.
    pub age: Age,
}

/// What is known of the boot in which a lease was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Taken by us since the machine started.
    ThisBoot,
    /// Taken by us before the machine was last started: its container is gone for sure.
    EarlierBoot,
    /// Written by another program since the machine started.
    Unmarked,
    /// Written by another program, with a time before the machine was last started.
    UnmarkedAndOlder,
}

/// What the caller knows of an attachment from outside the store: records, namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It has a record of this boot or a living namespace.
    Alive,
    /// Its namespace is proven gone.
    Dead,
    /// There is neither record nor namespace to tell.
    Unknown,
}

impl Lease {
    /// Whether the attachment is proven dead, `life` being what the caller knows of it: what is
    /// unknown counts as dead only when the lease is from before the machine was last started.
    #[must_use]
    pub fn is_dead(&self, life: Life) -> bool {
        match life {
            Life::Alive => false,
            Life::Dead => true,
            Life::Unknown => matches!(self.age, Age::EarlierBoot | Age::UnmarkedAndOlder),
        }
    }
}

/// What tells one run of the machine from another (random(4), `/proc/sys/kernel/random/boot_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BootId(pub(crate) [u8; 16]);

impl BootId {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";

    /// The boot id in `text`, a UUID; `None` for anything else and for the nil UUID.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut digits = text.trim().chars().filter(|c| *c != '-');
        let mut bytes = [0; 16];
        for byte in &mut bytes {
            let high = digits.next()?.to_digit(16)?;
            let low = digits.next()?.to_digit(16)?;
            *byte = (high << 4 | low) as u8;
        }
        (digits.next().is_none() && bytes != [0; 16]).then_some(Self(bytes))
    }
}

/// The machine and the moment: what a store needs to know beside its own files.
#[derive(Clone, Debug)]
pub struct Host {
    pub(crate) boot: Option<BootId>,
    pub(crate) now: SystemTime,
    started: OnceCell<Option<SystemTime>>,
}

impl Host {
    /// This machine, now.
    ///
    /// Without `/proc` the boot is unknown: then leases get no mark, none is taken for one of an
    /// earlier boot, and a table is checked against its slots at every call.
    #[must_use]
    pub fn current() -> Self {
        let boot = fs::read_to_string(BootId::PATH).ok().and_then(|text| BootId::parse(&text));
        Self { boot, now: SystemTime::now(), started: OnceCell::new() }
    }

    /// A machine of which everything is given: its boot, the time, and when it was started.
    #[must_use]
    pub fn at(boot: BootId, now: SystemTime, started: SystemTime) -> Self {
        Self { boot: Some(boot), now, started: OnceCell::from(Some(started)) }
    }

    /// When the machine was started. Asked for only when a lease without our mark is judged.
    pub(crate) fn started(&self) -> Option<SystemTime> {
        *self.started.get_or_init(|| {
            let uptime = fs::read_to_string("/proc/uptime").ok()?;
            // Whole seconds: the start comes out a second early at most, and nothing that was
            // written in this boot counts as older.
            let seconds: u64 = uptime.split('.').next()?.parse().ok()?;
            self.now.checked_sub(Duration::from_secs(seconds + 1))
        })
    }

    /// Age of a lease that carries `mark` and was written at `since`.
    pub(crate) fn age(&self, mark: Option<BootId>, since: SystemTime) -> Age {
        match (mark, self.boot) {
            (Some(mark), Some(boot)) if mark != boot => Age::EarlierBoot,
            (Some(_), _) => Age::ThisBoot,
            (None, _) if self.started().is_some_and(|start| since < start) => Age::UnmarkedAndOlder,
            (None, _) => Age::Unmarked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_is_a_uuid_and_nothing_else() {
        let text = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert_eq!(
            BootId::parse(&format!("{text}\n")).map(|id| id.0[..2].to_vec()),
            Some(vec![15, 143])
        );
        for bad in
            ["", "x", &text[1..], &format!("{text}0"), "00000000-0000-0000-0000-000000000000"]
        {
            assert_eq!(BootId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn this_machine_has_a_boot_id_and_was_started_in_the_past() {
        let host = Host::current();
        assert!(host.boot.is_some());
        assert!(host.started().is_some_and(|start| start < host.now));
    }

    #[test]
    fn only_proof_or_an_earlier_boot_makes_a_lease_dead() {
        let lease = |age| Lease {
            address: "10.0.0.2".parse().unwrap(),
            owner: Owner { container: "c".into(), ifname: None },
            since: SystemTime::UNIX_EPOCH,
            age,
        };
        for age in [Age::ThisBoot, Age::EarlierBoot, Age::Unmarked, Age::UnmarkedAndOlder] {
            assert!(!lease(age).is_dead(Life::Alive), "{age:?}");
            assert!(lease(age).is_dead(Life::Dead), "{age:?}");
        }
        assert!(!lease(Age::ThisBoot).is_dead(Life::Unknown));
        assert!(!lease(Age::Unmarked).is_dead(Life::Unknown));
        assert!(lease(Age::EarlierBoot).is_dead(Life::Unknown));
        assert!(lease(Age::UnmarkedAndOlder).is_dead(Life::Unknown));
    }
}
