//! What each plugin does, key by key.

mod bandwidth;
mod bridge;
pub(crate) mod dhcp;
mod dnsname;
mod dummy;
mod earlier;
pub(crate) mod example;
mod firewall;
mod host;
mod host_device;
mod host_local;
mod ipvlan;
mod loopback;
mod macvlan;
mod none;
mod portmap;
mod ptp;
mod sbr;
mod static_;
mod sublinks;
mod tap;
mod tuning;
mod user_bridge;
mod vlan;
mod vrf;
