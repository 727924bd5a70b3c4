//! The dummy in the kernel's terms.

use attach::error::{no_netns, refused};
use attach::inside;
use attach::verify::prev_result;
use cni::{Call, Error};
use kernel::link::Dummy;
use kernel::netlink::Socket;
use kernel::netns::{self, Netns};
use types::IfName;

/// As `ip link add type` calls it.
pub(crate) const KIND: &str = "dummy";

/// Makes the dummy in `netns`; `host` is a socket of the host.
pub(crate) fn make(name: &IfName, netns: &Netns, host: &Socket) -> Result<(), Error> {
    let create = Dummy::new(name.clone()).netns(netns).create();
    let tried = || format!("create dummy {name} in {}", netns.path().display());
    host.run(&create).map_err(|error| inside::not_made(&tried(), name, &error))
}

/// Compares the dummy of `call` with what ADD made. The calling thread is in the container's namespace
/// afterwards.
pub(crate) fn compare(call: &Call) -> Result<(), Error> {
    let promise = prev_result(call)?;
    let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
    netns.enter_for_good().map_err(|e| no_netns(&e))?;
    let inside = Socket::open(call.sandbox()).map_err(|e| refused(&e))?;
    inside::compare(call, &inside, &promise, KIND, |_| Ok(()))
}

/// Whether this kernel can make dummies: makes one in a namespace that goes at once.
pub(crate) fn serviceable() -> Result<(), Error> {
    let scratch = netns::create_unnamed().map_err(|e| no_netns(&e).unavailable())?;
    let host = Socket::open("the host's namespace").map_err(|e| refused(&e).unavailable())?;
    let name: IfName = KIND.parse().expect("five letters are an interface name");
    make(&name, &scratch, &host).map_err(Error::unavailable)
}
