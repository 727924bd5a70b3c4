//! The host passing packets on for its containers.

use cni::{Error, code};
use kernel::link;
use kernel::route::{self, Filter};
use kernel::sysctl::Key;
use kernel::undo::Undo;
use types::{Family, IfName};

use crate::error::refused;
use crate::host::Host;
use crate::verify::differs;

/// Turns forwarding of `family` on, for the plugin called `plugin`.
///
/// # Errors
/// Code 5 when it cannot be turned on.
pub fn turn_on<'a>(
    host: &'a Host,
    family: Family,
    plugin: &str,
    undo: &mut Undo<'a>,
) -> Result<(), Error> {
    let key = Key::forwarding(family);
    if family == Family::V6 && key.read().is_ok_and(|value| value == "0") {
        warn_of_advertised_routes(host, plugin)?;
    }
    let before = key.ensure("1").map_err(|e| {
        Error::new(code::IO, e.to_string())
            .with_hint("the host must forward packets for the containers of this network")
    })?;
    if let Some(before) = before {
        undo.push(format!("turn {family} forwarding back"), move || {
            if !host.is_alone() {
                return Ok(());
            }
            // By then the thread may be in the container, whose switches are others.
            Ok(host.netns.run(|| key.write(&before))??)
        });
    }
    Ok(())
}

/// A host that forwards is a router, and routers do not listen to others unless told so: with the
/// switch the kernel drops the default routes that were advertised to it.
fn warn_of_advertised_routes(host: &Host, plugin: &str) -> Result<(), Error> {
    let filter = Filter { family: Some(Family::V6), ..Filter::default() };
    let socket = &host.socket;
    for route in route::list(socket, filter).map_err(|e| refused(&e))? {
        let advertised = route.dst.is_default() && route.protocol == route::ADVERTISED;
        let Some(index) = route.dev.filter(|_| advertised) else { continue };
        let Some(link) = link::find(socket, index).map_err(|e| refused(&e))? else { continue };
        let Ok(name) = link.dev.name.parse::<IfName>() else { continue };
        if Key::conf_v6(&name, "accept_ra").read().is_ok_and(|value| value == "1") {
            cni::warn(
                plugin,
                &format!(
                    "turn on IPv6 forwarding: {name} loses its advertised default route; set \
                     net.ipv6.conf.{name}.accept_ra=2 for it to come back"
                ),
            );
        }
    }
    Ok(())
}

/// Claims that the host, in whose namespace the calling thread is, forwards packets of `family`.
///
/// # Errors
/// Code 101 when it does not.
pub fn is_on(family: Family) -> Result<(), Error> {
    match Key::forwarding(family).read() {
        Ok(value) if value == "0" => {
            Err(differs(format!("{family} forwarding is off on the host")))
        }
        _ => Ok(()),
    }
}
