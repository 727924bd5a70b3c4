//! Reality against what ADD promised. Which link the default route leaves by may have changed since,
//! and does not matter to a link that is there.

use attach::error::{no_netns, refused};
use attach::inside;
use attach::verify::{differs, prev_result};
use cni::{Call, Error};
use kernel::link;
use kernel::netlink::Socket;
use kernel::netns::Netns;

use crate::config::{Config, Master, Place};
use crate::{Sublink, made, master};

/// Compares everything of one attachment. The calling thread is in the container's namespace
/// afterwards.
///
/// # Errors
/// Code 101 with the first difference, and what cannot be asked.
pub fn compare(call: &Call, config: &Config, sublink: &dyn Sublink) -> Result<(), Error> {
    let result = prev_result(call)?;
    let host = Socket::open("the host's namespace").map_err(|e| refused(&e))?;
    let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
    netns.enter_for_good().map_err(|e| no_netns(&e))?;
    let inside = Socket::open(call.sandbox()).map_err(|e| refused(&e))?;
    let masters = match config.master.place {
        Place::Host => &host,
        Place::Container => &inside,
    };
    if let Some(name) = &config.master.name
        && link::find(masters, name).map_err(|e| refused(&e))?.is_none()
    {
        return Err(differs(format!("master {name} is missing in {}", masters.place())));
    }
    inside::compare(call, &inside, &result, sublink.kind(), |link| sublink.compare(link))
}

/// Whether ADD can be served: the host has such a master, or the parent of one that can be made.
///
/// # Errors
/// Code 50 where it has not, or the kernel cannot be asked.
pub fn serviceable(config: &Config) -> Result<(), Error> {
    if config.master.place == Place::Container {
        return Ok(());
    }
    let host = Socket::open("the host's namespace").map_err(|e| refused(&e).unavailable())?;
    // A VLAN that is missing is made, if it can be: over its parent, whose MTU it has.
    let parent = config.master.name.as_ref().and_then(made::vlan).map(|(parent, _)| parent);
    master::find(&host, config).map(drop).or_else(|error| match parent {
        Some(name) => {
            let master = Master { name: Some(name), ..config.master };
            let of_parent = Config { master, ..config.clone() };
            master::find(&host, &of_parent).map(drop).map_err(|_| error.unavailable())
        }
        None => Err(error.unavailable()),
    })
}
