//! What the user wrote and the runtime added.

use cni::json::{Object, Value};
use cni::schema::{Key, Kind};
use cni::{Config as Network, Error, code};
use names::{Name, Names, Server};
use types::{ContainerId, NetworkName};

/// Everything that names read of a network configuration and of `CNI_ARGS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// What the container is called.
    pub name: Option<Name>,
    /// What it is called as well.
    pub aliases: Vec<Name>,
    /// What it calls itself.
    pub hostname: Option<Name>,
    /// What may follow every name.
    pub suffix: Option<Name>,
    /// Whom the network asks what is no container's name.
    pub servers: Vec<Server>,
    /// Whom this container asks, before them.
    pub own_servers: Vec<Server>,
    /// Search domains for the container.
    pub search: Vec<String>,
    /// Options for the container's resolver.
    pub options: Vec<String>,
    /// Whether the configuration says that nothing may be asked outside.
    pub internal: bool,
    /// Where containers ask.
    pub resolver: Resolver,
    /// Whether names of all networks of a container are answered together.
    pub merge: bool,
    /// A higher one comes first where a container has several networks.
    pub priority: i32,
    /// Whether ADD fails where there can be no names.
    pub required: Required,
}

/// Where containers ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolver {
    /// At the gateway where it is an address of this host's bridge, else within the container.
    #[default]
    Auto,
    /// At the gateway.
    Gateway,
    /// At 127.0.0.11 within the container.
    Container,
}

/// What ADD does where there can be no names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Required {
    /// It fails.
    #[default]
    Yes,
    /// It warns.
    No,
}

/// The keys that names read, in the order of the pages.
pub const KEYS: &[Key] = &[
    Key {
        path: "domainName",
        kind: Kind::Text,
        default: "none",
        doc: "What may follow every name of the network, such as `dns.podman`. It is added to the container's search domains, and no name below it is ever asked for outside.",
    },
    Key {
        path: "servers",
        kind: Kind::List,
        default: "the host's",
        doc: "Whom to ask what is no container's name: addresses of name servers, with a port where it is not 53 (`192.0.2.1:5353`).",
    },
    Key {
        path: "internal",
        kind: Kind::Flag,
        default: "false",
        doc: "Asks nobody outside on behalf of this network. So does a network whose `bridge` is `internal`, without this key.",
    },
    Key {
        path: "resolver",
        kind: Kind::OneOf(&["auto", "gateway", "netns"]),
        default: "auto",
        doc: "Where containers ask: at the gateway, within their own namespace, or at the gateway where it is an address of a bridge of this host.",
    },
    Key {
        path: "multiNetwork",
        kind: Kind::OneOf(&["first", "merge"]),
        default: "first",
        doc: "How a container on several networks finds a name: on the first of them that has it, or on all of them together.",
    },
    Key {
        path: "gwPriority",
        kind: Kind::Integer(i32::MIN as i64, i32::MAX as i64),
        default: "0",
        doc: "Order of a container's networks: the highest is the first.",
    },
    Key {
        path: "dnsRequired",
        kind: Kind::Flag,
        default: "true",
        doc: "Fails where a container cannot be given names. False warns, and the container starts without.",
    },
    Key {
        path: "runtimeConfig.aliases",
        kind: Kind::ListOrMap,
        default: "[]",
        doc: "More names of the container: a list, or an object with a list for each network. The runtime fills it in where the configuration has `\"capabilities\": {\"aliases\": true}`.",
    },
    Key {
        path: "runtimeConfig.dns.servers",
        kind: Kind::List,
        default: "[]",
        doc: "Whom to ask for this container, before `servers`. The runtime fills `dns` in where the configuration has `\"capabilities\": {\"dns\": true}`.",
    },
    Key {
        path: "runtimeConfig.dns.searches",
        kind: Kind::List,
        default: "[]",
        doc: "Search domains for the container.",
    },
    Key {
        path: "runtimeConfig.dns.options",
        kind: Kind::List,
        default: "[]",
        doc: "Options of the container's resolver, as in resolv.conf(5).",
    },
    Key {
        path: "args.cni.hostname",
        kind: Kind::Text,
        default: "absent",
        doc: "Host name of the container, which is a name of it as well.",
    },
];

