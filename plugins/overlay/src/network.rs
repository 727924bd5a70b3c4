//! The network as this host takes part in it, wherever that is written.

use std::path::Path;

use attach::error::refused;
use attach::host::Host;
use bridges::config::{Apart, Config as Bridge, Conflict, Elsewhere, Gateway};
use cni::{Call, Dns, Error, code};
use kernel::netlink::Socket;
use netfilter::{Class, kind};
use peers::{Accepted, HostId, Limits, LocalBlock, NodeFile, State, StaticFile, accept};
use tunnels::{Desired, Underlays};
use types::{Cidr, Family, IfName, Mtu, NetworkName};

use crate::config::{Config, Store};
use crate::{NAME, daemon, data_path};

/// What this host has of a network.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    /// What this plugin has to make; `None`: a daemon does.
    pub(crate) desired: Option<Desired>,
    /// Bridge of containers.
    pub(crate) bridge: IfName,
    /// Links by which the network goes on.
    pub(crate) devices: Vec<IfName>,
    /// MTU of containers.
    pub(crate) mtu: Mtu,
    /// This host's blocks, in the order in which addresses are taken of them.
    pub(crate) blocks: Vec<LocalBlock>,
    /// All addresses.
    pools: Vec<Cidr>,
    masquerade: bool,
    dns: Option<Dns>,
    denied: Option<String>,
}

impl Network {
    /// Learns what this host has of `name`.
    ///
    /// # Errors
    /// Code 5 where files or links cannot be read or are in the way, 7 where the file of peers is
    /// wrong, 11 where the daemon has not written what is needed.
    pub(crate) fn settle(
        name: &NetworkName,
        config: &Config,
        host: &Socket,
        run_dir: &Path,
    ) -> Result<Self, Error> {
        match &config.store {
            Store::Static { peers, host: id } => {
                Self::by_file(name, config, (peers, id.as_ref()), host)
            }
            Store::Etcd(_) => Self::by_daemon(name, config, run_dir),
        }
    }

    /// The same for ADD: a daemon that has not said anything of the network is asked to.
    ///
    /// # Errors
    /// As there, and what the daemon says.
    pub(crate) fn settle_for_add(call: &Call, config: &Config, host: &Host) -> Result<Self, Error> {
        let (name, run_dir) = (&call.attachment.network, &host.run_dir);
        if let Store::Etcd(etcd) = &config.store {
            match NodeFile::read(run_dir, name) {
                Ok(None) | Err(peers::Error::Invalid(_)) => {
                    daemon::ensure(name, etcd, run_dir, &call.path)?;
                }
                // What is of another version is told where it is read.
                Ok(Some(_)) | Err(_) => daemon::revive(run_dir, &call.path),
            }
        }
        Self::settle(name, config, &host.socket, run_dir)
    }

    /// The same with more addresses, which the daemon gets.
    ///
    /// # Errors
    /// Why there are none.
    pub(crate) fn with_more(
        &self,
        call: &Call,
        config: &Config,
        run_dir: &Path,
    ) -> Result<Self, Error> {
        daemon::more(&call.attachment.network, run_dir, &call.path)?;
        Self::by_daemon(&call.attachment.network, config, run_dir)
    }

    /// Name service of containers, beside the network's own.
    pub(crate) fn dns(&self) -> Option<&Dns> {
        self.dns.as_ref()
    }

    /// Whether a daemon keeps it.
    pub(crate) fn has_daemon(&self) -> bool {
        self.desired.is_none()
    }

    fn by_file(
        name: &NetworkName,
        config: &Config,
        (path, id): (&Path, Option<&HostId>),
        host: &Socket,
    ) -> Result<Self, Error> {
        let step = format!("learn the peers of network {name}");
        let wrong = |why: &peers::Error| {
            let text = format!("{step} from {}: {why}", path.display());
            Error::new(code::INVALID_CONFIG, text)
        };
        let file = StaticFile::read(path).map_err(|why| match why {
            peers::Error::File { .. } => Error::new(code::IO, format!("{step}: {why}"))
                .with_hint("the file lists all hosts of the network: docs/overlay/README.md"),
            why => wrong(&why),
        })?;
        let underlays = Underlays::read(host).map_err(|e| refused(&e))?;
        let own = file.find(id, &underlays.addresses()).map_err(|why| {
            wrong(&why).with_hint("list this host, or say with \"hostId\" which of them it is")
        })?;
        let network = peers::Network {
            mtu: config.mtu,
            masquerade: config.masquerade,
            ..file.network(name.clone())
        };
        let accepted = accept(&network, own, &file.hosts, &file.blocks, Limits::STATIC);
        tell_refused(name, &own.id, &accepted)?;
        let desired = Desired::new(&network, own, &accepted, &underlays);
        let desired = desired.map_err(|e| data_path::told(&e))?;
        Ok(Self {
            bridge: desired.bridge.clone(),
            devices: desired.devices(),
            mtu: desired.mtu,
            blocks: accepted.own.iter().map(tunnels::local).collect(),
            pools: network.pools,
            masquerade: config.masquerade,
            dns: config.dns.clone(),
            denied: None,
            desired: Some(desired),
        })
    }

