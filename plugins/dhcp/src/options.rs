//! Options as a configuration names them: by number, or as dhcp-options(5) calls them.

use types::ContainerId;

/// Names and numbers. The first six are the reference's; it refuses the others.
const NAMES: &[(&str, u8)] = &[
    ("dhcp-client-identifier", 61),
    ("subnet-mask", 1),
    ("routers", 3),
    ("host-name", 12),
    ("user-class", 77),
    ("vendor-class-identifier", 60),
    ("time-offset", 2),
    ("domain-name-servers", 6),
    ("domain-name", 15),
    ("interface-mtu", 26),
    ("broadcast-address", 28),
    ("static-routes", 33),
    ("ntp-servers", 42),
    ("vendor-encapsulated-options", 43),
    ("netbios-name-servers", 44),
    ("dhcp-requested-address", 50),
    ("dhcp-lease-time", 51),
    ("dhcp-server-identifier", 54),
    ("dhcp-renewal-time", 58),
    ("dhcp-rebinding-time", 59),
    ("tftp-server-name", 66),
    ("bootfile-name", 67),
    ("fqdn", 81),
    ("domain-search", 119),
    ("rfc3442-classless-static-routes", 121),
];

/// The number that `text` stands for.
pub(crate) fn number(text: &str) -> Option<u8> {
    let named = NAMES.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    named.or_else(|| text.parse().ok().filter(|_| is_decimal))
}

/// By what a server knows the client (RFC 2132 §9.14): as the reference has it, so that both are given
/// the same address.
pub(crate) fn client_id(network: &str, container: &ContainerId, ifname: &str) -> Vec<u8> {
    const MOST_BYTES: usize = 254;
    /// What follows is no hardware address.
    const OPAQUE: u8 = 0;
    let text = format!("{container}/{network}/{ifname}");
    let text = &text.as_bytes()[..text.len().min(MOST_BYTES)];
    [&[OPAQUE], text].concat()
}
