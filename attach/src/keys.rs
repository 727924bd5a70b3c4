//! Keys that every interface plugin has: their rows in its table, and how they are read.

use cni::json::{Object, Value};
use cni::schema::{Key, Kind};
use cni::{Args, Config, Dns, Error, code};
use types::{MacAddr, Mtu};

/// What replaces IPAM's name service.
pub const DNS: Key = Key {
    path: "dns",
    kind: Kind::Object,
    default: "that of ipam",
    doc: "Replaces the name service that IPAM gives, when it has any member.",
};
/// A member of [`DNS`].
pub const DNS_NAMESERVERS: Key = Key {
    path: "dns.nameservers",
    kind: Kind::List,
    default: "[]",
    doc: "Addresses of name servers.",
};
/// A member of [`DNS`].
pub const DNS_DOMAIN: Key =
    Key { path: "dns.domain", kind: Kind::Text, default: "none", doc: "Local domain." };
/// A member of [`DNS`].
pub const DNS_SEARCH: Key =
    Key { path: "dns.search", kind: Kind::List, default: "[]", doc: "Search list." };
/// A member of [`DNS`].
pub const DNS_OPTIONS: Key =
    Key { path: "dns.options", kind: Kind::List, default: "[]", doc: "Resolver options." };
/// Where addresses come from.
pub const IPAM: Key = Key {
    path: "ipam",
    kind: Kind::Object,
    default: "none (layer 2 only)",
    doc: "Where addresses come from; the page of its type lists its keys.",
};
/// A member of [`IPAM`].
pub const IPAM_TYPE: Key =
    Key { path: "ipam.type", kind: Kind::Text, default: "none", doc: "The IPAM plugin." };

/// `mtu`: 0 and nothing leave it to the kernel.
///
/// # Errors
/// Codes 6 and 7, the key named and its value quoted.
pub fn mtu(keys: &Object<'_>) -> Result<Option<Mtu>, Error> {
    let Some(value) = keys.get("mtu") else { return Ok(None) };
    match value.integer(0..=i64::from(u32::MAX))? {
        0 => Ok(None),
        bytes => {
            let bytes = u32::try_from(bytes).expect("integer() kept it within 32 bits");
            Mtu::try_from(bytes).map(Some).map_err(|why| value.invalid(why))
        }
    }
}

/// One of `choices` by its name; nothing and an empty text mean the first. `what` they are is said
/// where it is none of them.
///
/// # Errors
/// Codes 6 and 7, the key named and its value quoted.
pub fn choice<T: Copy, const N: usize>(
    value: Option<Value<'_>>,
    what: &str,
    choices: &[(&str, T); N],
) -> Result<T, Error> {
    const { assert!(N > 0, "there has to be a first") };
    let Some(value) = value else { return Ok(choices[0].1) };
    let text = value.string()?;
    match choices.iter().find(|(name, _)| *name == text) {
        Some((_, choice)) => Ok(*choice),
        None if text.is_empty() => Ok(choices[0].1),
        None => {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            Err(value
                .invalid(format!("unknown {what}: \"{text}\""))
                .with_hint(format!("use one of {}", names.join(", "))))
        }
    }
}

/// `runtimeConfig.mac`, else `args.cni.mac`, else `MAC` of `CNI_ARGS`.
///
/// # Errors
/// Codes 4, 6 and 7, the key named and its value quoted.
pub fn mac(network: &Config, args: &Args) -> Result<Option<MacAddr>, Error> {
    if let Some(mac) = network.runtime()?.parsed("mac")? {
        return Ok(Some(mac));
    }
    if let Some(mac) = network.args_cni()?.parsed("mac")? {
        return Ok(Some(mac));
    }
    match args.get("MAC") {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|why| {
            Error::new(code::INVALID_ENVIRONMENT, format!("CNI_ARGS MAC={text}: {why}"))
        }),
    }
}

/// A `dns` with any member replaces IPAM's, be the member an empty list.
///
/// # Errors
/// Code 6, the key named and its value quoted.
pub fn dns(keys: &Object<'_>) -> Result<Option<Dns>, Error> {
    let Some(object) = keys.object("dns")? else { return Ok(None) };
    let dns = Dns::decode(&object)?;
    let lists = ["nameservers", "search", "options"];
    let given = !dns.domain.is_empty() || lists.into_iter().any(|key| object.get(key).is_some());
    Ok(given.then_some(dns))
}
