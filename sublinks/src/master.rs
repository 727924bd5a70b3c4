//! Finding the link that others are to stand on.

use attach::error::refused;
use cni::{Error, code};
use kernel::link::{self, Link};
use kernel::netlink::Socket;
use kernel::route;

use crate::config::{Config, Master, Place};

/// The master that `config` wants, in the namespace of `socket`; it has room for the MTU. It may be
/// down: then the links that stand on it have no carrier until it is up.
///
/// # Errors
/// Code 7: there is none, or it has not.
pub fn find(socket: &Socket, config: &Config) -> Result<Link, Error> {
    let link = match &config.master.name {
        Some(name) => link::find(socket, name).map_err(|e| refused(&e))?.ok_or_else(|| {
            let text = format!("key \"master\": link {name} does not exist in {}", socket.place());
            Error::new(code::INVALID_CONFIG, text).with_hint(of_place(&config.master))
        })?,
        None => of_default_route(socket)?,
    };
    has_room(&link, config)?;
    Ok(link)
}

/// What the reader can do about a name that leads nowhere.
fn of_place(master: &Master) -> &'static str {
    match master.place {
        Place::Host => {
            "name a link of the host (`ip link` lists them), or leave \"master\" out to use that of \
             the default route; one that another plugin makes in the container needs \
             \"linkInContainer\""
        }
        Place::Container => "an earlier plugin of the list has to make that link in the container",
    }
}

fn of_default_route(socket: &Socket) -> Result<Link, Error> {
    let links = route::default_links(socket).map_err(|e| refused(&e))?;
    let found = match links.first() {
        Some(index) => link::find(socket, *index).map_err(|e| refused(&e))?,
        None => None,
    };
    found.ok_or_else(|| {
        let place = socket.place();
        let text = format!("key \"master\" is missing, and {place} has no default route to go by");
        Error::new(code::INVALID_CONFIG, text).with_hint("name a link in \"master\"")
    })
}

fn has_room(master: &Link, config: &Config) -> Result<(), Error> {
    match config.mtu {
        Some(mtu) if mtu.get() > master.mtu => {
            let text = format!(
                "key \"mtu\": invalid MTU {}, must be [0, master MTU({})] of {}",
                mtu.get(),
                master.mtu,
                master.dev
            );
            Err(Error::new(code::INVALID_CONFIG, text)
                .with_hint("leave \"mtu\" out for the master's own"))
        }
        _ => Ok(()),
    }
}
