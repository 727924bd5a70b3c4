//! What the user wrote, parsed once into types that cannot be wrong.

use attach::keys;
use cni::schema::{Key, Kind};
use cni::{Config as Network, Dns, Error, code};
use types::{IfName, MacAddr};

use crate::sysfs::{AuxiliaryName, KernelPath, PciAddress};

/// The keys of `host-device`, in the order of its page.
pub const KEYS: &[Key] = &[
    Key {
        path: "device",
        kind: Kind::Text,
        default: "none",
        doc: "Name of the device. Of the ways to say which one it is the strongest; the next ones follow in order.",
    },
    Key {
        path: "hwaddr",
        kind: Kind::Text,
        default: "none",
        doc: "Address of the device. Where several links have it (VLANs have that of their master), the oldest is meant.",
    },
    Key {
        path: "kernelpath",
        kind: Kind::Text,
        default: "none",
        doc: "Path of the device below /sys/devices/: of what has a directory net with its name, or of the link itself.",
    },
    Key {
        path: "pciBusID",
        kind: Kind::Text,
        default: "none",
        doc: "PCI address of the device, such as 0000:00:1f.6.",
    },
    Key {
        path: "DPDKMode",
        kind: Kind::Flag,
        default: "whether the PCI device's driver is one of DPDK's",
        doc: "Moves nothing, since a program in the container drives the device. Read where there is no PCI address.",
    },
    keys::DNS,
    keys::DNS_NAMESERVERS,
    keys::DNS_DOMAIN,
    keys::DNS_SEARCH,
    keys::DNS_OPTIONS,
    keys::IPAM,
    keys::IPAM_TYPE,
    Key {
        path: "runtimeConfig.deviceID",
        kind: Kind::Text,
        default: "none",
        doc: "PCI address, which replaces that of pciBusID, or name of an auxiliary device, which comes last.",
    },
];

/// How a device is told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// By its name.
    Name(IfName),
    /// By its address.
    Mac(MacAddr),
    /// By its place below `/sys/devices`.
    Kernel(KernelPath),
    /// By its place on the PCI bus.
    Pci(PciAddress),
    /// By its name on the auxiliary bus.
    Auxiliary(AuxiliaryName),
}

/// What an attachment is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which device; `None`: the runtime has to say.
    pub selector: Option<Selector>,
    /// Its PCI address, whether or not that is what selects it.
    pub pci: Option<PciAddress>,
    /// Whether the configuration says that a program drives it.
    pub dpdk: bool,
    /// Name service that replaces the one of IPAM.
    pub dns: Option<Dns>,
    /// The IPAM plugin; `None`: layer 2 only.
    pub ipam: Option<String>,
}

/// Reads what ADD and CHECK need.
///
/// # Errors
/// Codes 6 and 7, the key named by its path and its value quoted.
pub fn parse(network: &Network) -> Result<Config, Error> {
    let object = network.object()?;
    let given: Option<String> = network.runtime()?.parsed("deviceID")?;
    let runtimes = given.as_deref().and_then(|text| text.parse::<PciAddress>().ok());
    let auxiliary = match (&given, &runtimes) {
        (Some(_), None) => network.runtime()?.parsed::<AuxiliaryName>("deviceID")?,
        _ => None,
    };
    let written: Option<PciAddress> = object.parsed("pciBusID")?;
    let pci = runtimes.or(written.filter(|_| auxiliary.is_none()));
    let name = object.parsed("device")?.map(Selector::Name);
    let mac = object.parsed("hwaddr")?.map(Selector::Mac);
    let kernel = object.parsed("kernelpath")?.map(Selector::Kernel);
    let on_bus = pci.clone().map(Selector::Pci).or(auxiliary.map(Selector::Auxiliary));
    Ok(Config {
        selector: name.or(mac).or(kernel).or(on_bus),
        pci,
        dpdk: object.flag("DPDKMode")?,
        dns: keys::dns(&object)?,
        ipam: network.ipam_type()?,
    })
}

/// Reads a configuration before a runtime has said its part.
///
/// # Errors
/// As [`parse`], and code 7 when nobody can say which device.
pub fn validate(network: &Network) -> Result<Config, Error> {
    let config = parse(network)?;
    let runtime_says = match network.object()?.object("capabilities")? {
        Some(capabilities) => capabilities.flag("deviceID")?,
        None => false,
    };
    match config.selector {
        None if !runtime_says => Err(unsaid()),
        _ => Ok(config),
    }
}

/// No key says which device.
#[must_use]
pub fn unsaid() -> Error {
    Error::new(code::INVALID_CONFIG, "no key says which device is meant").with_hint(
        "give \"device\", \"hwaddr\", \"kernelpath\" or \"pciBusID\", or let the runtime give \"deviceID\"",
    )
}
