//! The device on the host: which one it is, and what it was like.

use attach::error::refused;
use cni::record::Device;
use cni::{Error, code};
use kernel::link::{self, Link};
use kernel::netlink::Socket;
use types::IfName;

use crate::config::{Config, Selector, unsaid};
use crate::sysfs::Sysfs;

/// The device that `config` means.
pub(crate) fn find(config: &Config, host: &Socket, sysfs: &Sysfs) -> Result<Link, Error> {
    let selector = config.selector.as_ref().ok_or_else(unsaid)?;
    let (what, found) = match selector {
        Selector::Name(name) => {
            (format!("{name} of key \"device\""), link::find(host, name).map_err(|e| refused(&e))?)
        }
        Selector::Mac(mac) => {
            let links = link::list(host).map_err(|e| refused(&e))?;
            let found = links.into_iter().find(|link| link.mac == Some(*mac));
            (format!("with the address {mac} of key \"hwaddr\""), found)
        }
        Selector::Kernel(path) => {
            let what = format!("at {path} of key \"kernelpath\"");
            let names = sysfs.links_at(path).map_err(|e| missing(&format!("{what}: {e}")))?;
            (what, first(&names, host)?)
        }
        Selector::Pci(address) => {
            let what = format!("of PCI device {address}");
            let names =
                sysfs.links_of_pci(address).map_err(|e| missing(&format!("{what}: {e}")))?;
            (what, first(&names, host)?)
        }
        Selector::Auxiliary(name) => {
            let what = format!("of auxiliary device {name} of key \"runtimeConfig.deviceID\"");
            let names =
                sysfs.links_of_auxiliary(name).map_err(|e| missing(&format!("{what}: {e}")))?;
            (what, first(&names, host)?)
        }
    };
    found.ok_or_else(|| missing(&format!("{what}: there is none")))
}

fn first(names: &[IfName], host: &Socket) -> Result<Option<Link>, Error> {
    for name in names {
        if let Some(link) = link::find(host, name).map_err(|e| refused(&e))? {
            return Ok(Some(link));
        }
    }
    Ok(None)
}

fn missing(what: &str) -> Error {
    Error::new(code::IO, format!("find the link {what}, on the host"))
        .with_hint("another container may have it: `cais attachments` lists them")
}

/// What has to be put back when `link` comes home.
pub(crate) fn remember(link: &Link) -> Device {
    Device {
        name: link.dev.name.clone(),
        mac: link.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        mtu: link.mtu,
        up: link.is_up(),
        // Its own name is what the reference left there.
        alias: link.alias.clone().filter(|alias| *alias != link.dev.name).unwrap_or_default(),
    }
}
