//! Random histories of both kinds of store, step by step beside a model that is too simple to be
//! wrong.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use ipam::{AllocateError, Durability, Life, Owner, RangeSets, Request, Span, Store};
use proptest::prelude::*;

use crate::fixtures::{Folder, host, ip, owner, sets};

/// Seconds of the quarantine in the histories that have one.
const QUARANTINE: u64 = 30;

#[derive(Clone, Debug)]
enum Step {
    Add {
        container: u8,
    },
    Request {
        container: u8,
        address: u8,
    },
    Del {
        container: u8,
    },
    /// Keeps containers whose number divides.
    Gc {
        divisor: u8,
    },
    Wait {
        seconds: u8,
    },
    // What others do to a host-local store; nothing happens to a table.
    ForeignAdd {
        container: u8,
        address: u8,
    },
    ForeignDel {
        address: u8,
    },
    LoseIndex,
    TornFile {
        address: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let container = 0..40_u8;
    let address = 0..40_u8;
    prop_oneof![
        20 => container.clone().prop_map(|container| Step::Add { container }),
        3 => (container.clone(), address.clone())
            .prop_map(|(container, address)| Step::Request { container, address }),
        16 => container.clone().prop_map(|container| Step::Del { container }),
        1 => (2..5_u8).prop_map(|divisor| Step::Gc { divisor }),
        3 => (1..20_u8).prop_map(|seconds| Step::Wait { seconds }),
        3 => (container, address.clone())
            .prop_map(|(container, address)| Step::ForeignAdd { container, address }),
        3 => address.clone().prop_map(|address| Step::ForeignDel { address }),
        1 => Just(Step::LoseIndex),
        1 => address.prop_map(|address| Step::TornFile { address }),
    ]
}

/// One set of two ranges (19 usable addresses, gateways 10.0.0.1 and 10.0.1.9) and one of IPv6.
fn pool() -> RangeSets {
    sets(&[&["10.0.0.0/28", "10.0.1.0/24 10.0.1.5 10.0.1.12 10.0.1.9"], &["fd00::/124"]])
}

struct Model {
    sets: Vec<Vec<IpAddr>>,
    gateways: Vec<IpAddr>,
    exclude: Span,
    held: BTreeMap<IpAddr, Owner>,
    freed: HashMap<IpAddr, (u64, Owner)>,
    cursors: HashMap<usize, IpAddr>,
    quarantine: u64,
    now: u64,
}

impl Model {
    fn new(quarantine: u64) -> Self {
        let v4 =
            (1..15).map(|n| format!("10.0.0.{n}")).chain((5..13).map(|n| format!("10.0.1.{n}")));
        let v6 = (1..16).map(|n| format!("fd00::{n:x}"));
        let all = |texts: Vec<String>| texts.iter().map(|text| ip(text)).collect();
        Self {
            sets: vec![all(v4.collect()), all(v6.collect())],
            gateways: vec![ip("10.0.0.1"), ip("10.0.1.9"), ip("fd00::1")],
            exclude: "10.0.0.4-10.0.0.5".parse().unwrap(),
            held: BTreeMap::new(),
            freed: HashMap::new(),
            cursors: HashMap::new(),
            quarantine,
            now: 0,
        }
    }

    fn address(&self, number: u8) -> IpAddr {
        let all: Vec<_> = self.sets.concat();
        all[usize::from(number) % all.len()]
    }

    fn next(&self, set: usize, wanted: &Owner) -> Option<IpAddr> {
        let all = &self.sets[set];
        let start = self
            .cursors
            .get(&set)
            .and_then(|last| all.iter().position(|a| a == last))
            .map_or(0, |at| at + 1);
        (0..all.len()).map(|step| all[(start + step) % all.len()]).find(|address| {
            let resting = self
                .freed
                .get(address)
                .is_some_and(|(when, last)| self.now - when < self.quarantine && last != wanted);
            !self.gateways.contains(address)
                && !self.exclude.contains(*address)
                && !self.held.contains_key(address)
                && !resting
        })
    }

    /// What ADD must answer; `None` for an error.
    fn add(&mut self, wanted: &Owner, requested: Option<IpAddr>) -> Option<Vec<IpAddr>> {
        let mut taken = Vec::new();
        for set in 0..self.sets.len() {
            let address = match requested.filter(|address| self.sets[set].contains(address)) {
                Some(address) => {
                    let free =
                        !self.gateways.contains(&address) && !self.held.contains_key(&address);
                    free.then_some(address)?
                }
                None => {
                    let has_one = self.held.iter().any(|(address, holder)| {
                        holder == wanted && self.sets[set].contains(address)
                    });
                    if has_one {
                        return None;
                    }
                    self.next(set, wanted)?
                }
            };
            taken.push(address);
        }
        for (set, address) in taken.iter().enumerate() {
            self.held.insert(*address, wanted.clone());
            self.freed.remove(address);
            self.cursors.insert(set, *address);
        }
        Some(taken)
    }

    fn end(&mut self, ends: impl Fn(&Owner) -> bool) {
        let now = self.now;
        let (gone, kept) = std::mem::take(&mut self.held).into_iter().partition(|(_, o)| ends(o));
        let gone: BTreeMap<IpAddr, Owner> = gone;
        self.held = kept;
        self.freed.extend(gone.into_iter().map(|(address, owner)| (address, (now, owner))));
    }
}

fn container(number: u8) -> Owner {
    // Every third name is longer than a slot has room for.
    let length = if number.is_multiple_of(3) { 400 } else { 3 };
    owner(&format!("c{number}-{}", "x".repeat(length)))
}

struct Run {
    folder: Folder,
    store: Store,
    is_directory: bool,
    model: Model,
    pool: RangeSets,
}

impl Run {
    fn new(is_directory: bool, quarantine: u64) -> Self {
        let folder = Folder::new();
        let store = if is_directory { folder.host_local() } else { folder.table() };
        Self { folder, store, is_directory, model: Model::new(quarantine), pool: pool() }
    }

