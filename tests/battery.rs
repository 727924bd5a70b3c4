//! One case body, stamped over spec versions, plugins or address families.
//!
//! Each macro makes a module named as the case, with one test per value in it. Inside the body the
//! lab and the value have the names given.

/// All versions of the specification, oldest first.
pub(crate) const VERSIONS: [&str; 7] =
    ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// What the seven have become: the version to use where a case is not about versions, new enough
/// for every verb but GC and STATUS, and known to the reference plugins of Debian.
pub(crate) const USUAL: &str = "1.0.0";

/// Stamps a case over the seven spec versions: `fn sentence(lab, version) { … }`.
macro_rules! every_version {
    ($($(#[$doc:meta])* fn $name:ident($lab:ident, $version:ident) $body:block)*) => {$(
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports, reason = "not every body needs all that its file does")]
            use super::*;
            fn case($lab: &netns_fixtures::Lab, $version: &'static str) {
                $crate::under_test::must_know($lab, $version);
                $body
            }
            stamp!(netns_fixtures::lab_with_plugins, case,
                at_0_1_0: "0.1.0", at_0_2_0: "0.2.0", at_0_3_0: "0.3.0", at_0_3_1: "0.3.1",
                at_0_4_0: "0.4.0", at_1_0_0: "1.0.0", at_1_1_0: "1.1.0");
        }
    )*};
}

/// Stamps a case over the plugins that this issue has: `fn sentence(lab, plugin) { … }`.
macro_rules! every_plugin {
    ($($(#[$doc:meta])* fn $name:ident($lab:ident, $plugin:ident) $body:block)*) => {$(
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports, reason = "not every body needs all that its file does")]
            use super::*;
            fn case($lab: &netns_fixtures::Lab, $plugin: &'static str) {
                $crate::under_test::must_have($lab, $plugin);
                $crate::under_test::furnish_host($lab.host(), $plugin);
                $crate::under_test::furnish_lab($lab, $plugin);
                $body
            }
            stamp!(netns_fixtures::lab_with_plugins, case,
                of_bridge: "bridge", of_host_local: "host-local", of_static: "static",
                of_loopback: "loopback", of_none: "none", of_host: "host", of_tuning: "tuning",
                of_firewall: "firewall", of_dnsname: "dnsname",
                of_user_bridge: "user-bridge", of_overlay: "overlay",
                of_macvlan: "macvlan", of_ipvlan: "ipvlan",
                of_vlan: "vlan",
                of_ptp: "ptp",
                of_tap: "tap",
                of_dummy: "dummy",
                of_host_device: "host-device",
                of_dhcp: "dhcp",
                of_bandwidth: "bandwidth", of_sbr: "sbr", of_vrf: "vrf");
        }
    )*};
}

/// Stamps a case over IPv4, IPv6 and both: `fn sentence(lab, family) { … }`.
macro_rules! every_family {
    ($($(#[$doc:meta])* fn $name:ident($lab:ident, $family:ident) $body:block)*) => {$(
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports, reason = "not every body needs all that its file does")]
            use super::*;
            fn case($lab: &netns_fixtures::Lab, $family: $crate::battery::Family) $body
            stamp!(netns_fixtures::lab_with_plugins, case,
                ipv4: $crate::battery::Family::V4, ipv6: $crate::battery::Family::V6,
                dual: $crate::battery::Family::Dual);
        }
    )*};
}

/// Makes a test for each value; used by the others.
macro_rules! stamp {
    ($lab:path, $case:ident, $($test:ident: $value:expr),* $(,)?) => {$(
        #[test]
        fn $test() {
            $lab(|lab| $case(lab, $value));
        }
    )*};
}

/// Which addresses a network has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
    Dual,
}

impl Family {
    /// The subnets of the pool, one per range set.
    pub(crate) fn subnets(self) -> &'static [&'static str] {
        match self {
            Self::V4 => &["10.1.0.0/24"],
            Self::V6 => &["fd00:1::/64"],
            Self::Dual => &["10.1.0.0/24", "fd00:1::/64"],
        }
    }

    /// The gateways of those subnets.
    pub(crate) fn gateways(self) -> &'static [&'static str] {
        match self {
            Self::V4 => &["10.1.0.1"],
            Self::V6 => &["fd00:1::1"],
            Self::Dual => &["10.1.0.1", "fd00:1::1"],
        }
    }

    /// The first addresses that a fresh pool gives, with their lengths.
    pub(crate) fn first_addresses(self) -> &'static [&'static str] {
        match self {
            Self::V4 => &["10.1.0.2/24"],
            Self::V6 => &["fd00:1::2/64"],
            Self::Dual => &["10.1.0.2/24", "fd00:1::2/64"],
        }
    }

    /// Destinations that mean everything.
    pub(crate) fn default_routes(self) -> &'static [&'static str] {
        match self {
            Self::V4 => &["0.0.0.0/0"],
            Self::V6 => &["::/0"],
            Self::Dual => &["0.0.0.0/0", "::/0"],
        }
    }
}
