//! The bridge, and the veth pair between it and the container.

use attach::error::refused;
use attach::host::Host;
use attach::record::Earlier;
use cni::{Error, code};
use kernel::link::{self, Bridge, Deleter, Link, PortVlan, Side};
use kernel::netlink::{Request, Socket};
use kernel::sysctl::Key;
use kernel::undo::Undo;
use pairs::make::{Ends, Pair, random_mac};
use types::{IfName, VlanId};

use super::Adding;
use crate::config::Config;
use crate::plan::PortVlans;

/// The links as they are after they were made.
pub(crate) struct Made {
    pub(crate) bridge: Link,
    pub(crate) ends: Ends,
}

impl<'a> Adding<'a> {
    /// Makes the bridge unless it is there.
    pub(crate) fn bridge(&self, undo: &mut Undo<'a>) -> Result<Link, Error> {
        let (name, host) = (&self.links.bridge, self.host);
        let there = link::find(&host.socket, name).map_err(|e| refused(&e))?;
        let bridge = match there {
            Some(bridge) => bridge,
            None => {
                let mut new = Bridge::new(name.clone()).mac(random_mac());
                if self.links.vlan_filtering {
                    new = new.vlan_filtering(true);
                }
                if let Some(mtu) = self.links.mtu {
                    new = new.mtu(mtu);
                }
                match self.create(&new) {
                    Ok(()) => {
                        undo.push(format!("delete bridge {name}"), move || {
                            remove_if_unused(host, name)
                        });
                    }
                    // Another call was faster; what it made is as good.
                    Err(error) if error.is_exists() => {}
                    Err(error) if self.links.vlan_filtering => return Err(without_vlans(&error)),
                    Err(error) => return Err(refused(&error)),
                }
                link::get(&host.socket, name).map_err(|e| refused(&e))?
            }
        };
        self.fits(&bridge)?;
        let _ = Key::conf_v6(name, "accept_ra").write("0");
        if !bridge.is_up() {
            self.start(&bridge, undo)?;
        }
        if self.links.promisc {
            let request = link::set(&bridge.dev).promisc(true).request();
            host.socket.run(&request).map_err(|e| refused(&e))?;
        }
        Ok(bridge)
    }

    /// Makes a bridge and says whose it is by one system call, so that no bridge without an alias is
    /// left when the process is killed. Only where another was made since we looked is that one given
    /// the alias; it is another call's for the same network.
    fn create(&self, new: &Bridge) -> Result<(), kernel::RequestError> {
        let socket = &self.host.socket;
        let Some(alias) = &self.config.bridge_alias else { return socket.run(&new.create()) };
        let named = link::set(&self.links.bridge).alias(alias).request();
        let mut done = socket.batch(&[new.create(), named]).into_iter();
        done.next().transpose()?;
        done.next().transpose().map(drop).inspect_err(|_| {
            // Nobody would ever delete it.
            let _ = Deleter::waiting().delete(socket, &self.links.bridge, &[]);
        })
    }

    /// Sets a bridge up that was made a moment ago, or by an ADD that was killed.
    fn start(&self, bridge: &Link, undo: &mut Undo<'a>) -> Result<(), Error> {
        // Nobody else can have its address, and while a duplicate is looked for the host cannot
        // ask for its IPv6 neighbours. A kernel without IPv6 does without.
        let dad = Key::conf_v6(&self.links.bridge, "accept_dad");
        let before = dad.ensure("0").ok().flatten();
        let (host, dev) = (self.host, bridge.dev.clone());
        host.socket.run(&link::set(&dev).up().request()).map_err(|e| refused(&e))?;
        undo.push(format!("set {dev} down again"), move || {
            if !host.is_alone() {
                return Ok(());
            }
            host.socket.run(&link::set(&dev).down().request())?;
            match before {
                // By then the thread may be in the container, whose switches are others.
                Some(before) => Ok(host.netns.run(|| dad.write(&before))??),
                None => Ok(()),
            }
        });
        Ok(())
    }

    /// Whether the link under the bridge's name can serve.
    fn fits(&self, bridge: &Link) -> Result<(), Error> {
        let name = &bridge.dev;
        let invalid = |text: String| Err(Error::new(code::INVALID_CONFIG, text));
        match &bridge.data {
            link::Data::Bridge { vlan_filtering: false, .. } if self.links.vlan_filtering => {
                Err(Error::new(
                    code::INVALID_CONFIG,
                    format!("use bridge {name} with VLANs: it does not look at VLAN tags"),
                )
                .with_hint(format!(
                    "ip link set {name} type bridge vlan_filtering 1, or name another bridge"
                )))
            }
            link::Data::Bridge { .. } => Ok(()),
            _ => {
                let kind = bridge.kind.as_deref().unwrap_or("physical link");
                invalid(format!(
                    "use {name} as bridge: it already exists but is a {kind}, not a bridge"
                ))
                .map_err(|e: Error| e.with_hint("set \"bridge\" to another name"))
            }
        }
    }

