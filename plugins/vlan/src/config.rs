//! What the user wrote, parsed once into types that cannot be wrong.

use attach::keys;
use cni::schema::{Key, Kind};
use cni::{Config as Network, Error, code};
use kernel::link::VlanProtocol;
use sublinks::config::{self, Config};
use types::VlanId;

use crate::link::Vlan;

/// Tags by their names.
const PROTOCOLS: &[(&str, VlanProtocol); 2] =
    &[("802.1q", VlanProtocol::Dot1Q), ("802.1ad", VlanProtocol::Dot1Ad)];

/// The keys of `vlan`, in the order of its page.
pub const KEYS: &[Key] = &[
    Key { default: "required", ..config::MASTER },
    Key {
        path: "vlanId",
        kind: Kind::Integer(0, 4094),
        default: "0",
        doc: "VLAN on the master. It is one container's alone, and nobody else's on the host. 0 is no VLAN: frames then carry a priority and no more.",
    },
    Key {
        path: "protocol",
        kind: Kind::OneOf(&["802.1q", "802.1ad"]),
        default: "802.1q",
        doc: "Tag of the frames: 802.1q (ethertype 0x8100), or 802.1ad (0x88a8), the outer one of providers' networks.",
    },
    config::MTU,
    config::LINK_IN_CONTAINER,
    keys::DNS,
    keys::DNS_NAMESERVERS,
    keys::DNS_DOMAIN,
    keys::DNS_SEARCH,
    keys::DNS_OPTIONS,
    Key { default: "required", ..keys::IPAM },
    Key { default: "required", ..keys::IPAM_TYPE },
];

/// Reads what ADD and CHECK need: the IPAM plugin's name apart, since there has to be one.
///
/// # Errors
/// Codes 6 and 7, the key named by its path and its value quoted.
pub fn parse(network: &Network) -> Result<(Config, Vlan, String), Error> {
    let object = network.object()?;
    let config = Config::parse(network, None)?;
    let id = object.integer("vlanId", 0..=4094)?.unwrap_or_default();
    let id = u32::try_from(id).expect("integer() kept it within 0 to 4094");
    let vlan = Vlan {
        id: VlanId::try_from(id).ok(),
        protocol: keys::choice(object.get("protocol"), "vlan protocol", PROTOCOLS)?,
        mtu: config.mtu,
    };
    let missing = |key: &str, hint: &str| {
        Error::new(code::INVALID_CONFIG, format!("key \"{key}\" is required by vlan"))
            .with_hint(hint)
    };
    if config.master.name.is_none() {
        return Err(missing("master", "name the link that carries the VLAN; `ip link` lists them"));
    }
    let ipam = config.ipam.clone();
    let ipam =
        ipam.ok_or_else(|| missing("ipam.type", "name an IPAM plugin, such as host-local"))?;
    Ok((config, vlan, ipam))
}
