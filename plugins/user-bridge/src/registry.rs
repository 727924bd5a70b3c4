//! What a network was given, once and for all: `/var/lib/cni/cais/networks/<name>.json`. Its subnets
//! and its bridge stay the same across reboots, and no other network is given what overlaps them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cni::json::{Object, indented};
use cni::keyed::{entries, short};
use cni::{Error, code};
use ipam::Span;
use kernel::netlink::Socket;
use serde_json::json;
use sha2::{Digest, Sha256};
use types::{Cidr, Family, IfName, NetworkName};

use crate::config::Config;
use crate::pick;
use crate::subnets::{Place, Wanted};

/// Layout of an entry.
const LAYOUT: i64 = 1;

/// Longest part of a file name that is written out.
const NAME_MAX_BYTES: usize = 180;

/// How long another first ADD may hold the lock: it looks at routes and writes one file.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);

/// End of the name of an entry.
const ENTRY: &str = ".json";
/// End of the name of one that is being written.
const UNFINISHED: &str = ".new";

/// A network as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    /// Its bridge.
    pub(crate) bridge: IfName,
    /// Its subnets, in the order of the configuration.
    pub(crate) subnets: Vec<Subnet>,
}

/// One subnet of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subnet {
    /// The network.
    pub(crate) subnet: Cidr,
    /// The bridge's address in it; `None`: the first.
    pub(crate) gateway: Option<IpAddr>,
    /// Addresses that are handed out unasked; `None`: all.
    pub(crate) ip_range: Option<Span>,
}

/// What is remembered of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    bridge: IfName,
    subnets: Vec<Held>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    subnet: Cidr,
    is_picked: bool,
}

/// All networks of this host.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    dir: PathBuf,
}

/// The id of a network: 64 hexadecimal digits that follow from its name.
pub(crate) fn id(name: &NetworkName) -> String {
    let digest = Sha256::digest(format!("cais network {name}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn usual_bridge(name: &NetworkName) -> IfName {
    format!("br-{}", &id(name)[..12]).parse().expect("15 letters, digits and - are a name")
}

impl Registry {
    /// The one below `lib_dir`, which is `/var/lib/cni/cais` but in tests and labs.
    pub(crate) fn under(lib_dir: &Path) -> Self {
        Self { dir: lib_dir.join("networks") }
    }

    /// What `name` has, where it has all that `config` wants.
    ///
    /// # Errors
    /// Codes 5 and 50 where its entry cannot be read.
    pub(crate) fn known(
        &self,
        name: &NetworkName,
        config: &Config,
    ) -> Result<Option<Network>, Error> {
        let entry = self.read(name)?;
        Ok(entry.and_then(|entry| {
            let wanted = wanted_bridge(name, config);
            let held = placed(&entry.subnets, &config.subnets)?;
            (entry.bridge == wanted).then(|| network(wanted, &config.subnets, &held))
        }))
    }

    /// The bridge of `name`, whatever its configuration says now.
    pub(crate) fn bridge(&self, name: &NetworkName) -> IfName {
        let entry = self.read(name).ok().flatten();
        entry.map_or_else(|| usual_bridge(name), |entry| entry.bridge)
    }

    /// What `name` has, picked now where it has not all that `config` wants. `host` is a socket of
    /// the host's namespace.
    ///
    /// # Errors
    /// Code 7 where a subnet is another network's; code 11 where the pools have no more; and where
    /// the registry cannot be read, locked or written.
    pub(crate) fn settle(
        &self,
        name: &NetworkName,
        config: &Config,
        host: &Socket,
    ) -> Result<Network, Error> {
        if let Some(known) = self.known(name, config)? {
            return Ok(known);
        }
        let _lock = self.lock()?;
        // Another first ADD of the same network may have been faster.
        if let Some(known) = self.known(name, config)? {
            return Ok(known);
        }
        let others = self.others(name)?;
        let earlier = self.read(name)?.map(|entry| entry.subnets).unwrap_or_default();
        let mut picker = pick::Picker::new(host, &config.pools, &others)?;
        let mut held: Vec<Held> = Vec::new();
        for wanted in &config.subnets {
            held.push(match wanted.place {
                Place::Given(subnet) => {
                    refuse_overlap(subnet, &others)?;
                    Held { subnet, is_picked: false }
                }
                Place::Picked(family, size) => {
                    // What was picked before stays, whatever else has changed.
                    let fits = |old: &&Held| fits(old, family, size) && !held.contains(old);
                    match earlier.iter().find(fits) {
                        Some(old) => *old,
                        None => {
                            let subnet = picker.pick(name, family, size)?;
                            Held { subnet, is_picked: true }
                        }
                    }
                }
            });
            picker.avoid(held[held.len() - 1].subnet);
        }
        let bridge = wanted_bridge(name, config);
        let entry = Entry { name: name.to_string(), bridge, subnets: held };
        self.write(name, &entry)?;
        Ok(network(entry.bridge, &config.subnets, &entry.subnets))
    }

    fn lock(&self) -> Result<File, Error> {
        let locked = || {
            let dir = match File::open(&self.dir) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    fs::DirBuilder::new().recursive(true).mode(0o755).create(&self.dir)?;
                    File::open(&self.dir)?
                }
                other => other?,
            };
            deadline::lock(&dir, LOCK_DEADLINE)?;
            Ok(dir)
        };
        locked().map_err(|e: io::Error| {
            let code = match e.kind() {
                io::ErrorKind::TimedOut => code::TRY_AGAIN,
                _ => code::IO,
            };
            Error::new(code, format!("lock {}: {e}", self.dir.display()))
        })
    }

    /// Subnets of all networks but `name`, each with whose it is.
    fn others(&self, name: &NetworkName) -> Result<Vec<(Cidr, String)>, Error> {
        let own = self.path(name);
        let mut others = Vec::new();
        for path in entries(&self.dir).map_err(|e| failed("list", &self.dir, &e))? {
            let is_entry = path.to_str().is_some_and(|path| path.ends_with(ENTRY));
            if !is_entry || path == own {
                continue;
            }
            if let Some(entry) = read_entry(&path)? {
                others.extend(entry.subnets.iter().map(|held| (held.subnet, entry.name.clone())));
            }
        }
        Ok(others)
    }

    fn read(&self, name: &NetworkName) -> Result<Option<Entry>, Error> {
        let entry = read_entry(&self.path(name))?;
        Ok(entry.filter(|entry| entry.name == name.as_str()))
    }

    /// Waits for the disk: what a network is given it keeps, also when the power fails.
    fn write(&self, name: &NetworkName, entry: &Entry) -> Result<(), Error> {
        let path = self.path(name);
        let mut temporary = path.clone().into_os_string();
        temporary.push(UNFINISHED);
        let temporary = PathBuf::from(temporary);
        let subnet =
            |held: &Held| json!({ "subnet": held.subnet.to_string(), "picked": held.is_picked });
        let text = json!({
            "layout": LAYOUT,
            "name": entry.name,
            "id": id(name),
            "bridge": entry.bridge.as_str(),
            "subnets": entry.subnets.iter().map(subnet).collect::<Vec<_>>(),
        });
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o644)
                .open(&temporary)?;
            file.write_all(indented(&text.to_string()).as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(|e: io::Error| failed("write", &path, &e))
    }

    fn path(&self, name: &NetworkName) -> PathBuf {
        self.dir.join(format!("{}{ENTRY}", short(name.as_str(), NAME_MAX_BYTES)))
    }
}

