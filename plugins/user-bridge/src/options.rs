//! `options`: what Docker's `network create --opt` and Podman's take, by their names.

use cni::json::{Object, Value};
use cni::schema::nearest;
use cni::{Error, code};

/// What an option means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Means {
    /// The same as this key.
    Key(&'static str),
    /// Others do it: the runtime, or the kernel by itself.
    Nothing,
    /// Nobody does it here, and why; these values ask for nothing.
    Refused(&'static str, &'static [&'static str]),
}

const ANOTHER_SOURCE: Means =
    Means::Refused("what leaves the host is masqueraded, by no other address", &[""]);

/// Every option of either program for a bridge.
const OPTIONS: &[(&str, Means)] = &[
    ("com.docker.network.bridge.name", Means::Key("bridge")),
    ("com.docker.network.bridge.enable_ip_masquerade", Means::Key("ipMasq")),
    ("com.docker.network.bridge.enable_icc", Means::Key("icc")),
    ("com.docker.network.bridge.gateway_mode_ipv4", Means::Key("gatewayMode4")),
    ("com.docker.network.bridge.gateway_mode_ipv6", Means::Key("gatewayMode6")),
    ("com.docker.network.bridge.host_binding_ipv4", Means::Key("hostBinding")),
    ("com.docker.network.driver.mtu", Means::Key("mtu")),
    ("com.docker.network.enable_ipv4", Means::Key("ipv4")),
    ("com.docker.network.enable_ipv6", Means::Key("ipv6")),
    ("com.docker.network.endpoint.macaddress", Means::Key("mac")),
    ("com.docker.network.container_iface_prefix", Means::Nothing),
    ("com.docker.network.advertise_addr_nmsgs", Means::Nothing),
    ("com.docker.network.advertise_addr_ms", Means::Nothing),
    ("com.docker.network.host_ipv4", ANOTHER_SOURCE),
    ("com.docker.network.host_ipv6", ANOTHER_SOURCE),
    (
        "com.docker.network.bridge.inhibit_ipv4",
        Means::Refused("the bridge has the gateway's address", &["", "false", "0"]),
    ),
    (
        "com.docker.network.bridge.trusted_host_interfaces",
        Means::Refused("no link is trusted more than others", &[""]),
    ),
    (
        "com.docker.network.bridge.default_bridge",
        Means::Refused("there is no default bridge", &["", "false", "0"]),
    ),
    (
        "com.docker.network.endpoint.sysctls",
        Means::Refused("plugin tuning sets sysctls, after this one in a list", &[""]),
    ),
    (
        "com.docker.network.endpoint.ifname",
        Means::Refused("the runtime names interfaces (CNI_IFNAME)", &[""]),
    ),
    ("mtu", Means::Key("mtu")),
    ("isolate", Means::Key("isolate")),
    ("metric", Means::Key("metric")),
    ("no_default_route", Means::Key("noDefaultRoute")),
    ("outbound_addr4", ANOTHER_SOURCE),
    ("outbound_addr6", ANOTHER_SOURCE),
    ("mode", Means::Refused("the bridge is managed", &["", "managed"])),
    ("vlan", Means::Refused("plugin bridge has VLANs", &["", "0"])),
    ("vrf", Means::Refused("bridges of user-bridge are in no VRF", &[""])),
    ("host_interface_name", Means::Refused("the host's end is named after the attachment", &[""])),
];

/// An option as it was written.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    /// The key that it is another name of.
    pub(crate) key: &'static str,
    /// Its value as text.
    pub(crate) text: String,
    /// Where it stands.
    pub(crate) value: Value<'a>,
}

/// Reads the options of a network. Docker's and Podman's values are texts; numbers and flags are
/// taken as well.
///
/// # Errors
/// Code 6 where a value is no text, code 7 for an option that nobody knows or does here.
pub(crate) fn read<'a>(keys: &Object<'a>) -> Result<Vec<Written<'a>>, Error> {
    let mut written = Vec::new();
    let Some(options) = keys.object("options")? else { return Ok(written) };
    for (name, value) in options.entries() {
        let text = match value.raw().get() {
            "null" => continue,
            plain if plain.starts_with(['"', '[', '{']) => value.string()?,
            plain => plain.to_owned(),
        };
        let known = OPTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        match known.map(|(_, means)| *means) {
            Some(Means::Key(key)) => written.push(Written { key, text, value }),
            Some(Means::Nothing) => {}
            Some(Means::Refused(_, nothing)) if nothing.contains(&text.as_str()) => {}
            Some(Means::Refused(why, _)) => {
                let told = value.invalid(format!("\"{text}\" is not supported"));
                return Err(told.with_hint(format!("{why}; leave the option out")));
            }
            None => return Err(unknown(name)),
        }
    }
    Ok(written)
}

/// The last part of Docker's names tells them apart, and so does that of a misspelling.
fn unknown(name: &str) -> Error {
    let names: Vec<&str> = OPTIONS.iter().map(|(name, _)| *name).collect();
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let lasts: Vec<String> = names.iter().map(|name| last(name)).collect();
    let by_last = || {
        let lasts: Vec<&str> = lasts.iter().map(String::as_str).collect();
        let meant = nearest(&last(name), &lasts)?;
        names.iter().copied().find(|name| last(name) == meant)
    };
    let told =
        Error::new(code::INVALID_CONFIG, format!("key \"options\": unknown option \"{name}\""));
    match nearest(name, &names).or_else(by_last) {
        Some(meant) => told.with_hint(format!("did you mean \"{meant}\"?")),
        None => told.with_hint("docs/plugins/user-bridge.md has the options of Docker and Podman"),
    }
}
