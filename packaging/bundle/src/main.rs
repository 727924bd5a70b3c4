//! All plugins in one file for small images: link it under the plugins' names (hard or symbolic
//! links), and each call serves the one that it was called by.

cni::program!(cni::run_by_name(&[
    &bridge::Bridge,
    &dnsname::Dnsname,
    &firewall::Firewall,
    &host::Host,
    &ipam_cni::HostLocal,
    &ipam_cni::Static,
    &ipvlan::Ipvlan,
    &loopback::Loopback,
    &macvlan::Macvlan,
    &none::NoNetwork,
    &portmap::Portmap,
    &ptp::Ptp,
    &tuning::Tuning,
    &user_bridge::UserBridge,
    &vlan::Vlan,
]));
