//! Network configurations, checked as ADD would check them.

use cni::{Config, Plugin, json};

/// Whoever reads one.
const PLUGINS: &[&dyn Plugin] = &[
    &bandwidth::Bandwidth,
    &bridge::Bridge,
    &dhcp::Dhcp,
    &dnsname::Dnsname,
    &dummy::Dummy,
    &host::Host,
    &host_device::HostDevice,
    &ipam_cni::HostLocal,
    &ipam_cni::Static,
    &ipvlan::Ipvlan,
    &loopback::Loopback,
    &macvlan::Macvlan,
    &none::NoNetwork,
    &overlay::Overlay,
    &ptp::Ptp,
    &sbr::Sbr,
    &tap::Tap,
    &tuning::Tuning,
    &user_bridge::UserBridge,
    &vlan::Vlan,
    &vrf::Vrf,
];

pub(crate) fn target(data: &[u8]) {
    let Ok(config) = Config::parse(data) else { return };
    for plugin in PLUGINS {
        if let Err(error) = plugin.validate(&config) {
            assert!(!error.msg.is_empty(), "an error without words of {}", plugin.name());
            // What is shown to people is JSON again.
            let object = error.to_json(config.version().as_str());
            assert!(json::Object::parse(&object).is_ok(), "{}", String::from_utf8_lossy(&object));
        }
    }
    let _ = (config.valid_attachments(), config.prev_result(), config.ipam_type());
    let text = std::str::from_utf8(config.text()).expect("JSON is UTF-8");
    let again = Config::parse(json::indented(text).as_bytes());
    assert_eq!(again.expect("indenting changes nothing").name(), config.name());
}
