//! All plugins in one file for small images: link it under the plugins' names (hard or symbolic
//! links), and each call serves the one that it was called by.

// Not by `cni::program!`: it is small before all.
fn main() -> std::process::ExitCode {
    // Only under that name: the other plugins ignore arguments.
    let name = std::env::args_os().next().unwrap_or_default();
    if std::path::Path::new(&name).file_name() == Some("dhcp".as_ref())
        && let Some(ended) = dhcp::run_daemon_if_asked()
    {
        return ended;
    }
    cni::run_by_name(&[
        &bandwidth::Bandwidth,
        &bridge::Bridge,
        &dhcp::Dhcp,
        &dnsname::Dnsname,
        &dummy::Dummy,
        &firewall::Firewall,
        &host::Host,
        &host_device::HostDevice,
        &ipam_cni::HostLocal,
        &ipam_cni::Static,
        &ipvlan::Ipvlan,
        &loopback::Loopback,
        &macvlan::Macvlan,
        &none::NoNetwork,
        &overlay::Overlay,
        &portmap::Portmap,
        &ptp::Ptp,
        &sbr::Sbr,
        &tap::Tap,
        &tuning::Tuning,
        &user_bridge::UserBridge,
        &vlan::Vlan,
        &vrf::Vrf,
    ])
}
