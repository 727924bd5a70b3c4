//! A link as the kernel describes it, read from `RTM_NEWLINK` messages.

use std::net::IpAddr;

use types::{IfName, MacAddr, VlanId};

use super::numbers::{
    IFLA_BR_VLAN_DEFAULT_PVID, IFLA_BR_VLAN_FILTERING, IFLA_BRPORT_ISOLATED, IFLA_BRPORT_LEARNING,
    IFLA_BRPORT_MODE, IFLA_BRPORT_STATE, IFLA_BRPORT_UNICAST_FLOOD, IFLA_IPVLAN_FLAGS,
    IFLA_IPVLAN_MODE, IFLA_MACVLAN_MODE, IFLA_VLAN_ID, IFLA_VLAN_PROTOCOL, IFLA_VRF_TABLE,
    IFLA_VXLAN_ID, IFLA_VXLAN_LEARNING, IFLA_VXLAN_LINK, IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6,
    IFLA_VXLAN_PORT,
};
use super::{Dev, IpvlanFlag, IpvlanMode, MacvlanMode, VlanProtocol};
use crate::netlink::Reply;
use crate::netlink::attributes::{Attribute, Attributes, u32_at};

/// A link at the moment it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// Index and name.
    pub dev: Dev,
    /// Ethernet address; `lo` has all zero, links of other layers have none.
    pub mac: Option<MacAddr>,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// `IFF_` flags; see netdevice(7).
    pub flags: u32,
    /// Whether packets can flow, as RFC 2863 has it.
    pub operstate: OperState,
    /// Kind as in `ip link add type`: `veth`, `bridge`; none for hardware and `lo`.
    pub kind: Option<String>,
    /// Index of the bridge or VRF that it is a port of.
    pub master: Option<u32>,
    /// Index of the link it stands on (macvlan, VLAN) or is paired with (veth).
    pub link: Option<u32>,
    /// Set when [`link`](Self::link) lives in another namespace: this namespace's number for it.
    pub link_netnsid: Option<i32>,
    /// Text that somebody keeps with it.
    pub alias: Option<String>,
    /// How many users hold it in promiscuous mode.
    pub promiscuity: u32,
    /// Packets that may wait in its transmit queue.
    pub txqueuelen: u32,
    /// Device group.
    pub group: u32,
    /// Transmit queues.
    pub tx_queues: u32,
    /// Receive queues.
    pub rx_queues: u32,
    /// What its kind says about it.
    pub data: Data,
    /// What its bridge says about it, when it is a port of one.
    pub port: Option<BridgePort>,
}

/// Operational state; `/sys/class/net/*/operstate` has the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OperState {
    /// The driver does not say; `lo` and tunnels stay so while they work.
    #[default]
    Unknown,
    /// Cannot carry packets.
    Down,
    /// Its lower link cannot carry packets.
    LowerLayerDown,
    /// Carries packets.
    Up,
    /// Anything else: not present, testing, dormant.
    Other(u8),
}

impl From<u8> for OperState {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::Unknown,
            2 => Self::Down,
            3 => Self::LowerLayerDown,
            6 => Self::Up,
            other => Self::Other(other),
        }
    }
}

/// What a link's kind says about it (`IFLA_INFO_DATA`), as far as we ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Data {
    /// A kind that says nothing, or none that we read.
    #[default]
    None,
    /// A bridge.
    Bridge {
        /// Whether it looks at VLAN tags.
        vlan_filtering: bool,
        /// The VLAN that new ports join, if any.
        default_pvid: Option<VlanId>,
    },
    /// A macvlan child.
    Macvlan {
        /// How it sees its siblings; `None` for one we do not know.
        mode: Option<MacvlanMode>,
    },
    /// A VLAN.
    Vlan {
        /// Its id; `None` for 0.
        id: Option<VlanId>,
        /// Its tag.
        protocol: VlanProtocol,
    },
    /// An ipvlan child.
    Ipvlan {
        /// Which layer it works on; `None` for one we do not know.
        mode: Option<IpvlanMode>,
        /// How it sees its siblings; `None` for a way we do not know.
        flag: Option<IpvlanFlag>,
    },
    /// A VXLAN tunnel end.
    Vxlan {
        /// Network identifier.
        vni: u32,
        /// UDP port.
        port: u16,
        /// Source address of its own packets.
        local: Option<IpAddr>,
        /// Index of the link that they leave by; `None`: what their routes say.
        lower: Option<u32>,
        /// Whether it learns remote hosts from packets.
        learning: bool,
    },
    /// A VRF.
    Vrf {
        /// Its routing table.
        table: u32,
    },
}