fn wanted_bridge(name: &NetworkName, config: &Config) -> IfName {
    config.bridge.clone().unwrap_or_else(|| usual_bridge(name))
}

fn fits(held: &Held, family: Family, size: Option<u8>) -> bool {
    held.is_picked
        && held.subnet.family() == family
        && size.is_none_or(|size| held.subnet.prefix() == size)
}

/// Those of `held` that serve `wanted`, in its order; `None` where one lacks or is too many.
fn placed(held: &[Held], wanted: &[Wanted]) -> Option<Vec<Held>> {
    let mut rest = held.to_vec();
    let mut placed = Vec::new();
    for wanted in wanted {
        let serves = |held: &Held| match wanted.place {
            Place::Given(subnet) => held.subnet == subnet,
            Place::Picked(family, size) => fits(held, family, size),
        };
        placed.push(rest.remove(rest.iter().position(serves)?));
    }
    rest.is_empty().then_some(placed)
}

fn network(bridge: IfName, wanted: &[Wanted], held: &[Held]) -> Network {
    let subnet = |(wanted, held): (&Wanted, &Held)| Subnet {
        subnet: held.subnet,
        gateway: wanted.gateway,
        ip_range: wanted.ip_range,
    };
    Network { bridge, subnets: wanted.iter().zip(held).map(subnet).collect() }
}

fn refuse_overlap(subnet: Cidr, others: &[(Cidr, String)]) -> Result<(), Error> {
    match others.iter().find(|(other, _)| other.overlaps(subnet)) {
        None => Ok(()),
        Some((other, name)) => {
            let text = format!(
                "key \"subnets\": Pool overlaps with other one on this address space: {subnet} \
                 overlaps {other} of network {name}"
            );
            Err(Error::new(code::INVALID_CONFIG, text).with_hint(format!(
                "use another subnet; if network {name} is no more, remove its file from \
                 /var/lib/cni/cais/networks"
            )))
        }
    }
}

fn failed(verb: &str, path: &Path, error: &io::Error) -> Error {
    Error::new(code::IO, format!("{verb} {}: {error}", path.display()))
}

/// Reads an entry; `None` where there is none.
fn read_entry(path: &Path) -> Result<Option<Entry>, Error> {
    let text = match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|e| failed("read", path, &e))?,
    };
    decode(&text).map(Some).map_err(|why| {
        let told = Error { code: code::IO, ..why };
        let told = told.in_step(format!("read {}", path.display()));
        match told.hint() {
            Some(_) => told,
            None => told.with_hint("restore that file, or remove it: subnets are picked anew then"),
        }
    })
}

fn decode(text: &[u8]) -> Result<Entry, Error> {
    let keys = Object::parse(text)?;
    let layout = keys.integer("layout", 0..=i64::MAX)?.unwrap_or(0);
    if layout > LAYOUT {
        let text = format!("it has layout {layout}, and this version knows {LAYOUT}");
        return Err(Error::new(code::IO, text).with_hint("use the newer version of cais"));
    }
    let lacks = |key| Error::new(code::IO, format!("key \"{key}\" is missing"));
    let mut subnets = Vec::new();
    for element in keys.list("subnets")? {
        let held = element.object()?;
        let subnet = held.parsed("subnet")?.ok_or_else(|| lacks("subnet"))?;
        subnets.push(Held { subnet, is_picked: held.flag("picked")? });
    }
    Ok(Entry {
        name: keys.string("name")?.ok_or_else(|| lacks("name"))?,
        bridge: keys.parsed("bridge")?.ok_or_else(|| lacks("bridge"))?,
        subnets,
    })
}
