//! The tap in the kernel's terms.

use attach::error::{no_netns, refused};
use attach::inside;
use attach::verify::{differs, prev_result};
use cni::{Call, Error, code};
use kernel::link::{self, Link, Tap, TapError};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use types::IfName;

use crate::config::Config;

/// As `ip link` calls it.
pub(crate) const KIND: &str = "tun";

/// Makes the tap in `netns`, with all that it can be made with.
pub(crate) fn make(config: &Config, name: &IfName, netns: &Netns) -> Result<(), Error> {
    let mut tap = Tap::new(name.clone());
    if config.multi_queue {
        tap = tap.multi_queue();
    }
    if let Some(user) = config.owner {
        tap = tap.owner(user);
    }
    if let Some(group) = config.group {
        tap = tap.group(group);
    }
    if let Some(context) = &config.context {
        tap = tap.context(context);
    }
    tap.create(netns).map_err(|error| {
        let told = match &error {
            TapError::Netns(error) => return no_netns(error),
            TapError::Exists { .. } => return inside::taken(&error.to_string()),
            TapError::Context { .. } => format!("key \"selinuxContext\": {error}"),
            _ => error.to_string(),
        };
        Error::new(code::IO, told).with_hint_if_any(error.hint())
    })
}

/// Gives it address, MTU and master, within the container.
pub(crate) fn dress(config: &Config, inside: &Socket, link: &mut Link) -> Result<(), Error> {
    let mut change = link::set(&*link);
    if let Some(mac) = config.mac {
        change = change.mac(mac);
        link.mac = Some(mac);
    }
    if let Some(mtu) = config.mtu {
        change = change.mtu(mtu);
        link.mtu = mtu.get();
    }
    if let Some(name) = &config.bridge {
        change = change.master(&bridge(name, inside)?.dev);
    }
    inside.run(&change.request()).map_err(|e| refused(&e))
}

fn bridge(name: &IfName, inside: &Socket) -> Result<Link, Error> {
    let found = link::find(inside, name).map_err(|e| refused(&e))?;
    found.filter(|link| link.is_kind("bridge")).ok_or_else(|| {
        let text = format!("key \"bridge\": {} has no bridge {name}", inside.place());
        Error::new(code::INVALID_CONFIG, text)
            .with_hint("an earlier plugin of the list, or the runtime, has to make it there")
    })
}

/// Compares the tap of `call` with what ADD made. The calling thread is in the container's namespace
/// afterwards.
pub(crate) fn compare(call: &Call, config: &Config) -> Result<(), Error> {
    let promise = prev_result(call)?;
    let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
    netns.enter_for_good().map_err(|e| no_netns(&e))?;
    let inside = Socket::open(call.sandbox()).map_err(|e| refused(&e))?;
    inside::compare(call, &inside, &promise, KIND, |link| {
        let Some(name) = &config.bridge else { return Ok(()) };
        match link::find(&inside, name).map_err(|e| refused(&e))? {
            Some(bridge) if link.master == Some(bridge.dev.index) => Ok(()),
            _ => Err(differs(format!("tap {} is no port of bridge {name}", link.dev))),
        }
    })
}