    /// Makes the pair with its far end in the container.
    pub(crate) fn port(
        &self,
        bridge: &Link,
        earlier: Earlier,
        undo: &mut Undo<'a>,
    ) -> Result<Made, Error> {
        let (host, links) = (self.host, self.links);
        let pair = Pair {
            key: &self.call.attachment,
            host,
            netns: self.netns,
            bridge: Some(bridge.dev.clone()),
            mtu: links.mtu,
            mac: links.mac,
        };
        let port = &links.port;
        let isolated = port.isolated || isolates_by_port(self.config);
        let more = |name: &IfName| {
            let change = link::set_port(name).hairpin(port.hairpin).isolated(isolated);
            let change = (port.hairpin || isolated).then(|| change.request());
            change.into_iter().chain([link::query(&bridge.dev)]).collect()
        };
        let (ends, mut answers) = pair.make(earlier, more, undo)?;
        let bridge =
            answers.pop().flatten().as_ref().and_then(Link::from_reply).ok_or_else(|| {
                let text = format!("look up link {}: the kernel gave no answer", bridge.dev);
                Error::new(code::IO, text)
            })?;
        if let Some(vlans) = &port.vlans {
            set_vlans(&host.socket, &ends.host, vlans)?;
        }
        Ok(Made { bridge, ends })
    }
}

/// Whether containers are kept from each other at their ports. Where br_netfilter shows frames to
/// the packet filter, that does so, since it knows published ports from others. To be asked on the
/// host.
pub(crate) fn isolates_by_port(config: &Config) -> bool {
    config.isolation.is_some_and(|apart| !apart.icc) && !frames_are_filtered()
}

/// Whether br_netfilter shows the packet filter the frames of both address families.
fn frames_are_filtered() -> bool {
    ["bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables"].into_iter().all(|name| {
        Key::net(name).and_then(|key| key.read().ok()).is_some_and(|value| value != "0")
    })
}

/// Gives a port exactly the VLANs that it is to have.
pub(super) fn set_vlans(socket: &Socket, port: &Link, wanted: &PortVlans) -> Result<(), Error> {
    let mut requests: Vec<Request> = Vec::new();
    if wanted.drop_default {
        let there = link::list_vlans(socket, &port.dev).map_err(|e| without_vlans(&e))?;
        if !there.is_empty() {
            requests.push(link::del_vlans(&port.dev, Side::Port, &there));
        }
    }
    if let Some(id) = wanted.untagged {
        requests.push(link::add_vlans(&port.dev, Side::Port, &[PortVlan::access(id)]));
    }
    let id = |number: u16| VlanId::try_from(u32::from(number)).ok();
    for range in &wanted.tagged {
        if let (Some(first), Some(last)) = (id(*range.start()), id(*range.end())) {
            requests.push(link::add_vlans(
                &port.dev,
                Side::Port,
                &[PortVlan::tagged(first..=last)],
            ));
        }
    }
    socket.run_all(&requests).map_err(|e| without_vlans(&e))
}

fn without_vlans(error: &kernel::RequestError) -> Error {
    let told = refused(error);
    if error.is_unsupported() {
        return told
            .with_hint("this kernel has no bridge VLAN filtering (CONFIG_BRIDGE_VLAN_FILTERING)");
    }
    told
}

/// Deletes the bridge `name` if it was made under `alias` and has no port any more, while no other
/// call is under way.
///
/// # Errors
/// What the kernel said.
pub fn remove_bridge(host: &Host, name: &IfName, alias: &str) -> Result<(), Error> {
    let find = || link::find(&host.socket, name).map_err(|e| refused(&e));
    let is_ours = |link: &Link| link.is_kind("bridge") && link.alias.as_deref() == Some(alias);
    // Looked at before others are made to wait.
    if !find()?.is_some_and(|bridge| is_ours(&bridge)) || !host.is_alone() {
        return Ok(());
    }
    let Some(bridge) = find()?.filter(is_ours) else { return Ok(()) };
    let links = link::list(&host.socket).map_err(|e| refused(&e))?;
    if links.iter().any(|port| port.master == Some(bridge.dev.index)) {
        return Ok(());
    }
    // Not by a child, which would have to wait for the one that deletes the last port.
    match host.socket.run(&link::delete(&bridge)) {
        Err(error) if !error.is_missing() => Err(refused(&error)),
        _ => Ok(()),
    }
}

/// Takes a bridge back that a failed ADD made, unless somebody has begun to use it.
fn remove_if_unused(host: &Host, name: &IfName) -> Result<(), kernel::undo::StepError> {
    if !host.is_alone() {
        return Ok(());
    }
    let Some(bridge) = link::find(&host.socket, name)? else { return Ok(()) };
    let links = link::list(&host.socket)?;
    if links.iter().any(|port| port.master == Some(bridge.dev.index)) {
        return Ok(());
    }
    Ok(host.socket.run(&link::delete(&bridge))?)
}
