//! What the user wrote, parsed once into types that cannot be wrong.

use attach::keys;
use cni::schema::{Key, Kind};
use cni::{Args, Config as Network, Dns, Error, code};
use types::{MacAddr, Mtu};

/// The keys of `ptp`, in the order of its page.
pub const KEYS: &[Key] = &[
    pairs::keys::IP_MASQ,
    pairs::keys::IP_MASQ_BACKEND,
    Key {
        path: "mtu",
        kind: Kind::Integer(0, 65535),
        default: "0 (the kernel's, 1500)",
        doc: "MTU in bytes of the veth pair; 0, or 68 to 65535.",
    },
    keys::DNS,
    keys::DNS_NAMESERVERS,
    keys::DNS_DOMAIN,
    keys::DNS_SEARCH,
    keys::DNS_OPTIONS,
    Key { default: "required", ..keys::IPAM },
    Key { default: "required", ..keys::IPAM_TYPE },
    pairs::keys::ARGS_MAC,
    pairs::keys::RUNTIME_MAC,
];

/// What an attachment is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether what leaves the container's subnet is masqueraded.
    pub masquerade: bool,
    /// MTU of the veth pair; `None`: the kernel's default.
    pub mtu: Option<Mtu>,
    /// Name service that replaces the one of IPAM.
    pub dns: Option<Dns>,
    /// The IPAM plugin.
    pub ipam: String,
    /// Address of the container's end; `None`: a random one.
    pub mac: Option<MacAddr>,
}

/// Reads what ADD and CHECK need. `args` is `CNI_ARGS`.
///
/// # Errors
/// Codes 4, 6 and 7, the key named by its path and its value quoted.
pub fn parse(network: &Network, args: &Args) -> Result<Config, Error> {
    let object = network.object()?;
    let without = || {
        Error::new(code::INVALID_CONFIG, "key \"ipam.type\" is required by ptp").with_hint(
            "name an IPAM plugin, such as host-local: the host routes to addresses alone",
        )
    };
    Ok(Config {
        masquerade: pairs::keys::masquerade(&object)?,
        mtu: keys::mtu(&object)?,
        dns: keys::dns(&object)?,
        ipam: network.ipam_type()?.ok_or_else(without)?,
        mac: keys::mac(network, args)?,
    })
}
