//! What the user wrote, parsed once into types that cannot be wrong.

use attach::keys;
use cni::schema::Key;
use cni::{Config as Network, Dns, Error, code};

/// The keys of `dummy`, in the order of its page.
pub const KEYS: &[Key] = &[
    keys::DNS,
    keys::DNS_NAMESERVERS,
    keys::DNS_DOMAIN,
    keys::DNS_SEARCH,
    keys::DNS_OPTIONS,
    Key { default: "required", ..keys::IPAM },
    Key { default: "required", ..keys::IPAM_TYPE },
];

/// What an attachment is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Name service that replaces the one of IPAM.
    pub dns: Option<Dns>,
    /// The IPAM plugin.
    pub ipam: String,
}

/// Reads what ADD and CHECK need.
///
/// # Errors
/// Codes 6 and 7, the key named by its path and its value quoted.
pub fn parse(network: &Network) -> Result<Config, Error> {
    let object = network.object()?;
    let without = || {
        Error::new(code::INVALID_CONFIG, "key \"ipam.type\" is required by dummy")
            .with_hint("name an IPAM plugin, such as static: a dummy is there to hold addresses")
    };
    Ok(Config { dns: keys::dns(&object)?, ipam: network.ipam_type()?.ok_or_else(without)? })
}
