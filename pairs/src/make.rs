//! Making the pair, in steps of which each pushes its inverse.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use attach::error::{no_netns, refused};
use attach::host::{Host, deleter};
use attach::names;
use attach::record::{self, Earlier};
use cni::record::Record;
use cni::{Call, Error, Interface, code};
use kernel::link::{self, Dev, Link, Veth};
use kernel::netlink::{Reply, Request, Socket};
use kernel::netns::Netns;
use kernel::sysctl::Key;
use kernel::undo::Undo;
use types::{Attachment, IfName, MacAddr, Mtu};

use crate::remove::take_back;

/// How many names of the host's end are tried where others have taken them.
pub(crate) const NAMES: u32 = 8;

/// How long a new pair may take until packets pass.
const DEADLINE: Duration = Duration::from_secs(5);

/// A pair to be made.
#[derive(Debug)]
pub struct Pair<'a> {
    /// Whose it is; the container's end has its interface's name.
    pub key: &'a Attachment,
    /// Where one end stays.
    pub host: &'a Host,
    /// Where the other end appears.
    pub netns: &'a Netns,
    /// The bridge that the host's end is a port of.
    pub bridge: Option<Dev>,
    /// MTU of both ends; `None`: the kernel's default.
    pub mtu: Option<Mtu>,
    /// Address of the container's end; `None`: a random one.
    pub mac: Option<MacAddr>,
}

/// A pair as it is after it was made.
#[derive(Debug)]
pub struct Ends {
    /// The host's end, which is up.
    pub host: Link,
    /// The container's end, which is not.
    pub container: Dev,
    /// Its address.
    pub container_mac: MacAddr,
}

/// Writes the record of the attachment of `call`, before anything else is made, and tells what is
/// known of an earlier one of its key.
///
/// # Errors
/// Code 5 when it cannot be written.
pub fn record<'a>(
    call: &Call,
    host: &'a Host,
    netns: &Netns,
    undo: &mut Undo<'a>,
) -> Result<Earlier, Error> {
    let host_ifname = names::host_ifname(&call.attachment, 0).to_string();
    let record = Record { host_ifname, ..record::of(call, netns)? };
    record::write(record, &host.run_dir, undo)
}

impl<'a> Pair<'a> {
    /// Makes the pair under the first name that is free on the host, and says by the alias of the
    /// host's end whose it is. What `more` asks for, given that end's name, is done by the same system
    /// call; its answers come back in their order. `earlier` may have left a pair, which goes if it
    /// is dead.
    ///
    /// # Errors
    /// Code 4 when the container has a link of that name, code 11 when no name is free, code 5 or 11
    /// with the kernel's words.
    pub fn make(
        &self,
        earlier: Earlier,
        more: impl FnOnce(&IfName) -> Vec<Request>,
        undo: &mut Undo<'a>,
    ) -> Result<(Ends, Vec<Option<Reply>>), Error> {
        let (host, container_mac) = (self.host, self.mac.unwrap_or_else(random_mac));
        let name = self.create(container_mac, earlier)?;
        undo.push(format!("delete link {name}"), {
            let name = name.clone();
            move || take_back(host, &name)
        });
        let mut requests = vec![link::set(&name).alias(&names::alias(self.key)).request()];
        requests.extend(more(&name));
        requests.push(link::query(&name));
        let mut answers = Vec::new();
        for answer in host.socket.batch(&requests) {
            answers.push(answer.map_err(|e| refused(&e))?);
        }
        let told = answers.pop().flatten();
        answers.remove(0);
        let end = told.as_ref().and_then(Link::from_reply).ok_or_else(|| {
            Error::new(code::IO, format!("look up link {name}: the kernel gave no answer"))
        })?;
        let index = end.link.ok_or_else(|| {
            Error::new(code::IO, format!("look up the peer of {name}: the kernel named none"))
        })?;
        // Router advertisements are not for the host's end; without IPv6 there is no such switch.
        let _ = Key::conf_v6(&name, "accept_ra").write("0");
        let container = Dev::new(index, &self.key.ifname);
        Ok((Ends { host: end, container, container_mac }, answers))
    }

