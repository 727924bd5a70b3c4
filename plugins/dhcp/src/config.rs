//! What the user writes under `ipam`, and what is asked of a server because of it.

use std::path::PathBuf;

use cni::json::{Object, Value};
use cni::schema::{Key, Kind};
use cni::{Args, Config as Network, Error, code, state};
use serde::{Deserialize, Serialize};
use types::Attachment;

use crate::options;
use crate::wire::option;

/// The keys of `dhcp`, in the order of its page.
pub(crate) const KEYS: &[Key] = &[
    Key {
        path: "ipam.daemonSocketPath",
        kind: Kind::Text,
        default: "/run/cni/dhcp.sock",
        doc: "Where `dhcp daemon` listens.",
    },
    Key {
        path: "ipam.priority",
        kind: Kind::Integer(0, u32::MAX as i64),
        default: "0 (the kernel's)",
        doc: "Metric of all routes.",
    },
    Key {
        path: "ipam.provide",
        kind: Kind::List,
        default: "[]",
        doc: "Options that the server is told.",
    },
    Key {
        path: "ipam.provide[].option",
        kind: Kind::Text,
        default: "required",
        doc: "Number of the option, or its name.",
    },
    Key {
        path: "ipam.provide[].value",
        kind: Kind::Text,
        default: "none",
        doc: "Value of the option, at most 255 bytes.",
    },
    Key {
        path: "ipam.provide[].fromArg",
        kind: Kind::Text,
        default: "none",
        doc: "Key of CNI_ARGS whose value is used instead where it is given.",
    },
    Key {
        path: "ipam.request",
        kind: Kind::List,
        default: "[]",
        doc: "Options that the server is asked for, beside those that are used.",
    },
    Key {
        path: "ipam.request[].option",
        kind: Kind::Text,
        default: "none",
        doc: "Number of the option, or its name.",
    },
    Key {
        path: "ipam.request[].skipDefault",
        kind: Kind::Flag,
        default: "false",
        doc: "Ask for nothing but what is listed.",
    },
];

/// A configuration that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Where the daemon listens.
    pub(crate) socket: PathBuf,
    /// Metric of all routes.
    pub(crate) priority: u32,
    provide: Vec<Provided>,
    request: Vec<u8>,
}

/// What a client says of itself and wants to know, in each message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// Options that are sent, the client's id among them.
    pub(crate) provide: Vec<(u8, Vec<u8>)>,
    /// Options that are asked for.
    pub(crate) request: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Provided {
    option: u8,
    value: String,
    from_arg: String,
}

/// What we use, in the order of preference (RFC 3442: classless routes first).
const USED: &[u8] = &[
    option::CLASSLESS_ROUTES,
    option::STATIC_ROUTES,
    option::ROUTERS,
    option::SUBNET_MASK,
    option::NAME_SERVERS,
    option::DOMAIN_NAME,
    option::DOMAIN_SEARCH,
    option::MTU,
];
/// What is asked for where the user wants nothing by default and lists nothing.
const LEAST: &[u8] =
    &[option::SUBNET_MASK, option::ROUTERS, option::DOMAIN_NAME, option::NAME_SERVERS];
/// What makes a message one, and is not the user's to say.
const OURS: &[u8] =
    &[option::PAD, option::OVERLOAD, option::MESSAGE_TYPE, option::REQUEST_LIST, option::END];
const MOST_BYTES: usize = 255;

/// Reads the key `ipam` of `network`.
///
/// # Errors
/// Codes 6 and 7, the key named and its value quoted.
pub(crate) fn parse(network: &Network) -> Result<Config, Error> {
    let Some(ipam) = network.object()?.object("ipam")? else {
        return Err(Error::new(code::INVALID_CONFIG, "IPAM config missing 'ipam' key"));
    };
    let provide = ipam.list("provide")?;
    Ok(Config {
        socket: socket_of(&ipam)?,
        priority: ipam.number("priority")?.unwrap_or(0),
        provide: provide.iter().map(provided).collect::<Result<_, _>>()?,
        request: requested(&ipam)?,
    })
}

impl Config {
    /// What the client of `key` says and asks, with `args` of the call.
    ///
    /// # Errors
    /// Code 4 for an argument that does not fit an option.
    pub(crate) fn spec(&self, key: &Attachment, args: &Args) -> Result<Spec, Error> {
        let id = options::client_id(key.network.as_str(), &key.container, key.ifname.as_str());
        let mut provide = vec![(option::CLIENT_ID, id)];
        for Provided { option, value, from_arg } in &self.provide {
            let given = args.get(from_arg).filter(|_| !from_arg.is_empty());
            let value = given.unwrap_or(value);
            if value.len() > MOST_BYTES {
                let text = format!("CNI_ARGS {from_arg}: {} bytes, an option has 255", value.len());
                return Err(Error::new(code::INVALID_ENVIRONMENT, text));
            }
            if !value.is_empty() {
                provide.retain(|(earlier, _)| earlier != option);
                provide.push((*option, value.as_bytes().to_vec()));
            }
        }
        Ok(Spec { provide, request: self.request.clone() })
    }
}

/// Where the daemon of `network` listens, whatever else is wrong with its configuration.
pub(crate) fn socket(network: &Network) -> PathBuf {
    let ipam = network.object().and_then(|keys| keys.object("ipam")).ok().flatten();
    ipam.and_then(|ipam| socket_of(&ipam).ok()).unwrap_or_else(default_socket)
}

fn socket_of(ipam: &Object<'_>) -> Result<PathBuf, Error> {
    let path = ipam.string("daemonSocketPath")?.filter(|path| !path.is_empty());
    Ok(path.map_or_else(default_socket, PathBuf::from))
}

/// Where the reference's daemon listens, too.
pub(crate) fn default_socket() -> PathBuf {
    state::root().join("run/cni/dhcp.sock")
}

fn provided(value: &Value<'_>) -> Result<Provided, Error> {
    let entry = value.object()?;
    let number = number(&entry)?.ok_or_else(|| value.invalid("an entry needs an option"))?;
    if OURS.contains(&number) {
        return Err(value.invalid(format!("option {number} is not for configurations to give")));
    }
    let text = entry.string("value")?.unwrap_or_default();
    if text.len() > MOST_BYTES {
        return Err(value.invalid(format!("a value of {} bytes; an option has 255", text.len())));
    }
    let from_arg = entry.string("fromArg")?.unwrap_or_default();
    Ok(Provided { option: number, value: text, from_arg })
}

/// The options to ask for, none twice.
fn requested(ipam: &Object<'_>) -> Result<Vec<u8>, Error> {
    let (mut wanted, mut skip) = (Vec::new(), false);
    for value in ipam.list("request")? {
        let entry = value.object()?;
        skip |= entry.flag("skipDefault")?;
        wanted.extend(number(&entry)?);
    }
    match (skip, wanted.is_empty()) {
        (false, _) => wanted.extend(USED),
        (true, true) => wanted.extend(LEAST),
        (true, false) => {}
    }
    let mut seen = Vec::new();
    wanted.retain(|number| {
        let new = !seen.contains(number);
        seen.push(*number);
        new
    });
    Ok(wanted)
}

fn number(entry: &Object<'_>) -> Result<Option<u8>, Error> {
    let Some(value) = entry.get("option") else { return Ok(None) };
    match value.string()?.as_str() {
        "" => Ok(None),
        text => options::number(text).map(Some).ok_or_else(|| {
            value.invalid(format!("{text} is no option: a number up to 255, or a name"))
        }),
    }
}
