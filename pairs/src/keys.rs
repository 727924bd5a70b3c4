//! Keys that every plugin with a pair has: their rows in its table, and how they are read.

use cni::json::Object;
use cni::schema::{Key, Kind};
use cni::{Error, code};

/// Whether packets leave with the host's address.
pub const IP_MASQ: Key = Key {
    path: "ipMasq",
    kind: Kind::Flag,
    default: "false",
    doc: "Masquerades what leaves the container's subnet, but multicast.",
};
/// Of no effect.
pub const IP_MASQ_BACKEND: Key = Key {
    path: "ipMasqBackend",
    kind: Kind::OneOf(&["iptables", "nftables"]),
    default: "nftables",
    doc: "Taken and ignored: both are done by the table inet cais.",
};
/// Address of the container's end.
pub const ARGS_MAC: Key = Key {
    path: "args.cni.mac",
    kind: Kind::Text,
    default: "a random one",
    doc: "Address of the container's end; CNI_ARGS MAC is weaker.",
};
/// As [`ARGS_MAC`].
pub const RUNTIME_MAC: Key = Key {
    path: "runtimeConfig.mac",
    kind: Kind::Text,
    default: "a random one",
    doc: "Address of the container's end; stronger than args.cni.mac.",
};

/// `ipMasq`, beside an `ipMasqBackend` that exists.
///
/// # Errors
/// Codes 6 and 7, the key named and its value quoted.
pub fn masquerade(keys: &Object<'_>) -> Result<bool, Error> {
    if let Some(backend) = keys.string("ipMasqBackend")?
        && !matches!(backend.as_str(), "" | "iptables" | "nftables")
    {
        let text = format!("key \"ipMasqBackend\": unknown backend \"{backend}\"");
        return Err(Error::new(code::INVALID_CONFIG, text).with_hint("use iptables or nftables"));
    }
    keys.flag("ipMasq")
}
