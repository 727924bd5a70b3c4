//! All plugins in one file for small images: link it under the plugins' names (hard or symbolic
//! links), and each call serves the one that it was called by.

fn main() -> std::process::ExitCode {
    cni::run_by_name(&[
        &bandwidth::Bandwidth,
        &bridge::Bridge,
        &dnsname::Dnsname,
        &firewall::Firewall,
        &host::Host,
        &ipam_cni::HostLocal,
        &ipam_cni::Static,
        &loopback::Loopback,
        &macvlan::Macvlan,
        &none::NoNetwork,
        &portmap::Portmap,
        &ptp::Ptp,
        &sbr::Sbr,
        &tuning::Tuning,
        &user_bridge::UserBridge,
    ])
}
