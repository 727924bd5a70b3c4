//! Bringing a device home: out of the container, or from under the name that the kernel left it when
//! the container's namespace died.

use attach::error::{no_netns, refused};
use cni::record::Device;
use cni::{Error, code};
use kernel::link::{self, Link};
use kernel::netlink::Socket;
use kernel::netns::{Netns, SocketError};
use types::{IfName, MacAddr};

/// Aliases that plugins of ours give to links they made.
const MARK: &str = "cais:";

/// Where devices come from.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) netns: Netns,
    pub(crate) socket: Socket,
}

/// What is known of a device that is away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Away<'a> {
    /// The name it was given.
    pub(crate) ifname: &'a IfName,
    /// What the record says; `None`: the reference moved it.
    pub(crate) device: Option<&'a Device>,
    /// The address that ADD answered.
    pub(crate) promised: Option<MacAddr>,
    /// The name that the configuration gives the device.
    pub(crate) configured: Option<&'a str>,
}

impl<'a> Away<'a> {
    /// One that is recorded.
    pub(crate) fn recorded(ifname: &'a IfName, device: &'a Device) -> Self {
        Self { ifname, device: Some(device), promised: None, configured: None }
    }

    /// The device among the links of the container, and what it was.
    fn among_the_containers(&self, links: Vec<Link>) -> Option<(Link, Device)> {
        let Some(device) = self.device else {
            let found = links.into_iter().filter_map(|link| Some((told_by_alias(&link)?, link)));
            let (mut named, others): (Vec<_>, Vec<_>) =
                found.partition(|(_, link)| link.is_named(self.ifname));
            let renamed =
                || others.into_iter().find(|(_, l)| l.mac.is_some() && l.mac == self.promised);
            return named.pop().or_else(renamed).map(|(device, link)| (link, device));
        };
        let by_alias = links.iter().position(|link| link.alias.as_ref() == Some(&device.name));
        let by_mac = || links.iter().position(|link| link.alias.is_none() && has_mac(link, device));
        let place = by_alias.or_else(by_mac)?;
        links.into_iter().nth(place).map(|link| (link, device.clone()))
    }

    /// The same among those of the host, where others have aliases as well.
    fn among_the_hosts(&self, links: Vec<Link>) -> Option<(Link, Device)> {
        let is_it = |link: &Link, device: &Device| match self.device {
            Some(_) => {
                let known = [self.ifname.as_str(), &device.name].contains(&link.dev.name.as_str());
                known || has_mac(link, device)
            }
            None => {
                let known = self.configured == Some(device.name.as_str());
                link.is_named(self.ifname)
                    && (known || (link.mac.is_some() && link.mac == self.promised))
            }
        };
        links.into_iter().find_map(|link| {
            let device = match self.device {
                Some(device) => Some(device.clone()),
                None => told_by_alias(&link),
            };
            let device = device.filter(|device| link.alias.as_ref() == Some(&device.name))?;
            is_it(&link, &device).then_some((link, device))
        })
    }
}

/// What the reference notes of a device: its name.
fn told_by_alias(link: &Link) -> Option<Device> {
    let alias = link.alias.as_ref().filter(|alias| !alias.starts_with(MARK))?;
    alias.parse::<IfName>().ok()?;
    Some(Device { name: alias.clone(), ..Device::default() })
}

fn has_mac(link: &Link, device: &Device) -> bool {
    link.mac.is_some_and(|mac| mac.to_string() == device.mac)
}

/// A socket in the container's namespace.
pub(crate) fn socket_in(netns: &Netns) -> Result<Socket, Error> {
    netns.socket().map_err(|error| match error {
        SocketError::Netns(error) => no_netns(&error),
        SocketError::Netlink(error) => refused(&error),
    })
}

impl Home {
    /// The namespace of the calling thread.
    pub(crate) fn open() -> Result<Self, Error> {
        Ok(Self {
            netns: Netns::current().map_err(|e| no_netns(&e))?,
            socket: Socket::open("the host's namespace").map_err(|e| refused(&e))?,
        })
    }

    /// Brings it home from `netns`, where that is still there, and makes it as it was. One that is
    /// nowhere is gone for good.
    pub(crate) fn fetch(&self, away: Away<'_>, netns: Option<&Netns>) -> Result<(), Error> {
        fetch(&self.socket, &self.netns, away, netns)
    }
}

/// The same to `home`, in which `host` is.
pub(crate) fn fetch(
    host: &Socket,
    home: &Netns,
    away: Away<'_>,
    netns: Option<&Netns>,
) -> Result<(), Error> {
    if let Some(netns) = netns {
        let inside = socket_in(netns)?;
        let links = link::list(&inside).map_err(|e| refused(&e))?;
        if let Some((link, device)) = away.among_the_containers(links) {
            let name = name_of(&device)?;
            if link::find(host, &name).map_err(|e| refused(&e))?.is_some() {
                return Err(taken(&link, &name));
            }
            let moved = inside.run(&link::move_to(&link.dev, home, &name).request());
            moved.map_err(|e| refused(&e))?;
            let link = link::get(host, &name).map_err(|e| refused(&e))?;
            return restore(host, &link, &device);
        }
    }
    let links = link::list(host).map_err(|e| refused(&e))?;
    match away.among_the_hosts(links) {
        Some((link, device)) => restore(host, &link, &device),
        None => Ok(()),
    }
}

/// Makes a device that is home as it was.
fn restore(host: &Socket, link: &Link, device: &Device) -> Result<(), Error> {
    let name = name_of(device)?;
    if !link.is_named(&name) {
        if link::find(host, &name).map_err(|e| refused(&e))?.is_some() {
            return Err(taken(link, &name));
        }
        // Before Linux 6.8 it has to be down for that.
        let requests = [link::set(&link.dev).down().request(), link::rename(&link.dev, &name)];
        host.run_all(&requests).map_err(|e| refused(&e))?;
    }
    let mut change = link::set(&link.dev);
    if device.mtu != 0 && device.mtu != link.mtu {
        change = change.mtu_as_read(device.mtu);
    }
    if let Ok(mac) = device.mac.parse::<MacAddr>()
        && link.mac != Some(mac)
    {
        change = change.mac(mac);
    }
    if device.up {
        change = change.up();
    }
    // Last, since it is what the device is known by.
    host.run(&change.alias(&device.alias).request()).map_err(|e| refused(&e))
}

fn name_of(device: &Device) -> Result<IfName, Error> {
    device
        .name
        .parse()
        .map_err(|why| Error::new(code::IO, format!("give back device \"{}\": {why}", device.name)))
}

fn taken(link: &Link, name: &IfName) -> Error {
    let text =
        format!("give link {} back to the host as {name}: that name is taken there", link.dev);
    Error::new(code::IO, text).with_hint(format!("rename the host's {name}, then run DEL again"))
}