/// Options of a bridge port (`IFLA_INFO_SLAVE_DATA`); ip-link(8), "bridge_slave".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BridgePort {
    /// Frames may leave where they came in.
    pub hairpin: bool,
    /// Does not talk to other isolated ports.
    pub isolated: bool,
    /// Remembers source addresses.
    pub learning: bool,
    /// Gets unicast frames for unknown addresses.
    pub flood: bool,
    /// 3 is forwarding; `BR_STATE_` in `linux/if_bridge.h`.
    pub state: u8,
}

const HEADER_BYTES: usize = 16;
/// `linux/if.h`; 1 << 16.
const IFF_LOWER_UP: u32 = 0x10000;

impl Link {
    /// Whether it is set up by its administrator.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP as u32 != 0
    }

    /// Whether its administrator has it take frames for any address. Captures and bridges hold it
    /// so as well, without this flag: see [`promiscuity`](Self::promiscuity).
    #[must_use]
    pub fn is_promisc(&self) -> bool {
        self.flags & libc::IFF_PROMISC as u32 != 0
    }

    /// Whether its administrator has it take every multicast frame.
    #[must_use]
    pub fn is_allmulticast(&self) -> bool {
        self.flags & libc::IFF_ALLMULTI as u32 != 0
    }

    /// Whether it is up and has somebody at its other end. Unlike
    /// [`operstate`](Self::operstate) this is never late.
    #[must_use]
    pub fn has_carrier(&self) -> bool {
        self.flags & IFF_LOWER_UP != 0
    }

    /// Whether it can carry packets. Kinds that never say (`lo`, dummy, tun) are taken at their
    /// carrier; the others have to say so, since `unknown` is what they begin with.
    #[must_use]
    pub fn is_operational(&self) -> bool {
        const TELLING: [&str; 5] = ["veth", "bridge", "macvlan", "ipvlan", "vlan"];
        match self.operstate {
            OperState::Up => true,
            OperState::Unknown => {
                let tells = self.kind.as_deref().is_some_and(|kind| TELLING.contains(&kind));
                !tells && self.is_up() && self.has_carrier()
            }
            _ => false,
        }
    }

    /// Whether it is called `name`.
    #[must_use]
    pub fn is_named(&self, name: &IfName) -> bool {
        self.dev.name == name.as_str()
    }

    /// Whether it is of `kind`.
    #[must_use]
    pub fn is_kind(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }

    /// The link in a reply to [`query`](super::query); `None` when that was another message.
    #[must_use]
    pub fn from_reply(reply: &Reply) -> Option<Self> {
        Self::parse(&reply.body)
    }

    /// The link in the body of an `RTM_NEWLINK` or `RTM_DELLINK` message.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut link = Self {
            dev: Dev { index: u32_at(body, 4)?, name: String::new() },
            mac: None,
            mtu: 0,
            flags: u32_at(body, 8)?,
            operstate: OperState::Unknown,
            kind: None,
            master: None,
            link: None,
            link_netnsid: None,
            alias: None,
            promiscuity: 0,
            txqueuelen: 0,
            group: 0,
            tx_queues: 0,
            rx_queues: 0,
            data: Data::None,
            port: None,
        };
        for attribute in Attributes::after(HEADER_BYTES, body) {
            link.take(attribute);
        }
        Some(link)
    }

    fn take(&mut self, attribute: Attribute<'_>) {
        let number = || attribute.u32().unwrap_or_default();
        match attribute.kind {
            libc::IFLA_IFNAME => self.dev.name = attribute.text(),
            libc::IFLA_ADDRESS => self.mac = attribute.mac(),
            libc::IFLA_MTU => self.mtu = number(),
            libc::IFLA_LINK => self.link = attribute.u32().filter(|&index| index != 0),
            libc::IFLA_MASTER => self.master = attribute.u32(),
            libc::IFLA_OPERSTATE => self.operstate = attribute.u8().unwrap_or_default().into(),
            libc::IFLA_IFALIAS => self.alias = Some(attribute.text()),
            libc::IFLA_LINK_NETNSID => {
                self.link_netnsid = attribute.u32().map(|id| id as i32).filter(|&id| id >= 0);
            }
            libc::IFLA_PROMISCUITY => self.promiscuity = number(),
            libc::IFLA_TXQLEN => self.txqueuelen = number(),
            libc::IFLA_GROUP => self.group = number(),
            libc::IFLA_NUM_TX_QUEUES => self.tx_queues = number(),
            libc::IFLA_NUM_RX_QUEUES => self.rx_queues = number(),
            libc::IFLA_LINKINFO => self.take_info(attribute.nested()),
            _ => {}
        }
    }

    /// `IFLA_LINKINFO`; the kernel writes each kind before its data.
    fn take_info(&mut self, info: Attributes<'_>) {
        let mut port_kind = String::new();
        for attribute in info {
            match attribute.kind {
                libc::IFLA_INFO_KIND => self.kind = Some(attribute.text()),
                libc::IFLA_INFO_DATA => {
                    let kind = self.kind.as_deref().unwrap_or_default();
                    self.data = Data::parse(kind, &attribute.nested());
                }
                libc::IFLA_INFO_SLAVE_KIND => port_kind = attribute.text(),
                libc::IFLA_INFO_SLAVE_DATA if port_kind == "bridge" => {
                    self.port = Some(BridgePort::parse(attribute.nested()));
                }
                _ => {}
            }
        }
    }
}