    fn create(&self, container_mac: MacAddr, mut earlier: Earlier) -> Result<IfName, Error> {
        let (key, socket) = (self.key, &self.host.socket);
        let alias = names::alias(key);
        let mut attempt = 0;
        while attempt < NAMES {
            let name = names::host_ifname(key, attempt);
            match socket.run(&self.request(&name, container_mac)) {
                Ok(()) => return Ok(name),
                Err(error) if error.is_exists() => {}
                Err(error) => {
                    let told = refused(&error);
                    return Err(match &self.bridge {
                        Some(bridge) if error.is_full() => told.with_hint(is_full(bridge)),
                        _ => told,
                    });
                }
            }
            let there = link::find(socket, &name).map_err(|e| refused(&e))?;
            let is_ours = |link: &Link| link.alias.as_deref() == Some(&alias);
            match there {
                Some(link) if is_ours(&link) && earlier == Earlier::Dead => {
                    let deleter = deleter(&self.host.run_dir);
                    deleter.delete(socket, &link, &[]).map_err(|e| refused(&e))?;
                    earlier = Earlier::NotDead;
                }
                Some(link) if !is_ours(&link) => attempt += 1,
                // Ours and not dead, or the name inside the container is taken.
                _ => return Err(self.taken()),
            }
        }
        let text = format!("create veth for {key}: the host's names for it are all taken");
        Err(Error::new(code::TRY_AGAIN, text))
    }

    fn request(&self, name: &IfName, container_mac: MacAddr) -> Request {
        let mut pair = Veth::new(name.clone(), self.key.ifname.clone())
            .mac(random_mac())
            .peer_mac(container_mac)
            .peer_netns(self.netns)
            .up();
        if let Some(bridge) = &self.bridge {
            pair = pair.master(bridge);
        }
        if let Some(mtu) = self.mtu {
            pair = pair.mtu(mtu).peer_mtu(mtu);
        }
        pair.create()
    }

    fn taken(&self) -> Error {
        let (ifname, netns) = (&self.key.ifname, self.netns.path().display());
        let text = format!(
            "create veth for {ifname} in {netns}: container veth name ({ifname}) already exists"
        );
        Error::new(code::INVALID_ENVIRONMENT, text).with_hint(
            "a previous ADD for this container was not undone; run DEL for it, or `cais gc`",
        )
    }
}

fn is_full(bridge: &Dev) -> String {
    format!(
        "bridge {} has all 1023 ports that the kernel gives one; remove containers, `cais gc` those \
         that are gone, or use another bridge",
        bridge.name
    )
}

impl Ends {
    /// Waits until packets pass from the host's end, now that the container's is up as well.
    ///
    /// # Errors
    /// Code 11 when they do not within five seconds, code 5 when the kernel cannot be asked.
    pub fn wait_until_operational(&self, host: &Host) -> Result<(), Error> {
        // Microseconds after both ends are up, as a rule; only then are events worth a thread.
        for _ in 0..50 {
            if link::get(&host.socket, &self.host).map_err(|e| refused(&e))?.is_operational() {
                return Ok(());
            }
            std::thread::yield_now();
        }
        let place = host.socket.place();
        let wait = || {
            let socket = Socket::open(place)?;
            link::wait_until_operational(&socket, &self.host.dev, DEADLINE)
        };
        match host.netns.run(wait) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(refused(&error)),
            Err(error) => Err(no_netns(&error)),
        }
    }

    /// Both ends as a result has them, the host's first.
    #[must_use]
    pub fn interfaces(&self, call: &Call) -> [Interface; 2] {
        let container = Interface {
            name: self.container.name.clone(),
            mac: self.container_mac.to_string(),
            mtu: self.host.mtu,
            sandbox: call.sandbox(),
            ..Interface::default()
        };
        [on_host(&self.host), container]
    }
}

/// A link of the host as a result has it.
#[must_use]
pub fn on_host(link: &Link) -> Interface {
    Interface {
        name: link.dev.name.clone(),
        mac: link.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        mtu: link.mtu,
        ..Interface::default()
    }
}

/// A random address of our own choosing: the kernel's would count as not set, and a bridge with
/// such a one takes over its ports'.
#[must_use]
pub fn random_mac() -> MacAddr {
    // Two hashers never have the same keys; the kernel's random numbers are behind them.
    let [a, b, c, d, e, f, ..] = RandomState::new().hash_one(std::process::id()).to_ne_bytes();
    MacAddr::local([a, b, c, d, e, f])
}
