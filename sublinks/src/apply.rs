//! ADD, in steps of which each pushes its inverse.

use attach::error::{no_netns, refused};
use attach::host::Host;
use attach::ipam::{self, Addresses};
use attach::steps::{self, step};
use attach::{layer3, names, record};
use cni::{AddResult, Call, Error, Interface, code};
use kernel::addr::Dad;
use kernel::link::{self, Deleter, Link};
use kernel::netlink::Socket;
use kernel::netns::{Netns, SocketError};
use kernel::undo::Undo;
use kernel::{RequestError, announce};

use crate::config::{Config, Master, Place};
use crate::made::{Held, Users};
use crate::{New, Sublink, master, plan};

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
        steps::run(|undo| self.steps(undo))
    }

    fn steps(&self, undo: &mut Undo<'a>) -> Result<AddResult, Error> {
        step("record");
        record::write(record::of(self.call, self.netns)?, &self.host.run_dir, undo)?;
        step("link");
        match self.config.master.place {
            Place::Host => self.link(&self.host.socket, undo)?,
            Place::Container => self.link(&self.socket_inside()?, undo)?,
        }
        let layer3 = match self.addresses {
            None => None,
            Some(addresses) => {
                step("ipam");
                let answer = ipam::lease(addresses, self.call, self.host, undo)?;
                Some(plan::result(self.config, answer)?)
            }
        };
        step("container");
        self.netns.enter_for_good().map_err(|e| no_netns(&e))?;
        let inside =
            Socket::open(self.netns.path().display().to_string()).map_err(|e| refused(&e))?;
        let result = self.container(&inside, layer3)?;
        step("done");
        Ok(result)
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
        if let Err(error) = socket.run(&self.sublink.create(&new)) {
            return Err(self.not_made(&master, &error));
        }
        undo.push(format!("delete link {name} in {}", netns.path().display()), move || {
            // Wherever the thread is by then.
            let delete = || -> Result<(), RequestError> {
                let socket = Socket::open(netns.path().display().to_string())?;
                Deleter::waiting().delete(&socket, name, &[]).map(drop)
            };
            Ok(netns.run(delete)??)
        });
        Ok(())
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
        if error.is_exists() && self.is_there() {
            let text = format!("{tried}: interface name {name} already exists");
            return Error::new(code::INVALID_ENVIRONMENT, text).with_hint(
                "a previous ADD for this container was not undone; run DEL for it, or `cais gc`",
            );
        }
        let told = Error { msg: format!("{tried}: {}", error.source), ..refused(error) };
        match self.sublink.hint(master, error) {
            Some(hint) => told.with_hint(hint),
            None => told,
        }
    }

    /// Whether the container has an interface of that name; other things than names may be taken.
    fn is_there(&self) -> bool {
        let inside = self.netns.socket().ok();
        inside.is_some_and(|socket| {
            matches!(link::find(&socket, &self.call.attachment.ifname), Ok(Some(_)))
        })
    }

    /// Alias, addresses, routes and switches of the link, and the result to print.
    fn container(&self, socket: &Socket, layer3: Option<AddResult>) -> Result<AddResult, Error> {
        let link = self.named(socket)?;
        let ifname = &self.call.attachment.ifname;
        let mut result = match layer3 {
            Some(result) => {
                layer3::announce_when_up(ifname);
                // Others on the master's wire may have an address that we were given.
                layer3::configure(socket, &link.dev, ifname, &result, Dad::Detect)?;
                if let Some(mac) = link.mac {
                    // Once more, now that all addresses are final: a neighbour that knew an earlier
                    // owner learns of the new one.
                    let _ = socket.run(&announce::by_kernel(&link.dev, mac));
                }
                result
            }
            None => {
                socket.run(&link::set(&link).up().request()).map_err(|e| refused(&e))?;
                plan::bare_result(self.config)
            }
        };
        result.interfaces = vec![Interface {
            name: ifname.to_string(),
            mac: link.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            mtu: link.mtu,
            sandbox: self.call.sandbox(),
            ..Interface::default()
        }];
        Ok(result)
    }

    /// Says by its alias whose the link is, and reads it.
    fn named(&self, socket: &Socket) -> Result<Link, Error> {
        let ifname = &self.call.attachment.ifname;
        let alias = link::set(ifname).alias(&names::alias(&self.call.attachment)).request();
        let mut answers = socket.batch(&[alias, link::query(ifname)]).into_iter();
        let mut answer = || answers.next().transpose().map_err(|e| refused(&e));
        answer()?;
        let reply = answer()?.flatten();
        let mut link = reply.as_ref().and_then(Link::from_reply).ok_or_else(|| {
            Error::new(code::IO, format!("look up link {ifname}: the kernel gave no answer"))
        })?;
        // In some modes the kernel gives it its master's at first.
        if let Some(mac) = self.config.mac.filter(|mac| link.mac != Some(*mac)) {
            socket.run(&link::set(&link).mac(mac).request()).map_err(|e| refused(&e))?;
            link.mac = Some(mac);
        }
        Ok(link)
    }
}
