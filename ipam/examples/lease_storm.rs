//! Takes and gives back leases until it is killed, and verifies what a power loss left of them.
//!
//! ```text
//! lease_storm write DIR             until killed; any number of processes at once
//! lease_storm verify DIR SAID       SAID is a file with what the writers printed since the last boot
//! ```
//!
//! There are four stores in DIR: a table and a host-local directory, each with and without fsync.
//! Without fsync leases may be lost with the power, but never doubled or leaked. With it, what a
//! writer has said to hold is held afterwards as well.
//!
//! `cargo xtask vm --power-loss` runs this in a guest whose plug is pulled.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, error, fs};

use ipam::{
    AllocateError, Durability, Host, Lease, Life, Owner, RangeSets, RangeSpec, Request, Store,
};

type Outcome<T> = Result<T, Box<dyn error::Error>>;

/// The pool of each store: .1 is the gateway, .255 the broadcast address.
const SUBNET: &str = "10.7.0.0/24";
const ADDRESSES: usize = 253;

/// A writer holds at most this many of each store, so that eight do not exhaust a pool that is
/// still half full with leases of the boot before.
const HELD_AT_MOST: usize = 14;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match *words {
        ["write", folder] => write(Path::new(folder)),
        ["verify", folder, said] => verify(Path::new(folder), Path::new(said)),
        _ => Err("lease_storm write DIR | lease_storm verify DIR SAID".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lease_storm: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One of the four stores.
struct Place {
    name: &'static str,
    store: Store,
    durability: Durability,
    /// The directory of a host-local store.
    directory: Option<PathBuf>,
}

fn places(folder: &Path) -> Outcome<Vec<Place>> {
    let mut places = Vec::new();
    for (name, durability) in [("lazy", Durability::Lazy), ("fsync", Durability::Fsync)] {
        let folder = folder.join(name);
        let directory = folder.join("networks/storm");
        fs::create_dir_all(&directory)?;
        fs::create_dir_all(folder.join("index"))?;
        places.push(Place {
            name: if durability == Durability::Lazy { "table" } else { "table-fsync" },
            store: Store::table(folder.join("storm.leases")),
            durability,
            directory: None,
        });
        places.push(Place {
            name: if durability == Durability::Lazy { "directory" } else { "directory-fsync" },
            store: Store::host_local(directory.clone(), folder.join("index/storm")),
            durability,
            directory: Some(directory),
        });
    }
    Ok(places)
}

fn pool() -> Outcome<RangeSets> {
    let subnet = SUBNET.parse()?;
    Ok(RangeSets::new(vec![vec![RangeSpec { subnet, start: None, end: None, gateway: None }]])?)
}

/// Never ends by itself, except with an error.
///
/// What is said of a store with fsync is said *after* a lease was taken and *before* it is given
/// back, so that a lease which is said to be held is on the disk.
fn write(folder: &Path) -> Outcome<()> {
    let places = places(folder)?;
    let pool = pool()?;
    let mut dice = Dice::new();
    let mut held: Vec<Vec<Owner>> = places.iter().map(|_| Vec::new()).collect();
    for number in 0_u64.. {
        let chosen = dice.below(places.len());
        let (place, held) = (&places[chosen], &mut held[chosen]);
        let take = held.is_empty() || held.len() < HELD_AT_MOST && dice.below(3) > 0;
        if take {
            let owner = owner(&format!("{}-{:x}-{number}", place.name, dice.seed))?;
            let mut request = Request::new(&pool, &owner);
            request.durability = place.durability;
            let grants = place.store.allocate(&request, &Host::current())?;
            say(place, "holds", &owner, grants[0].address.ip());
            held.push(owner);
        } else {
            let owner = held.swap_remove(dice.below(held.len()));
            say(place, "gives", &owner, "its address");
            place.store.release(&owner, place.durability, &Host::current())?;
        }
    }
    Ok(())
}

/// One line is one write, so the lines of several processes do not mix. A console is waited for: a
/// line must be out before the lease of which it speaks is touched.
fn say(place: &Place, verb: &str, owner: &Owner, what: impl std::fmt::Display) {
    if place.durability == Durability::Fsync {
        println!("storm: {} {verb} {what}", owner.container);
        // A pipe or a file needs no waiting, and says so by an error.
        let _ = nix::sys::termios::tcdrain(std::io::stdout());
    }
}

fn verify(folder: &Path, said: &Path) -> Outcome<()> {
    let said = said_to_be_held(&fs::read_to_string(said)?);
    for place in places(folder)? {
        let result = verify_place(&place, &said);
        result.map_err(|error| format!("{}: {error}", place.name))?;
    }
    Ok(())
}

/// Owners and the addresses that they hold for sure.
fn said_to_be_held(said: &str) -> BTreeMap<String, IpAddr> {
    let mut held = BTreeMap::new();
    for line in said.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["storm:", owner, "holds", address] => {
                held.extend(address.parse().ok().map(|address| (owner.to_owned(), address)));
            }
            ["storm:", owner, "gives", ..] => {
                held.remove(owner);
            }
            _ => {}
        }
    }
    held
}