impl Settings {
    /// Reads what ADD and CHECK need; `args` is the text of `CNI_ARGS`, and `plugin` who warns.
    ///
    /// What a runtime took from elsewhere and cannot be used keeps no container from starting: a
    /// warning tells of a container's name that is none, and of a name server that cannot be one.
    ///
    /// # Errors
    /// Codes 6 and 7, the key named by its path.
    pub fn parse(network: &Network, args: &str, plugin: &str) -> Result<Self, Error> {
        let keys = network.object()?;
        let runtime = network.runtime()?;
        let dns = runtime.object("dns")?.unwrap_or_default();
        let servers = keys.list("servers")?;
        Ok(Self {
            name: container_name(args, plugin),
            aliases: aliases(&runtime, network.name())?,
            hostname: plain(&network.args_cni()?, "hostname")?,
            suffix: plain(&keys, "domainName")?,
            servers: servers.iter().map(server).collect::<Result<_, _>>()?,
            own_servers: own_servers(&dns, plugin)?,
            search: dns.strings("searches")?,
            options: dns.strings("options")?,
            internal: keys.flag("internal")?,
            resolver: choice(
                &keys,
                "resolver",
                &[
                    ("auto", Resolver::Auto),
                    ("gateway", Resolver::Gateway),
                    ("netns", Resolver::Container),
                ],
            )?,
            merge: choice(&keys, "multiNetwork", &[("first", false), ("merge", true)])?,
            priority: keys
                .integer("gwPriority", i64::from(i32::MIN)..=i64::from(i32::MAX))?
                .map_or(0, |number| i32::try_from(number).expect("integer() kept it in range")),
            required: match keys.get("dnsRequired").map(|v| v.boolean()).transpose()? {
                Some(false) => Required::No,
                _ => Required::Yes,
            },
        })
    }

    /// All names of the container `id`.
    #[must_use]
    pub fn names(&self, id: &ContainerId) -> Names {
        Names::new(self.name.as_ref(), &self.aliases, id, self.hostname.as_ref())
    }
}

/// What the runtime calls the container. Podman allows names that DNS does not; such a container is
/// found by its id and its aliases.
fn container_name(args: &str, plugin: &str) -> Option<Name> {
    let args = cni::Args::lenient(args);
    let text = args.get("K8S_POD_NAME").filter(|text| !text.is_empty())?;
    match text.parse::<Name>() {
        Ok(name) if name.wildcard().is_none() => Some(name),
        other => {
            let why = other.map_or_else(|why| why.to_string(), |_| WILDCARD.to_owned());
            cni::warn(plugin, &format!("no container is found as \"{text}\": the name {why}"));
            None
        }
    }
}

const WILDCARD: &str = "stands for many names, which only an alias may";

/// A name at `key` that is one.
fn plain(keys: &Object<'_>, key: &str) -> Result<Option<Name>, Error> {
    let Some(value) = keys.get(key) else { return Ok(None) };
    let text = value.string()?;
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<Name>() {
        Ok(name) if name.wildcard().is_some() => {
            Err(value.invalid(format!("\"{text}\" {WILDCARD}")))
        }
        Ok(name) => Ok(Some(name)),
        Err(why) => Err(value.invalid(format!("\"{text}\" {why}"))),
    }
}

/// Podman and ocicni send lists by network, the convention is one list; either may be null.
fn aliases(runtime: &Object<'_>, network: &NetworkName) -> Result<Vec<Name>, Error> {
    let Some(value) = runtime.get("aliases") else { return Ok(Vec::new()) };
    let list = match value.object() {
        Ok(by_network) => {
            let own = by_network.entries().find(|(name, _)| *name == network.as_str());
            match own {
                Some((_, list)) if !list.is_null() => list.list()?,
                _ => Vec::new(),
            }
        }
        Err(_) => value.list()?,
    };
    list.iter().map(alias).collect()
}

fn alias(value: &Value<'_>) -> Result<Name, Error> {
    let text = value.string()?;
    text.parse().map_err(|why| {
        value.invalid(format!("alias \"{text}\" {why}")).with_hint(
            "an alias is a host name: labels of letters, digits, `_` and `-`, with dots between",
        )
    })
}

fn server(value: &Value<'_>) -> Result<Server, Error> {
    let text = value.string()?;
    text.parse().map_err(|why| value.invalid(format!("\"{text}\" {why}")))
}

/// Runtimes copy these from the host's resolv.conf, which may hold anything.
fn own_servers(dns: &Object<'_>, plugin: &str) -> Result<Vec<Server>, Error> {
    let mut servers = Vec::new();
    for text in dns.strings("servers")? {
        match text.parse() {
            Ok(server) => servers.push(server),
            Err(why) => cni::warn(plugin, &format!("\"{text}\" is not asked for names: it {why}")),
        }
    }
    Ok(servers)
}

/// One of several texts; the first where the key is absent or empty.
fn choice<T: Copy>(keys: &Object<'_>, key: &str, known: &[(&str, T)]) -> Result<T, Error> {
    let (_, first) = known.first().expect("every key has a default");
    let Some(value) = keys.get(key) else { return Ok(*first) };
    let text = value.string()?;
    if text.is_empty() {
        return Ok(*first);
    }
    known.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        Error::new(
            code::INVALID_CONFIG,
            format!("key \"{}\": \"{text}\" is none of {}", value.path(), words.join(", ")),
        )
    })
}