    fn by_daemon(name: &NetworkName, config: &Config, run_dir: &Path) -> Result<Self, Error> {
        const START: &str = "start cais-overlayd on this host: systemctl start cais-overlayd";
        let step = format!("read what cais-overlayd says of network {name}");
        let path = NodeFile::path(run_dir, name);
        let file = NodeFile::read(run_dir, name).map_err(|why| {
            let code = match why {
                peers::Error::Layout { .. } => code::NOT_AVAILABLE,
                _ => code::IO,
            };
            Error::new(code, format!("{step} in {}: {why}", path.display()))
                .with_hint("cais-overlayd and the plugins are of different versions")
        })?;
        let Some(file) = file else {
            let text = format!("{step}: there is no {}", path.display());
            return Err(Error::new(code::TRY_AGAIN, text).with_hint(START));
        };
        let nameservers: Vec<String> = file.dns.iter().map(ToString::to_string).collect();
        let of_network = (!nameservers.is_empty()).then(|| Dns { nameservers, ..Dns::default() });
        Ok(Self {
            desired: None,
            bridge: file.bridge,
            devices: vec![file.device],
            mtu: config.mtu.unwrap_or(file.mtu),
            blocks: file.blocks,
            pools: file.pools,
            masquerade: file.masquerade && config.masquerade,
            dns: config.dns.clone().or(of_network),
            denied: file.denied,
        })
    }

    /// Whether a container may be added.
    ///
    /// # Errors
    /// Code 11 with the daemon's reason.
    pub(crate) fn may_add(&self) -> Result<(), Error> {
        match &self.denied {
            None => Ok(()),
            Some(reason) => {
                let text = format!("add a container: cais-overlayd does not allow it: {reason}");
                Err(Error::new(code::TRY_AGAIN, text)
                    .with_hint("see the log of cais-overlayd on this host"))
            }
        }
    }

    /// The network as `bridges` is to make it.
    pub(crate) fn bridge(&self, name: &NetworkName, config: &Config) -> Bridge {
        Bridge {
            kind: &kind::Network,
            bridge: self.bridge.clone(),
            bridge_alias: Some(tunnels::alias(name)),
            gateway: Gateway::Default,
            conflict: Conflict::Fail,
            mtu: Some(self.mtu),
            hairpin: !config.mappings.is_empty(),
            promisc: false,
            isolated: false,
            vlans: None,
            masquerade: self.masquerade,
            elsewhere: Elsewhere { links: self.devices.clone(), pools: self.pools.clone() },
            spoof_check: false,
            isolation: Some(Apart { class: Class::Strict, icc: true }),
            enhanced_dad: false,
            container_down: false,
            mac: config.mac,
            dns: self.dns.clone(),
            ipam: None,
        }
    }

    /// Blocks of which addresses are handed out.
    pub(crate) fn active(&self, family: Family) -> impl Iterator<Item = &LocalBlock> {
        let is_active = |block: &&LocalBlock| block.state == State::Active;
        self.blocks.iter().filter(is_active).filter(move |block| block.cidr.family() == family)
    }
}

/// Says which records are not acted upon; where this host's own are among them, that is an error.
fn tell_refused(name: &NetworkName, own: &HostId, accepted: &Accepted) -> Result<(), Error> {
    let invalid = |text: String| Err(Error::new(code::INVALID_CONFIG, text));
    if let Some(refused) = accepted.refused.iter().find(|refused| refused.host == *own) {
        return invalid(format!("take part in network {name}: {refused}"));
    }
    if accepted.own.is_empty() {
        return invalid(format!("take part in network {name}: host {own} has no block"));
    }
    if let Some(small) =
        accepted.own.iter().find(|one| one.cidr.prefix() + 2 > one.cidr.family().bits())
    {
        let text =
            format!("take part in network {name}: block {} has no room for containers", small.cidr);
        return invalid(text);
    }
    for refused in &accepted.refused {
        cni::warn(NAME, &format!("network {name}: {refused}; it is not reached"));
    }
    Ok(())
}
