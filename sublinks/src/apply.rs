//! ADD, in steps of which each pushes its inverse.

use attach::error::{no_netns, refused};
use attach::host::Host;
use attach::ipam::Addresses;
use attach::{inside, names};
use cni::{AddResult, Call, Error};
use kernel::RequestError;
use kernel::addr::Dad;
use kernel::link::{self, Deleter, Link};
use kernel::netlink::Socket;
use kernel::netns::{Netns, SocketError};
use kernel::undo::Undo;

use crate::config::{Config, Master, Place};
use crate::made::{Held, Users};
use crate::{New, Sublink, master};

/// Everything that ADD works with.
pub struct Adding<'a> {
    /// The call.
    pub call: &'a Call,
    /// What the attachment is to be.
    pub config: &'a Config,
    /// The kind of link.
    pub sublink: &'a dyn Sublink,
    /// The host that the call came to.
    pub host: &'a Host,
    /// The container's namespace.
    pub netns: &'a Netns,
    /// Where addresses come from; `None`: layer 2 only.
    pub addresses: Option<&'a dyn Addresses>,
}

impl<'a> Adding<'a> {
    /// Makes the attachment, or takes back whatever it did.
    ///
    /// # Errors
    /// What was tried and why it failed; what could not be taken back is in the details.
    pub fn run(&self) -> Result<AddResult, Error> {
        let adding = inside::Adding {
            call: self.call,
            host: self.host,
            netns: self.netns,
            addresses: self.addresses,
            dns: self.config.dns.as_ref(),
            // Others on the master's wire may have an address that we were given.
            dad: Dad::Detect,
        };
        adding.run(
            |undo| match self.config.master.place {
                Place::Host => self.link(&self.host.socket, undo),
                Place::Container => self.link(&self.socket_inside()?, undo),
            },
            |inside, link| self.dress(inside, link),
        )
    }

    /// A socket in the container, while the thread is still on the host.
    fn socket_inside(&self) -> Result<Socket, Error> {
        self.netns.socket().map_err(|error| match error {
            SocketError::Netns(error) => no_netns(&error),
            SocketError::Netlink(error) => refused(&error),
        })
    }

    /// Makes the link over its master, which lives where `socket` is.
    fn link(&self, socket: &Socket, undo: &mut Undo<'a>) -> Result<(), Error> {
        let (name, netns) = (&self.call.attachment.ifname, self.netns);
        let _held = self.made_master(undo)?;
        let master = master::find(socket, self.config)?;
        self.sublink.accepts(&master)?;
        if !master.is_up() {
            let text = format!("{} is down: {name} carries nothing until it is up", master.dev);
            cni::warn(self.sublink.kind(), &text);
        }
        let new = New {
            name: name.clone(),
            master: &master.dev,
            netns,
            mtu: self.config.mtu,
            mac: self.config.mac,
        };
        let made = match socket.run(&self.sublink.create(&new)) {
            Err(error) if error.is_exists() && self.is_taken_outside(socket) => {
                self.create_and_rename(&self.socket_inside()?, socket, &new)
            }
            made => made,
        };
        made.map_err(|error| self.not_made(&master, &error))
    }

    /// Whether the name is free in the container and not where the master is. Kernels before 6.15
    /// refuse it then: an `eth0` of the container over that of the host.
    fn is_taken_outside(&self, socket: &Socket) -> bool {
        let name = &self.call.attachment.ifname;
        !self.is_there() && matches!(link::find(socket, name), Ok(Some(_)))
    }

    /// Makes the link under another name, and gives it its own `inside`, where nobody has that.
    fn create_and_rename(
        &self,
        inside: &Socket,
        socket: &Socket,
        new: &New<'_>,
    ) -> Result<(), RequestError> {
        let interim = names::interim_ifname(&self.call.attachment);
        let remove = || Deleter::waiting().delete(inside, &interim, &[]);
        // A call that was killed in between left it, and no DEL came since.
        let _ = remove();
        socket.run(&self.sublink.create(&New { name: interim.clone(), ..*new }))?;
        link::get(inside, &interim)
            .and_then(|link| inside.run(&link::rename(&link.dev, &new.name)))
            .inspect_err(|_| drop(remove()))
    }

    /// Makes the master where it is a VLAN of the host that is missing. Nobody deletes it while the
    /// link is made.
    fn made_master(&self, undo: &mut Undo<'a>) -> Result<Option<Held>, Error> {
        match &self.config.master {
            Master { name: Some(name), place: Place::Host } => {
                let users = Users::under(&self.host.run_dir);
                users.join(&self.host.socket, &self.call.attachment, name, undo)
            }
            _ => Ok(None),
        }
    }

    fn not_made(&self, master: &Link, error: &RequestError) -> Error {
        let (kind, name) = (self.sublink.kind(), &self.call.attachment.ifname);
        let tried =
            format!("create {kind} {name} over {} in {}", master.dev, self.netns.path().display());
        let told = match error.is_exists() && !self.is_there() {
            true => Error { msg: format!("{tried}: {}", error.source), ..refused(error) },
            false => inside::not_made(&tried, name, error),
        };
        told.with_hint_if_any(self.sublink.hint(master, error))
    }

    /// Whether the container has an interface of that name; other things than names may be taken.
    fn is_there(&self) -> bool {
        let inside = self.netns.socket().ok();
        inside.is_some_and(|socket| {
            matches!(link::find(&socket, &self.call.attachment.ifname), Ok(Some(_)))
        })
    }

    fn dress(&self, inside: &Socket, link: &mut Link) -> Result<(), Error> {
        // In some modes the kernel gives it its master's at first.
        if let Some(mac) = self.config.mac.filter(|mac| link.mac != Some(*mac)) {
            inside.run(&link::set(&*link).mac(mac).request()).map_err(|e| refused(&e))?;
            link.mac = Some(mac);
        }
        Ok(())
    }
}
