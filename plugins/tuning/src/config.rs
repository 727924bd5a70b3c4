//! What the user wrote and the runtime added: which sysctls and attributes to change.

use std::path::PathBuf;

use cni::json::{Object, Value};
use cni::schema::{Key, Kind};
use cni::{AddResult, Args, Call, Config as Network, Error, Version, code, state};
use types::{MacAddr, Mtu};

use crate::attributes::Attributes;
use crate::sysctl::Sysctl;

/// Everything that `tuning` reads of a network configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// In the order of the document; those of `args.cni` that are not in `sysctl` come last.
    pub(crate) sysctls: Vec<Sysctl>,
    /// What the interface is to have.
    pub(crate) attributes: Attributes,
    /// Where the backup file is put.
    pub(crate) data_dir: PathBuf,
}

/// The keys of `tuning`, in the order of its page.
pub(crate) const KEYS: &[Key] = &[
    Key {
        path: "sysctl",
        kind: Kind::Object,
        default: "{}",
        doc: "Sysctls below `net` and their values, written in this order. A name is separated by `.` or by `/`, as in sysctl(8); `IFNAME` in it stands for the interface.",
    },
    Key {
        path: "mac",
        kind: Kind::Text,
        default: "unchanged",
        doc: "Ethernet address of the interface.",
    },
    Key {
        path: "mtu",
        kind: Kind::Integer(0, 65535),
        default: "unchanged",
        doc: "MTU of the interface in bytes, from 68; 0 leaves it as it is.",
    },
    Key {
        path: "promisc",
        kind: Kind::Flag,
        default: "false",
        doc: "Sets the interface promiscuous. False leaves it as it is.",
    },
    Key {
        path: "allmulti",
        kind: Kind::Flag,
        default: "unchanged",
        doc: "Whether the interface takes every multicast frame.",
    },
    Key {
        path: "txQLen",
        kind: Kind::Integer(0, 4_294_967_295),
        default: "unchanged",
        doc: "Packets that may wait in the transmit queue of the interface.",
    },
    Key {
        path: "dataDir",
        kind: Kind::Text,
        default: "/run/cni/tuning",
        doc: "Directory of the files that hold what the interface had before.",
    },
    Key {
        path: "runtimeConfig.mac",
        kind: Kind::Text,
        default: "absent",
        doc: "As mac, and stronger than it and than MAC in CNI_ARGS.",
    },
    Key {
        path: "args.cni.sysctl",
        kind: Kind::Object,
        default: "{}",
        doc: "Sysctls beside those of sysctl; of one that is in both, the value here counts.",
    },
    Key {
        path: "args.cni.mac",
        kind: Kind::Text,
        default: "absent",
        doc: "As mac, and stronger than all other places.",
    },
    Key {
        path: "args.cni.mtu",
        kind: Kind::Integer(0, 65535),
        default: "absent",
        doc: "As mtu, and stronger.",
    },
    Key {
        path: "args.cni.promisc",
        kind: Kind::Flag,
        default: "absent",
        doc: "As promisc, and stronger.",
    },
    Key {
        path: "args.cni.allmulti",
        kind: Kind::Flag,
        default: "absent",
        doc: "As allmulti, and stronger.",
    },
    Key {
        path: "args.cni.txQLen",
        kind: Kind::Integer(0, 4_294_967_295),
        default: "absent",
        doc: "As txQLen, and stronger.",
    },
];

impl Config {
    /// Reads what ADD and CHECK need. `args` is `CNI_ARGS`.
    ///
    /// # Errors
    /// Codes 4, 6 and 7, the key or the variable named.
    pub(crate) fn parse(network: &Network, args: &Args) -> Result<Self, Error> {
        let (keys, stronger) = (network.object()?, network.args_cni()?);
        let asked = asked_by(&stronger)?.or(asked_by(&keys)?);
        let attributes = Attributes {
            mac: mac(network, args)?,
            // False asks for nothing: others may have set it promiscuous, and may need it so.
            promisc: asked.promisc.filter(|on| *on),
            mtu: asked.mtu.filter(|bytes| *bytes != 0),
            ..asked
        };
        Ok(Self { sysctls: sysctls(&keys, &stronger)?, attributes, data_dir: data_dir(&keys)? })
    }

    /// Whether there is anything to change.
    pub(crate) fn is_empty(&self) -> bool {
        self.sysctls.is_empty() && self.attributes.is_empty()
    }

