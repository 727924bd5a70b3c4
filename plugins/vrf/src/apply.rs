//! ADD: the VRF, its member, and what that loses on its way there.

use std::path::PathBuf;
use std::time::Duration;

use attach::error::{no_netns, refused};
use attach::locked::Inside;
use attach::record;
use attach::steps::{self, step};
use cni::record::Record;
use cni::{Call, Error, code};
use kernel::RequestError;
use kernel::kept::Kept;
use kernel::link::{self, Dev, Link, Vrf};
use kernel::netns::Netns;
use kernel::route::{MAIN, Route};
use kernel::undo::Undo;
use types::IfName;

use crate::config::Config;
use crate::plan::{Wanted, state_dir};

/// How long the kernel may take to use addresses again.
const USABLE: Duration = Duration::from_secs(5);

/// Makes all of it, or nothing.
pub(crate) fn add(call: &Call, config: &Config) -> Result<(), Error> {
    let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
    let record = record::of(call, &netns)?;
    let inside = Inside::lock(&netns)?;
    netns.enter_for_good().map_err(|e| no_netns(&e))?;
    let ifname = &call.attachment.ifname;
    let link = inside.link(ifname)?.ok_or_else(|| no_link(call, config))?;
    let wanted = Wanted::of(config, &inside.socket)?;
    let is_member = is_member(&link, &wanted, &inside, config)?;
    let kept = Kept::of(&inside.socket, &link).map_err(|e| refused(&e))?;
    let (name, state_dir) = (config.vrf.clone(), state_dir());
    let adding = Adding { inside, name, wanted, link, kept, state_dir };
    steps::run(|undo| adding.steps(record, is_member, undo))
}

fn no_link(call: &Call, config: &Config) -> Error {
    let (ifname, place) = (&call.attachment.ifname, call.sandbox());
    let text = format!("join VRF {}: {ifname} is missing in {place}", config.vrf);
    Error::new(code::INVALID_ENVIRONMENT, text)
        .with_hint("an earlier plugin of the list has to make the interface")
}

/// Whether the interface is in the VRF already; being in something else is an error.
fn is_member(
    link: &Link,
    wanted: &Wanted,
    inside: &Inside,
    config: &Config,
) -> Result<bool, Error> {
    let Some(master) = link.master else { return Ok(false) };
    if matches!(wanted, Wanted::There(vrf) if vrf.dev.index == master) {
        return Ok(true);
    }
    let of = link::get(&inside.socket, master).map_or(format!("#{master}"), |link| link.dev.name);
    let (ifname, place) = (&link.dev, inside.socket.place());
    let text = format!("join VRF {}: {ifname} in {place} is a port of {of}", config.vrf);
    Err(Error::new(code::INVALID_CONFIG, text)
        .with_hint("an interface has one master; a bridge on it may join the VRF in its place"))
}

struct Adding {
    inside: Inside,
    name: IfName,
    wanted: Wanted,
    link: Link,
    /// What the interface loses when it joins.
    kept: Kept,
    state_dir: PathBuf,
}

impl Adding {
    fn steps<'s>(
        &'s self,
        record: Record,
        is_member: bool,
        undo: &mut Undo<'s>,
    ) -> Result<(), Error> {
        step("record");
        record::write(record, &self.state_dir, undo)?;
        step("vrf");
        let vrf = self.vrf(undo).map_err(|e| refused(&e))?;
        step("member");
        let moved = match is_member {
            true => self.move_routes(undo),
            false => self.join(&vrf, undo),
        };
        moved.map_err(|e| refused(&e))?;
        step("done");
        Ok(())
    }

    /// The VRF, up.
    fn vrf<'s>(&'s self, undo: &mut Undo<'s>) -> Result<Dev, RequestError> {
        let (socket, name) = (&self.inside.socket, &self.name);
        match &self.wanted {
            Wanted::There(vrf) => {
                if !vrf.is_up {
                    undo.push(format!("set {name} down"), move || {
                        Ok(socket.run(&link::set(&vrf.dev).down().request())?)
                    });
                    socket.run(&link::set(&vrf.dev).up().request())?;
                }
                Ok(vrf.dev.clone())
            }
            Wanted::New(table) => {
                socket.run(&Vrf::new(name.clone(), *table).up().create())?;
                undo.push(format!("delete VRF {name}"), move || {
                    Ok(socket.run(&link::delete(name))?)
                });
                Ok(link::get(socket, name)?.dev)
            }
        }
    }

    /// Puts the interface into the VRF. The kernel sets it down and up, which takes its routes and
    /// IPv6 addresses.
    fn join<'s>(&'s self, vrf: &Dev, undo: &mut Undo<'s>) -> Result<(), RequestError> {
        let (socket, dev) = (&self.inside.socket, &self.link.dev);
        undo.push(format!("take {dev} out of {vrf}"), move || {
            socket.run(&link::set(dev).nomaster().request())?;
            Ok(self.kept.give_back(socket, dev, USABLE)?)
        });
        socket.run(&link::set(dev).master(vrf).request())?;
        self.kept.moved(MAIN, self.wanted.table()).give_back(socket, dev, USABLE)
    }

    /// Moves what an interface that is in the VRF already has in the main table.
    fn move_routes<'s>(&'s self, undo: &mut Undo<'s>) -> Result<(), RequestError> {
        let table = self.wanted.table();
        let in_main = |route: &&Route| route.table == MAIN && table != MAIN;
        for route in self.kept.routes.iter().filter(in_main) {
            let moved = Route { table, ..route.clone() };
            self.inverse(undo, moved.del());
            match self.inside.socket.run(&moved.append()) {
                Err(error) if !error.is_exists() => return Err(error),
                _ => {}
            }
            self.inverse(undo, route.append());
            self.inside.socket.run(&route.del())?;
        }
        Ok(())
    }

    fn inverse<'s>(&'s self, undo: &mut Undo<'s>, inverse: kernel::netlink::Request) {
        undo.push(inverse.action().to_string(), move || match self.inside.socket.run(&inverse) {
            Err(error) if !error.is_missing() && !error.is_exists() => Err(error.into()),
            _ => Ok(()),
        });
    }
}
