use kernel::RequestError;
use kernel::sysctl::SysctlError;
use types::Cidr;

/// Why a network cannot be made on this host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused something.
    #[error(transparent)]
    Kernel(#[from] RequestError),
    /// A switch cannot be turned.
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    /// Somebody else's device has the network's number and port.
    #[error(
        "make {device} for network {network}: {foreign} already takes packets of VNI {vni} at port {port}"
    )]
    Foreign {
        /// The device that was to be made.
        device: String,
        /// For which network.
        network: String,
        /// The one that is there.
        foreign: String,
        /// The number.
        vni: u32,
        /// The port.
        port: u16,
    },
    /// A link of somebody else has the device's name.
    #[error("make {device} for network {network}: a link of that name is there and not of cais")]
    NameTaken {
        /// The name.
        device: String,
        /// For which network.
        network: String,
    },
    /// The host reaches addresses of the network by another way.
    #[error("make network {network}: the host's route to {route} overlaps its pool {pool}")]
    Route {
        /// The network.
        network: String,
        /// Its pool.
        pool: Cidr,
        /// Where the route leads, as `ip route` writes it.
        route: String,
    },
    /// The host's own address is not there.
    #[error("make network {network}: no link of this host has the underlay address {address}")]
    NoUnderlay {
        /// The network.
        network: String,
        /// The address.
        address: std::net::IpAddr,
    },
    /// What the network wants is not built.
    #[error("make network {network}: {what} is not supported")]
    Unsupported {
        /// The network.
        network: String,
        /// What.
        what: &'static str,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Kernel(error) => return error.hint(),
            Self::Foreign { foreign, .. } => format!(
                "ip link del {foreign}, or give the network another VNI or port on all hosts"
            ),
            Self::NameTaken { device, .. } => format!("ip link del {device}"),
            Self::Route { .. } => {
                "choose a pool that no host of the network has a way to already".to_owned()
            }
            Self::NoUnderlay { .. } => {
                "give the host that address, or correct its entry among the peers".to_owned()
            }
            Self::Sysctl(_) | Self::Unsupported { .. } => return None,
        })
    }
}
