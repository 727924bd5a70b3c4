//! A network without a network: the container has `lo` and nothing else.
//!
//! ```json
//! {"cniVersion": "1.1.0", "name": "none", "plugins": [{"type": "none"}]}
//! ```
//!
//! ADD sets `lo` up and CHECK proves that the container still reaches nobody. It takes no key of
//! its own and ignores `CNI_IFNAME`. It refuses a namespace with another interface that could carry
//! packets, and an `lo` with an address that is not a loopback one. Links that the kernel puts into
//! every new namespace (`sit0`, `tunl0` and the like) do not matter while they are down and bare.

mod others;

use attach::lo;
use attach::verify::differs;
use cni::schema::Key;
use cni::{AddResult, Call, Config, Error, Interface, NetworkCall, Plugin};

/// Code of an error of ADD: the namespace has another interface.
pub const NOT_ALONE: u32 = 103;

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct NoNetwork;

impl Plugin for NoNetwork {
    fn name(&self) -> &'static str {
        "none"
    }

    /// None beside those of every plugin.
    fn keys(&self) -> &'static [Key] {
        &[]
    }

    fn validate(&self, config: &Config) -> Result<(), Error> {
        config.prev_result().map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let previous = call.config.prev_result()?;
        let socket = lo::enter(call)?;
        if let Some(other) = others::first_usable(&socket)? {
            let text = format!(
                "add network {} in {}: it has another interface, {other}",
                call.attachment.network,
                socket.place()
            );
            return Err(Error::new(NOT_ALONE, text).with_hint(
                "a container on a network of type none can be on no other; leave one of them out",
            ));
        }
        let own = lo::result(&lo::set_up(&socket)?, call.sandbox());
        Ok(merged(previous, own))
    }

    /// The inverse of ADD, but for a namespace that others use meanwhile: they need `lo` too.
    fn del(&self, call: &Call) -> Result<(), Error> {
        match lo::enter_if_there(call)? {
            Some(socket) if others::first_usable(&socket)?.is_none() => lo::set_down(&socket),
            _ => Ok(()),
        }
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let socket = lo::enter(call)?;
        lo::check(&socket)?;
        match others::first_usable(&socket)? {
            None => Ok(()),
            Some(other) => {
                let place = socket.place();
                Err(differs(format!("another interface came to {place}: {other}")))
            }
        }
    }

    /// Nothing is kept outside of the container's namespace.
    fn gc(&self, _: &NetworkCall) -> Result<(), Error> {
        Ok(())
    }

    fn status(&self, _: &NetworkCall) -> Result<(), Error> {
        lo::status()
    }
}

/// `own` added to what the plugins before us made, unless `loopback` was one of them.
fn merged(previous: Option<AddResult>, own: AddResult) -> AddResult {
    let Some(mut result) = previous else { return own };
    let known = |link: &Interface| result.interface(&link.name, &link.sandbox).is_some();
    if own.interfaces.iter().all(known) {
        return result;
    }
    let first = result.interfaces.len();
    result.interfaces.extend(own.interfaces);
    result.ips.extend(own.ips.into_iter().map(|mut ip| {
        ip.interface = ip.interface.map(|index| first + index);
        ip
    }));
    result
}

#[cfg(test)]
mod tests;
