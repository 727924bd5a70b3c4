//! Numbers of the kernel's own headers that `libc` lacks, under their names there.

// linux/veth.h
pub(super) const VETH_INFO_PEER: u16 = 1;

// linux/if_link.h: IFLA_INFO_DATA of each kind
pub(super) const IFLA_BR_VLAN_FILTERING: u16 = 7;
pub(super) const IFLA_BR_VLAN_DEFAULT_PVID: u16 = 39;
pub(super) const IFLA_IPVLAN_MODE: u16 = 1;
pub(super) const IFLA_IPVLAN_FLAGS: u16 = 2;
pub(super) const IFLA_MACVLAN_MODE: u16 = 1;
pub(super) const IFLA_MACVLAN_MACADDR_MODE: u16 = 3;
pub(super) const IFLA_MACVLAN_MACADDR: u16 = 4;
pub(super) const IFLA_MACVLAN_MACADDR_DATA: u16 = 5;
pub(super) const IFLA_MACVLAN_BC_QUEUE_LEN: u16 = 7;
pub(super) const IFLA_VLAN_ID: u16 = 1;
pub(super) const IFLA_VLAN_PROTOCOL: u16 = 5;
pub(super) const IFLA_VRF_TABLE: u16 = 1;
pub(super) const IFLA_VXLAN_ID: u16 = 1;
pub(super) const IFLA_VXLAN_LINK: u16 = 3;
pub(super) const IFLA_VXLAN_LOCAL: u16 = 4;
pub(super) const IFLA_VXLAN_LEARNING: u16 = 7;
pub(super) const IFLA_VXLAN_PORT: u16 = 15;
pub(super) const IFLA_VXLAN_LOCAL6: u16 = 17;

// linux/if_link.h: IFLA_AF_SPEC of AF_INET6, and enum in6_addr_gen_mode
pub(super) const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
pub(super) const IN6_ADDR_GEN_MODE_NONE: u8 = 1;

// linux/if_link.h: enum macvlan_macaddr_mode
pub(super) const MACVLAN_MACADDR_SET: u32 = 3;

// linux/if_link.h: IFLA_INFO_SLAVE_DATA of a bridge port
pub(super) const IFLA_BRPORT_STATE: u16 = 1;
pub(super) const IFLA_BRPORT_MODE: u16 = 4; // hairpin
pub(super) const IFLA_BRPORT_LEARNING: u16 = 8;
pub(super) const IFLA_BRPORT_UNICAST_FLOOD: u16 = 9;
pub(super) const IFLA_BRPORT_NEIGH_SUPPRESS: u16 = 32;
pub(super) const IFLA_BRPORT_ISOLATED: u16 = 33;

// linux/if_bridge.h: IFLA_AF_SPEC of family AF_BRIDGE
pub(super) const IFLA_BRIDGE_FLAGS: u16 = 0;
pub(super) const IFLA_BRIDGE_VLAN_INFO: u16 = 2;
pub(super) const BRIDGE_FLAGS_SELF: u16 = 2;
pub(super) const BRIDGE_VLAN_INFO_PVID: u16 = 1 << 1;
pub(super) const BRIDGE_VLAN_INFO_UNTAGGED: u16 = 1 << 2;
pub(super) const BRIDGE_VLAN_INFO_RANGE_BEGIN: u16 = 1 << 3;
pub(super) const BRIDGE_VLAN_INFO_RANGE_END: u16 = 1 << 4;