impl Data {
    fn parse(kind: &str, data: &Attributes<'_>) -> Self {
        // 0 where the kernel left an attribute out.
        let find = |number: u16| data.clone().find(|attribute| attribute.kind == number);
        let u16_of = |number| find(number).and_then(Attribute::u16).unwrap_or_default();
        let u32_of = |number| find(number).and_then(Attribute::u32).unwrap_or_default();
        let vlan_of = |number| VlanId::try_from(u32::from(u16_of(number))).ok();
        match kind {
            "bridge" => Self::Bridge {
                vlan_filtering: find(IFLA_BR_VLAN_FILTERING).is_some_and(Attribute::switch),
                default_pvid: vlan_of(IFLA_BR_VLAN_DEFAULT_PVID),
            },
            "macvlan" => {
                Self::Macvlan { mode: MacvlanMode::from_kernel(u32_of(IFLA_MACVLAN_MODE)) }
            }
            "vlan" => Self::Vlan {
                id: vlan_of(IFLA_VLAN_ID),
                protocol: VlanProtocol::from_ethertype(u16::from_be(u16_of(IFLA_VLAN_PROTOCOL))),
            },
            "ipvlan" => Self::Ipvlan {
                mode: IpvlanMode::from_kernel(u16_of(IFLA_IPVLAN_MODE)),
                flag: IpvlanFlag::from_kernel(u16_of(IFLA_IPVLAN_FLAGS)),
            },
            "vxlan" => Self::Vxlan {
                vni: u32_of(IFLA_VXLAN_ID),
                port: u16::from_be(u16_of(IFLA_VXLAN_PORT)),
                local: find(IFLA_VXLAN_LOCAL)
                    .or_else(|| find(IFLA_VXLAN_LOCAL6))
                    .and_then(Attribute::ip)
                    .filter(|ip| !ip.is_unspecified()),
                lower: Some(u32_of(IFLA_VXLAN_LINK)).filter(|&index| index != 0),
                learning: find(IFLA_VXLAN_LEARNING).is_some_and(Attribute::switch),
            },
            "vrf" => Self::Vrf { table: u32_of(IFLA_VRF_TABLE) },
            _ => Self::None,
        }
    }
}

impl BridgePort {
    fn parse(data: Attributes<'_>) -> Self {
        let mut port = Self::default();
        for attribute in data {
            match attribute.kind {
                IFLA_BRPORT_STATE => port.state = attribute.u8().unwrap_or_default(),
                IFLA_BRPORT_MODE => port.hairpin = attribute.switch(),
                IFLA_BRPORT_LEARNING => port.learning = attribute.switch(),
                IFLA_BRPORT_UNICAST_FLOOD => port.flood = attribute.switch(),
                IFLA_BRPORT_ISOLATED => port.isolated = attribute.switch(),
                _ => {}
            }
        }
        port
    }
}
