//! The host as the containers' gateway: its addresses on the bridge, and forwarding.

use attach::error::refused;
use attach::forwarding;
use cni::{Error, code};
use kernel::addr;
use kernel::link::{self, Link, Veth};
use kernel::undo::Undo;
use pairs::make::random_mac;
use pairs::remove::take_back;
use types::{Cidr, Family, IfName, VlanId};

use super::{Adding, port};
use crate::config::Conflict;
use crate::plan::{Layer3, PortVlans};

impl<'a> Adding<'a> {
    /// Gives the bridge, or the gateway's link of a VLAN, the gateways' addresses, and turns
    /// forwarding on. Returns the gateway's link of a VLAN.
    pub(crate) fn gateways(
        &self,
        layer3: &Layer3,
        bridge: &Link,
        undo: &mut Undo<'a>,
    ) -> Result<Option<Link>, Error> {
        if layer3.gateways.is_empty() {
            return Ok(None);
        }
        let access = self.config.vlans.as_ref().and_then(|vlans| vlans.access);
        let of_vlan = access.map(|id| self.vlan_gateway(bridge, id, undo)).transpose()?;
        let link = of_vlan.as_ref().unwrap_or(bridge);
        let there = addr::list(&self.host.socket, &link.dev).map_err(|e| refused(&e))?;
        let there: Vec<Cidr> = there.iter().map(|found| found.cidr).collect();
        for gateway in layer3.gateways.iter().filter(|gateway| !there.contains(gateway)) {
            // Other gateways of the same network are not in the way.
            let foreign = there.iter().filter(|other| !layer3.gateways.contains(other));
            for other in foreign.filter(|other| excludes(**other, *gateway)) {
                self.make_room(link, *gateway, *other, undo)?;
            }
            self.give(link, *gateway, undo)?;
        }
        for family in [Family::V4, Family::V6] {
            if layer3.gateways.iter().any(|gateway| gateway.family() == family) {
                forwarding::turn_on(self.host, family, "bridge", undo)?;
            }
        }
        Ok(of_vlan)
    }

    /// Removes an address that the gateway's cannot stand beside, or fails because of it.
    fn make_room(
        &self,
        link: &Link,
        gateway: Cidr,
        other: Cidr,
        undo: &mut Undo<'a>,
    ) -> Result<(), Error> {
        if self.config.conflict == Conflict::Fail {
            let dev = &link.dev;
            let text = format!(
                "add address {gateway} on {dev}: {dev} already has an IP address different from \
                 {gateway}: {other}"
            );
            return Err(Error::new(code::INVALID_CONFIG, text).with_hint(
                "remove that address, name another bridge, or set \"forceAddress\" to true",
            ));
        }
        let (host, dev) = (self.host, link.dev.clone());
        host.socket.run(&addr::del(&dev, other)).map_err(|e| refused(&e))?;
        undo.push(format!("give {other} back to {dev}"), move || {
            Ok(host.socket.run(&addr::add(&dev, other))?)
        });
        Ok(())
    }

    fn give(&self, link: &Link, gateway: Cidr, undo: &mut Undo<'a>) -> Result<(), Error> {
        let (host, dev) = (self.host, link.dev.clone());
        match host.socket.run(&addr::add(&dev, gateway)) {
            // Another call was faster.
            Err(error) if error.is_exists() => return Ok(()),
            other => other.map_err(|e| refused(&e))?,
        }
        // A bridge that others made may follow its ports' addresses; a gateway must not change.
        if let Some(mac) = link.mac {
            host.socket.run(&link::set(&dev).mac(mac).request()).map_err(|e| refused(&e))?;
        }
        undo.push(format!("remove address {gateway} from {dev}"), move || {
            if !host.is_alone() {
                return Ok(());
            }
            match host.socket.run(&addr::del(&dev, gateway)) {
                // With the bridge its addresses are gone.
                Err(error) if error.is_missing() => Ok(()),
                other => Ok(other?),
            }
        });
        Ok(())
    }

    /// The link `<bridge>.<vlan>` on which the host takes part in a VLAN: a veth whose peer is a
    /// port of the bridge with that VLAN.
    fn vlan_gateway(&self, bridge: &Link, id: VlanId, undo: &mut Undo<'a>) -> Result<Link, Error> {
        let text = format!("{}.{}", bridge.dev, id.get());
        let name: IfName = text.parse().map_err(|why| {
            Error::new(code::INVALID_CONFIG, format!("name the gateway's link {text}: {why}"))
                .with_hint("give the bridge a shorter name")
        })?;
        let host = self.host;
        if let Some(link) = link::find(&host.socket, &name).map_err(|e| refused(&e))? {
            return Ok(link);
        }
        let peer = attach::names::derived_ifname(&text);
        let mut pair = Veth::new(peer.clone(), name.clone())
            .mac(random_mac())
            .peer_mac(random_mac())
            .master(&bridge.dev)
            .up();
        if let Some(mtu) = self.links.mtu {
            pair = pair.mtu(mtu).peer_mtu(mtu);
        }
        match host.socket.run(&pair.create()) {
            Ok(()) => undo.push(format!("delete link {name}"), {
                let name = name.clone();
                move || match host.is_alone() {
                    true => take_back(host, &name),
                    false => Ok(()),
                }
            }),
            // Another call was faster.
            Err(error) if error.is_exists() => {}
            Err(error) => return Err(refused(&error)),
        }
        let port = link::get(&host.socket, &peer).map_err(|e| refused(&e))?;
        let vlans = PortVlans { drop_default: true, untagged: Some(id), tagged: Vec::new() };
        port::set_vlans(&host.socket, &port, &vlans)?;
        host.socket.run(&link::set(&name).up().request()).map_err(|e| refused(&e))?;
        link::get(&host.socket, &name).map_err(|e| refused(&e))
    }
}

/// A bridge has one IPv4 network, and IPv6 networks that do not overlap.
fn excludes(other: Cidr, gateway: Cidr) -> bool {
    let family = gateway.family();
    other.family() == family && (family == Family::V4 || other.overlaps(gateway))
}