fn verify_place(place: &Place, said: &BTreeMap<String, IpAddr>) -> Outcome<()> {
    let host = Host::current();
    let leases = place.store.leases(&host)?;
    let mut taken = distinct(&leases)?;
    let prefix = format!("{}-", place.name);
    let ours = said.iter().filter(|(owner, _)| {
        owner.strip_prefix(&prefix).is_some_and(|rest| !rest.starts_with("fsync"))
    });
    let mut promised = 0;
    for (owner, address) in ours {
        promised += 1;
        let kept = leases.iter().any(|l| l.owner.container == *owner && l.address == *address);
        if !kept {
            return Err(format!("{owner} was promised {address} and has lost it").into());
        }
    }
    // Every address is either held or can be had: none has leaked.
    for address in fill(place, &host)? {
        if !taken.insert(address) {
            return Err(format!("{address} was given away twice").into());
        }
    }
    if taken.len() != ADDRESSES {
        return Err(
            format!("{} of {ADDRESSES} addresses have leaked", ADDRESSES - taken.len()).into()
        );
    }
    empty(place, &host, &leases)?;
    println!("{}: {} held, {promised} of them promised, none leaked", place.name, leases.len());
    Ok(())
}

/// The addresses of `leases`, none twice, and each with an owner of its own.
fn distinct(leases: &[Lease]) -> Outcome<BTreeSet<IpAddr>> {
    let mut addresses = BTreeSet::new();
    let mut owners = BTreeSet::new();
    for lease in leases {
        if !addresses.insert(lease.address) {
            return Err(format!("{} is held twice", lease.address).into());
        }
        if !owners.insert(&lease.owner) {
            return Err(format!("{} holds two addresses", lease.owner).into());
        }
    }
    Ok(addresses)
}

/// Takes addresses until there are no more; nobody's are taken away.
fn fill(place: &Place, host: &Host) -> Outcome<Vec<IpAddr>> {
    let pool = pool()?;
    let mut taken = Vec::new();
    loop {
        let owner = owner(&format!("verify-{}", taken.len()))?;
        let mut request = Request::new(&pool, &owner);
        request.life = &|_| Life::Alive;
        match place.store.allocate(&request, host) {
            Ok(grants) => taken.push(grants[0].address.ip()),
            Err(AllocateError::Exhausted { .. }) => return Ok(taken),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Gives back what [`fill`] took: then it is as before, and no empty file lies about.
fn empty(place: &Place, host: &Host, before: &[Lease]) -> Outcome<()> {
    let keep = |lease: &Lease| !lease.owner.container.starts_with("verify-");
    place.store.gc(&keep, Durability::Lazy, host)?;
    if place.store.leases(host)? != before {
        return Err("it is not as before after what was added is gone".into());
    }
    for entry in place.directory.iter().flat_map(fs::read_dir).flatten() {
        let path = entry?.path();
        let is_address = path
            .file_name()
            .is_some_and(|name| name.to_str().is_some_and(|name| name.parse::<IpAddr>().is_ok()));
        if is_address && path.metadata()?.len() == 0 {
            return Err(format!("{} is empty and stays", path.display()).into());
        }
    }
    Ok(())
}

fn owner(container: &str) -> Outcome<Owner> {
    Ok(Owner::new(&container.parse()?, &"eth0".parse()?))
}

/// xorshift64, seeded by process and time: writers shall differ.
struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    fn new() -> Self {
        let time =
            std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos() as u64;
        let seed = (time << 16 ^ u64::from(std::process::id())) | 1;
        Self { seed, state: seed }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 24) as usize % limit
    }
}