    fn add(&mut self, number: u8, requested: Option<IpAddr>) -> Result<(), TestCaseError> {
        let owner = container(number);
        let exclude = [self.model.exclude];
        let requested: Vec<_> = requested.into_iter().collect();
        let request = Request {
            requested: &requested,
            exclude: &exclude,
            quarantine: Duration::from_secs(self.model.quarantine),
            // Whatever the model holds is alive.
            life: &|_| Life::Alive,
            ..Request::new(&self.pool, &owner)
        };
        let expected = self.model.add(&owner, requested.first().copied());
        let outcome = self.store.allocate(&request, &host(1, self.model.now));
        if let Err(AllocateError::Store(error)) = &outcome {
            return Err(TestCaseError::fail(format!("{error}")));
        }
        let got =
            outcome.ok().map(|grants| grants.iter().map(|g| g.address.ip()).collect::<Vec<_>>());
        prop_assert_eq!(got, expected, "ADD of {}", owner);
        Ok(())
    }

    fn foreign(&mut self, step: &Step) {
        if !self.is_directory || !self.folder.directory().exists() {
            return;
        }
        let file = |address: IpAddr| self.folder.directory().join(address.to_string());
        match step {
            Step::ForeignAdd { container: number, address } => {
                let (owner, address) = (container(*number), self.model.address(*address));
                let text = format!("{}\r\neth0", owner.container);
                // Others may replace a file, which then often has the same inode as before.
                let _ = fs::remove_file(file(address));
                fs::write(file(address), text).unwrap();
                self.model.held.insert(address, owner);
                self.model.freed.remove(&address);
            }
            Step::ForeignDel { address } => {
                let address = self.model.address(*address);
                if self.model.quarantine > 0 {
                    // Nobody can keep an address resting that he never saw in use.
                    self.store.leases(&host(1, self.model.now)).unwrap();
                }
                // A torn file is nobody's lease.
                let is_torn = fs::read(file(address)).is_ok_and(|text| text.is_empty());
                if fs::remove_file(file(address)).is_ok() && !is_torn {
                    // The quarantine of what others delete begins when we notice, at the next step.
                    let owner = self.model.held.remove(&address).unwrap();
                    self.model.freed.insert(address, (self.model.now, owner));
                    self.store.leases(&host(1, self.model.now)).unwrap();
                }
            }
            Step::LoseIndex => {
                let _ = fs::remove_file(self.folder.index());
                // What was freed, and by whom, is known to nobody now.
                self.model.freed.clear();
            }
            Step::TornFile { address } => {
                let address = self.model.address(*address);
                if !self.model.held.contains_key(&address) {
                    fs::write(file(address), "").unwrap();
                }
            }
            _ => unreachable!("{step:?} is ours"),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now = host(1, self.model.now);
        match step {
            Step::Add { container } => self.add(*container, None)?,
            Step::Request { container, address } => {
                let address = self.model.address(*address);
                self.add(*container, Some(address))?;
            }
            Step::Del { container: number } => {
                let owner = container(*number);
                self.store.release(&owner, Durability::Lazy, &now).unwrap();
                self.model.end(|holder| *holder == owner);
            }
            Step::Gc { divisor } => {
                let kept: Vec<Owner> =
                    (0..40).filter(|n| n % divisor == 0).map(container).collect();
                self.store
                    .gc(&|lease| kept.contains(&lease.owner), Durability::Lazy, &now)
                    .unwrap();
                self.model.end(|holder| !kept.contains(holder));
            }
            Step::Wait { seconds } => self.model.now += u64::from(*seconds),
            foreign => self.foreign(foreign),
        }
        Ok(())
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let leases = self.store.leases(&host(1, self.model.now)).unwrap();
        let held: BTreeMap<_, _> = leases.into_iter().map(|l| (l.address, l.owner)).collect();
        prop_assert_eq!(&held, &self.model.held);
        Ok(())
    }
}

fn run(is_directory: bool, quarantine: u64, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut run = Run::new(is_directory, quarantine);
    for (number, step) in steps.iter().enumerate() {
        run.step(step)?;
        // Looking lists the directory, which must not be what keeps the store right.
        if number % 7 == 6 {
            run.compare()?;
        }
    }
    run.compare()
}

#[test]
fn a_torn_file_that_others_delete_leaves_its_address_free() {
    for quarantine in [0, QUARANTINE] {
        let steps = [
            Step::Add { container: 1 },
            Step::TornFile { address: 2 },
            Step::ForeignDel { address: 2 },
            Step::Request { container: 2, address: 2 },
        ];
        run(true, quarantine, &steps).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_table_does_what_the_model_does(
        steps in prop::collection::vec(step(), 1..160),
        rests in any::<bool>(),
    ) {
        run(false, if rests { QUARANTINE } else { 0 }, &steps)?;
    }

    #[test]
    fn a_directory_shared_with_others_does_what_the_model_does(
        steps in prop::collection::vec(step(), 1..160),
        rests in any::<bool>(),
    ) {
        run(true, if rests { QUARANTINE } else { 0 }, &steps)?;
    }
}
