//! VLANs of bridge ports, as in bridge(8): `bridge vlan`. Needs `CONFIG_BRIDGE_VLAN_FILTERING`.

use std::fmt;
use std::ops::RangeInclusive;

use types::VlanId;

use super::Dev;
use super::message::Message;
use super::numbers::{
    BRIDGE_FLAGS_SELF, BRIDGE_VLAN_INFO_PVID, BRIDGE_VLAN_INFO_RANGE_BEGIN,
    BRIDGE_VLAN_INFO_RANGE_END, BRIDGE_VLAN_INFO_UNTAGGED, IFLA_BRIDGE_FLAGS,
    IFLA_BRIDGE_VLAN_INFO,
};
use crate::netlink::attributes::{Attribute, Attributes, u16_at, u32_at};
use crate::netlink::encoder::Encoder;
use crate::netlink::{Action, Request, RequestError, Socket};

/// One VLAN, or several in a row with the same flags, of a bridge port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortVlan {
    /// First and last id.
    pub ids: RangeInclusive<VlanId>,
    /// Untagged frames that come in belong to it. A port has one; a range cannot.
    pub pvid: bool,
    /// Its frames leave without a tag.
    pub untagged: bool,
}

impl PortVlan {
    /// The access VLAN of a port: untagged both ways.
    #[must_use]
    pub fn access(id: VlanId) -> Self {
        Self { ids: id..=id, pvid: true, untagged: true }
    }

    /// VLANs that a port carries with their tags.
    #[must_use]
    pub fn tagged(ids: RangeInclusive<VlanId>) -> Self {
        Self { ids, pvid: false, untagged: false }
    }

    /// Appends one or two `IFLA_BRIDGE_VLAN_INFO`: an id, or both ends of a range.
    fn encode(&self, spec: &mut Encoder) {
        let pvid = if self.pvid { BRIDGE_VLAN_INFO_PVID } else { 0 };
        let untagged = if self.untagged { BRIDGE_VLAN_INFO_UNTAGGED } else { 0 };
        let mut info = |id: &VlanId, flags: u16| {
            // `struct bridge_vlan_info`: flags, then the id.
            let [a, b] = (pvid | untagged | flags).to_ne_bytes();
            let [c, d] = id.get().to_ne_bytes();
            spec.bytes(IFLA_BRIDGE_VLAN_INFO, &[a, b, c, d]);
        };
        let (first, last) = (self.ids.start(), self.ids.end());
        if first == last {
            info(first, 0);
        } else {
            info(first, BRIDGE_VLAN_INFO_RANGE_BEGIN);
            info(last, BRIDGE_VLAN_INFO_RANGE_END);
        }
    }
}

impl fmt::Display for PortVlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.ids.start().get(), self.ids.end().get());
        if first == last { write!(f, "{first}") } else { write!(f, "{first}-{last}") }
    }
}

/// Which side of a bridge gets the VLANs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A port (`master` in bridge(8)).
    Port,
    /// The bridge itself, as a link of the host (`self`).
    Bridge,
}

/// The request that adds `vlans` to a port, or to the bridge's own side.
#[must_use]
pub fn add_vlans(dev: &Dev, side: Side, vlans: &[PortVlan]) -> Request {
    request("add", libc::RTM_SETLINK, dev, side, vlans)
}

/// The request that takes `vlans` off a port, or off the bridge's own side.
#[must_use]
pub fn del_vlans(dev: &Dev, side: Side, vlans: &[PortVlan]) -> Request {
    request("delete", libc::RTM_DELLINK, dev, side, vlans)
}

fn request(verb: &str, kind: u16, dev: &Dev, side: Side, vlans: &[PortVlan]) -> Request {
    let mut message = Message::about(dev.into());
    message.family = libc::AF_BRIDGE as u8;
    message.attributes.nested(libc::IFLA_AF_SPEC, |spec| {
        if side == Side::Bridge {
            spec.u16(IFLA_BRIDGE_FLAGS, BRIDGE_FLAGS_SELF);
        }
        for vlan in vlans {
            vlan.encode(spec);
        }
    });
    let ids: Vec<String> = vlans.iter().map(PortVlan::to_string).collect();
    let change = format!("{verb} VLANs {}", ids.join(","));
    let action = Action::ChangeVlans { link: dev.name.clone(), change };
    Request::new(kind, 0, message.encode(), action)
}

/// Reads the VLANs of one port or bridge; the kernel filters (`RTM_GETVLAN`, Linux 5.6).
///
/// Neighbouring ids with equal flags come as one range.
///
/// # Errors
/// When they cannot be read; [`RequestError::is_unsupported`] without VLAN filtering support.
pub fn list_vlans(socket: &Socket, dev: &Dev) -> Result<Vec<PortVlan>, RequestError> {
    let messages = socket.dump(&list_request(dev), |body| Some(parse(body, dev.index)))?;
    Ok(messages.into_iter().flatten().collect())
}

pub(crate) fn list_request(dev: &Dev) -> Request {
    const RTM_GETVLAN: u16 = 114;
    let action = Action::List { what: format!("VLANs of bridge port {dev}") };
    // `struct br_vlan_msg`: family, padding, link.
    let mut header = [0; VLAN_HEADER_BYTES];
    header[0] = libc::AF_BRIDGE as u8;
    header[4..].copy_from_slice(&dev.index.to_ne_bytes());
    Request::new(RTM_GETVLAN, 0, Encoder::after(&header), action)
}

const VLAN_HEADER_BYTES: usize = 8;

pub(crate) fn parse(body: &[u8], index: u32) -> Vec<PortVlan> {
    const BRIDGE_VLANDB_ENTRY: u16 = 1;
    if u32_at(body, 4) != Some(index) {
        return Vec::new();
    }
    Attributes::after(VLAN_HEADER_BYTES, body)
        .filter(|attribute| attribute.kind == BRIDGE_VLANDB_ENTRY)
        .filter_map(entry)
        .collect()
}

fn entry(attribute: Attribute<'_>) -> Option<PortVlan> {
    const BRIDGE_VLANDB_ENTRY_INFO: u16 = 1;
    const BRIDGE_VLANDB_ENTRY_RANGE: u16 = 2;
    let (mut flags, mut first, mut last) = (0, None, None);
    for part in attribute.nested() {
        match part.kind {
            BRIDGE_VLANDB_ENTRY_INFO => {
                flags = u16_at(part.value, 0)?;
                first = u16_at(part.value, 2);
            }
            BRIDGE_VLANDB_ENTRY_RANGE => last = part.u16(),
            _ => {}
        }
    }
    let id = |number: u16| VlanId::try_from(u32::from(number)).ok();
    let first = id(first?)?;
    let last = last.and_then(id).unwrap_or(first);
    Some(PortVlan {
        ids: first..=last,
        pvid: flags & BRIDGE_VLAN_INFO_PVID != 0,
        untagged: flags & BRIDGE_VLAN_INFO_UNTAGGED != 0,
    })
}
