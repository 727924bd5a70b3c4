//! What the user wrote, parsed once into types that cannot be wrong.

use attach::keys;
use cni::json::Object;
use cni::schema::{Key, Kind};
use cni::{Args, Config as Network, Dns, Error, code};
use types::{IfName, MacAddr, Mtu};

/// The keys of `tap`, in the order of its page.
pub const KEYS: &[Key] = &[
    Key {
        path: "multiQueue",
        kind: Kind::Flag,
        default: "false",
        doc: "Lets programs open the tap several times, each for a queue of its own. They have to ask for it as well.",
    },
    Key {
        path: "mtu",
        kind: Kind::Integer(0, 65535),
        default: "0 (the kernel's, 1500)",
        doc: "MTU in bytes; 0, or 68 to 65521.",
    },
    Key {
        path: "mac",
        kind: Kind::Text,
        default: "a random one",
        doc: "Address of the tap, which is the namespace's and not that of the machine behind it; CNI_ARGS MAC, args.cni.mac and runtimeConfig.mac are stronger.",
    },
    Key {
        path: "owner",
        kind: Kind::Integer(0, 4_294_967_294),
        default: "none",
        doc: "Number of the user who may open the tap; others need CAP_NET_ADMIN over the namespace. Without owner and group anybody may who may open /dev/net/tun.",
    },
    Key {
        path: "group",
        kind: Kind::Integer(0, 4_294_967_294),
        default: "none",
        doc: "Number of the group whose members may open the tap, likewise. Where both are given, both have to fit.",
    },
    Key {
        path: "selinuxContext",
        kind: Kind::Text,
        default: "that of the plugin",
        doc: "SELinux context of the tap.",
    },
    Key {
        path: "bridge",
        kind: Kind::Text,
        default: "none",
        doc: "Name of a bridge in the container's namespace that the tap becomes a port of. It has to be there.",
    },
    keys::DNS,
    keys::DNS_NAMESERVERS,
    keys::DNS_DOMAIN,
    keys::DNS_SEARCH,
    keys::DNS_OPTIONS,
    keys::IPAM,
    keys::IPAM_TYPE,
    Key {
        path: "args.cni.mac",
        kind: Kind::Text,
        default: "a random one",
        doc: "Address of the tap; mac and CNI_ARGS MAC are weaker.",
    },
    Key {
        path: "runtimeConfig.mac",
        kind: Kind::Text,
        default: "a random one",
        doc: "Address of the tap; stronger than all others.",
    },
];

/// What an attachment is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether it may be opened several times.
    pub multi_queue: bool,
    /// Largest packet in bytes; `None`: the kernel's default.
    pub mtu: Option<Mtu>,
    /// Ethernet address; `None`: a random one.
    pub mac: Option<MacAddr>,
    /// User who may open it.
    pub owner: Option<u32>,
    /// Group who may open it.
    pub group: Option<u32>,
    /// SELinux context.
    pub context: Option<String>,
    /// Bridge in the container that it becomes a port of.
    pub bridge: Option<IfName>,
    /// Name service that replaces the one of IPAM.
    pub dns: Option<Dns>,
    /// The IPAM plugin; `None`: layer 2 only.
    pub ipam: Option<String>,
}

/// Reads what ADD and CHECK need. `args` is `CNI_ARGS`.
///
/// # Errors
/// Codes 4, 6 and 7, the key named by its path and its value quoted.
pub fn parse(network: &Network, args: &Args) -> Result<Config, Error> {
    let object = network.object()?;
    let own: Option<MacAddr> = object.parsed("mac")?;
    Ok(Config {
        multi_queue: object.flag("multiQueue")?,
        mtu: mtu(&object)?,
        mac: keys::mac(network, args)?.or(own),
        owner: id(&object, "owner")?,
        group: id(&object, "group")?,
        context: context(&object)?,
        bridge: object.parsed("bridge")?,
        dns: keys::dns(&object)?,
        ipam: network.ipam_type()?,
    })
}

/// An Ethernet header less than other links can have.
const MTU_MAX: u32 = 65_521;

fn mtu(object: &Object<'_>) -> Result<Option<Mtu>, Error> {
    match keys::mtu(object)? {
        Some(mtu) if mtu.get() > MTU_MAX => {
            let text = format!("key \"mtu\": a tap has at most {MTU_MAX} bytes, not {}", mtu.get());
            Err(Error::new(code::INVALID_CONFIG, text))
        }
        other => Ok(other),
    }
}

/// The kernel takes at most a page.
const CONTEXT_MAX: usize = 4095;

/// `user:role:type`, and often `:level`.
fn context(object: &Object<'_>) -> Result<Option<String>, Error> {
    let Some(value) = object.get("selinuxContext") else { return Ok(None) };
    let text = value.string()?;
    if text.is_empty() {
        return Ok(None);
    }
    let is_sound = text.len() <= CONTEXT_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && text.splitn(4, ':').filter(|part| !part.is_empty()).count() >= 3;
    match is_sound {
        true => Ok(Some(text)),
        false => Err(value
            .invalid("that is no SELinux context")
            .with_hint("write user:role:type:level, as `ls -Z` shows it")),
    }
}

/// The number of a user or group. The highest stands for nobody in the kernel.
fn id(object: &Object<'_>, key: &str) -> Result<Option<u32>, Error> {
    let id = object.integer(key, 0..=i64::from(u32::MAX) - 1)?;
    Ok(id.map(|id| u32::try_from(id).expect("integer() kept it within 32 bits")))
}