    /// `result` with what the interface has now.
    pub(crate) fn tuned(&self, mut result: AddResult, call: &Call) -> AddResult {
        let ifname = call.attachment.ifname.as_str();
        for link in result.interfaces.iter_mut().filter(|link| link.name == ifname) {
            if let Some(mac) = self.attributes.mac {
                link.mac = mac.to_string();
            }
            // Earlier versions have no such key; but one that is there must not become wrong.
            let is_known = call.config.version() >= Version::V1_1_0 || link.mtu != 0;
            if let Some(mtu) = self.attributes.mtu.filter(|_| is_known) {
                link.mtu = mtu;
            }
        }
        result
    }
}

/// Where the backup file is, for DEL: what cannot be read counts as not given.
pub(crate) fn data_dir_for_del(network: &Network) -> PathBuf {
    network.object().and_then(|keys| data_dir(&keys)).unwrap_or_else(|_| default_data_dir())
}

fn data_dir(keys: &Object<'_>) -> Result<PathBuf, Error> {
    let given = keys.string("dataDir")?.filter(|text| !text.is_empty());
    Ok(given.map_or_else(default_data_dir, PathBuf::from))
}

fn default_data_dir() -> PathBuf {
    state::root().join("run/cni/tuning")
}

/// What one object asks for, but for the address, which is asked for elsewhere as well. Here `mtu`
/// 0 and `promisc` false stay, since they take back what a weaker place asks for.
fn asked_by(keys: &Object<'_>) -> Result<Attributes, Error> {
    let flag = |key| keys.get(key).map(|value| value.boolean()).transpose();
    Ok(Attributes {
        mac: None,
        promisc: flag("promisc")?,
        mtu: keys.get("mtu").map(|value| mtu(&value)).transpose()?,
        allmulti: flag("allmulti")?,
        txqlen: keys.number("txQLen")?,
    })
}

fn mtu(value: &Value<'_>) -> Result<u32, Error> {
    let bytes = value.integer(0..=i64::from(u32::MAX))?;
    let bytes = u32::try_from(bytes).expect("integer() kept it within 32 bits");
    if bytes == 0 {
        return Ok(0);
    }
    Mtu::try_from(bytes).map(Mtu::get).map_err(|why| value.invalid(why))
}

/// All places are read, so that a wrong address is found wherever it stands.
fn mac(network: &Network, args: &Args) -> Result<Option<MacAddr>, Error> {
    let of_variable = match args.get("MAC") {
        None | Some("") => None,
        Some(text) => Some(text.parse().map_err(|why| {
            Error::new(code::INVALID_ENVIRONMENT, format!("CNI_ARGS MAC={text}: {why}"))
        })?),
    };
    let (args_cni, runtime) = (network.args_cni()?, network.runtime()?);
    let (of_args, of_runtime) = (args_cni.parsed("mac")?, runtime.parsed("mac")?);
    let of_config = network.object()?.parsed("mac")?;
    // An empty text there takes the others back.
    if args_cni.get("mac").is_some() {
        return Ok(of_args);
    }
    Ok(of_runtime.or(of_variable).or(of_config))
}

fn sysctls(keys: &Object<'_>, stronger: &Object<'_>) -> Result<Vec<Sysctl>, Error> {
    let mut list = in_order(keys)?;
    for sysctl in in_order(stronger)? {
        match list.iter_mut().find(|known| known.is_same_as(&sysctl)) {
            Some(known) => *known = sysctl,
            None => list.push(sysctl),
        }
    }
    Ok(list)
}

/// The members of `sysctl`. Two for one sysctl would leave it to chance which of them holds.
fn in_order(keys: &Object<'_>) -> Result<Vec<Sysctl>, Error> {
    let mut list: Vec<Sysctl> = Vec::new();
    let Some(members) = keys.object("sysctl")? else { return Ok(list) };
    for (name, value) in members.entries().filter(|(_, value)| !value.is_null()) {
        let sysctl = Sysctl::parse(name, value.string()?).map_err(|why| {
            value.invalid(format!("invalid net sysctl key: {name:?}: {why}")).with_hint(
                "a name starts with `net.` or `net/` and has no empty part; `/` in a dotted name \
                 stands for a dot, as in net.ipv4.conf.eth0/100.arp_filter",
            )
        })?;
        if list.iter().any(|known| known.is_same_as(&sysctl)) {
            return Err(value
                .invalid(format!("duplicated sysctl key: {name:?}"))
                .with_hint("write each sysctl once"));
        }
        list.push(sysctl);
    }
    Ok(list)
}
