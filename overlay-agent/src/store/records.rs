//! Values in the store. What others wrote is input: it is checked here, once, and never trusted
//! before. Fields of newer agents are kept when a value is written again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use peers::{Block, Encryption, Host, HostId, Network, State, Underlay, Vni};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use types::{Cidr, Family, Mtu, NetworkName, parse_ip};

/// Layout of all values.
const LAYOUT: u64 = 1;

/// Why a value is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// It is no JSON object of the expected shape.
    #[error("{0}")]
    Shape(String),
    /// Another layout.
    #[error("layout {0}, this agent reads 1; hint: update it")]
    Layout(u64),
    /// A part of it is wrong.
    #[error("{0}: {1}")]
    Part(&'static str, String),
}

/// Reads the layout number, and then the rest.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BadRecord> {
    #[derive(Deserialize)]
    struct Only {
        v: u64,
    }
    let shape = |error: serde_json::Error| BadRecord::Shape(error.to_string());
    let Only { v } = serde_json::from_slice(bytes).map_err(shape)?;
    if v != LAYOUT {
        return Err(BadRecord::Layout(v));
    }
    serde_json::from_slice(bytes).map_err(shape)
}

/// `bytes`, or an empty object, with some fields set.
fn rewritten(bytes: Option<&[u8]>, fields: Value) -> Result<Vec<u8>, BadRecord> {
    let mut object: Map<String, Value> = match bytes {
        Some(bytes) => read(bytes)?,
        None => Map::new(),
    };
    let Value::Object(fields) = fields else { unreachable!("callers give objects") };
    object.extend(fields);
    object.insert("v".to_owned(), LAYOUT.into());
    Ok(serde_json::to_vec(&object).expect("it has text keys and no failing parts"))
}

fn parse<T: FromStr>(part: &'static str, text: &str) -> Result<T, BadRecord> {
    text.parse().map_err(|_| BadRecord::Part(part, format!("\"{text}\" is none")))
}

fn parse_all<T: FromStr>(part: &'static str, texts: &[String]) -> Result<Vec<T>, BadRecord> {
    texts.iter().map(|text| parse(part, text)).collect()
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// What holds for all hosts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    /// Where networks get their numbers from.
    pub vni_range: (u32, u32),
    /// How many blocks a host may have of a network.
    pub max_blocks_per_host: usize,
    /// After how many seconds of absence a host's blocks are taken away; `None`: never.
    pub reclaim_after: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self { vni_range: (4096, Vni::MAX), max_blocks_per_host: 16, reclaim_after: None }
    }
}

impl Config {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, BadRecord> {
        let config: Self = read(bytes)?;
        let (low, high) = config.vni_range;
        if low == 0 || high > Vni::MAX || low > high {
            return Err(BadRecord::Part(
                "vniRange",
                format!("{low} to {high} is no range of VNIs"),
            ));
        }
        Ok(config)
    }
}

/// Which networks there are: one document, so that two that are made at once cannot overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) nets: BTreeMap<NetworkName, Indexed>,
}

/// What the index says of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Indexed {
    pub(crate) vni: Vni,
    pub(crate) pools: Vec<Cidr>,
}

#[derive(Deserialize)]
struct IndexShape {
    nets: BTreeMap<String, IndexedShape>,
}

#[derive(Deserialize)]
struct IndexedShape {
    vni: u32,
    pools: Vec<String>,
}

impl Index {
    /// An entry that cannot be read spoils the whole: what it guards is not known.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, BadRecord> {
        let shape: IndexShape = read(bytes)?;
        let mut index = Self::default();
        for (name, net) in shape.nets {
            let indexed = Indexed { vni: vni(net.vni)?, pools: parse_all("pools", &net.pools)? };
            index.nets.insert(parse("nets", &name)?, indexed);
        }
        Ok(index)
    }

    /// The document with `network` in it.
    pub(crate) fn with(bytes: Option<&[u8]>, network: &Network) -> Result<Vec<u8>, BadRecord> {
        let entry = json!({ "vni": network.vni.get(), "pools": texts(&network.pools) });
        Self::change(bytes, |nets| {
            nets.insert(network.name.to_string(), entry);
        })
    }

    /// The document without `network`.
    pub(crate) fn without(bytes: &[u8], network: &NetworkName) -> Result<Vec<u8>, BadRecord> {
        Self::change(Some(bytes), |nets| {
            nets.remove(network.as_str());
        })
    }

    fn change(
        bytes: Option<&[u8]>,
        change: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<Vec<u8>, BadRecord> {
        let object: Map<String, Value> = match bytes {
            Some(bytes) => read(bytes)?,
            None => Map::new(),
        };
        let mut nets = match object.get("nets") {
            Some(Value::Object(nets)) => nets.clone(),
            _ => Map::new(),
        };
        change(&mut nets);
        rewritten(bytes, json!({ "nets": nets }))
    }
}

fn vni(number: u32) -> Result<Vni, BadRecord> {
    Vni::try_from(number).map_err(|why| BadRecord::Part("vni", why.to_string()))
}

fn mtu(bytes: u32) -> Result<Option<Mtu>, BadRecord> {
    match bytes {
        0 => Ok(None),
        _ => Mtu::try_from(bytes).map(Some).map_err(|why| BadRecord::Part("mtu", why.to_string())),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NetworkShape {
    name: String,
    vni: u32,
    pools: Vec<String>,
    block_len4: u8,
    block_len6: u8,
    #[serde(default = "vxlan")]
    encap: String,
    port: u16,
    #[serde(default)]
    mtu: u32,
    #[serde(default = "none")]
    encryption: String,
    #[serde(default)]
    direct_routing: bool,
    masq: bool,
    #[serde(default)]
    reserved: Vec<String>,
}

fn vxlan() -> String {
    "vxlan".to_owned()
}

fn none() -> String {
    "none".to_owned()
}

pub(crate) fn network(name: &NetworkName, bytes: &[u8]) -> Result<Network, BadRecord> {
    let shape: NetworkShape = read(bytes)?;
    if shape.name != name.as_str() {
        return Err(BadRecord::Part("name", format!("\"{}\" under another's key", shape.name)));
    }
    if shape.encap != "vxlan" {
        return Err(BadRecord::Part("encap", format!("\"{}\" is unknown", shape.encap)));
    }
    let encryption = match shape.encryption.as_str() {
        "none" => Encryption::None,
        "wireguard" => Encryption::Wireguard,
        other => return Err(BadRecord::Part("encryption", format!("\"{other}\" is unknown"))),
    };
    let network = Network {
        name: name.clone(),
        vni: vni(shape.vni)?,
        pools: parse_all("pools", &shape.pools)?,
        block_len4: shape.block_len4,
        block_len6: shape.block_len6,
        port: shape.port,
        mtu: mtu(shape.mtu)?,
        masquerade: shape.masq,
        encryption,
        direct_routing: shape.direct_routing,
        reserved: parse_all("reserved", &shape.reserved)?,
    };
    check_network(&network)?;
    Ok(network)
}

/// What every network must be like, whoever made it.
pub(crate) fn check_network(network: &Network) -> Result<(), BadRecord> {
    let bad = |part, why| Err(BadRecord::Part(part, why));
    if network.pools.is_empty() {
        return bad("pools", "a network needs one".to_owned());
    }
    if network.port == 0 {
        return bad("port", "0 is no port".to_owned());
    }
    for (place, pool) in network.pools.iter().enumerate() {
        if *pool != pool.network() {
            return bad("pools", format!("{pool} has bits beyond its prefix"));
        }
        if let Some(other) = network.pools[..place].iter().find(|other| other.overlaps(*pool)) {
            return bad("pools", format!("{pool} overlaps {other}"));
        }
        // A block has a gateway and at least one more address.
        let (part, length, longest) = match pool.family() {
            Family::V4 => ("blockLen4", network.block_len4, 30),
            Family::V6 => ("blockLen6", network.block_len6, 126),
        };
        if !(pool.prefix()..=longest).contains(&length) {
            return bad(
                part,
                format!("{length} is outside {}..{longest} for {pool}", pool.prefix()),
            );
        }
    }
    Ok(())
}

pub(crate) fn network_value(network: &Network) -> Vec<u8> {
    let encryption = match network.encryption {
        Encryption::None => "none",
        Encryption::Wireguard => "wireguard",
    };
    let fields = json!({
        "name": network.name.as_str(),
        "vni": network.vni.get(),
        "pools": texts(&network.pools),
        "blockLen4": network.block_len4,
        "blockLen6": network.block_len6,
        "encap": "vxlan",
        "port": network.port,
        "mtu": network.mtu.map_or(0, Mtu::get),
        "encryption": encryption,
        "directRouting": network.direct_routing,
        "masq": network.masquerade,
        "reserved": texts(&network.reserved),
        "labels": {},
    });
    rewritten(None, fields).expect("nothing that could be wrong is read")
}

/// What a host says of itself, beyond what the others need for reaching it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// What others reach it by.
    pub host: Host,
    /// What people call it.
    pub name: String,
    /// Tells this machine from a clone of it.
    pub fingerprint: String,
    /// Tells this life of the agent from others: made at random and kept in the run directory.
    pub instance: String,
    /// The kernel's boot id.
    pub boot: String,
    /// The agent's version.
    pub agent: String,
    /// What the host can do, such as `vxlan`.
    pub capabilities: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HostShape {
    id: String,
    underlay: UnderlayShape,
    #[serde(default)]
    mtu: u32,
    #[serde(default)]
    name: String,
    #[serde(default)]
    fp: String,
    joined: Option<u64>,
    dead_since: Option<u64>,
}

#[derive(Deserialize)]
struct UnderlayShape {
    v4: Option<String>,
    v6: Option<String>,
}

/// A host's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRecord {
    /// What others reach it by.
    pub host: Host,
    /// What people call it.
    pub name: String,
    /// Tells its machine from a clone.
    pub fingerprint: String,
    /// Since when its presence has been missed, in seconds since 1970.
    pub dead_since: Option<u64>,
    joined: Option<u64>,
}

impl HostRecord {
    pub(crate) fn parse(id: &HostId, bytes: &[u8]) -> Result<Self, BadRecord> {
        let shape: HostShape = read(bytes)?;
        if shape.id != id.as_str() {
            return Err(BadRecord::Part("id", format!("\"{}\" under another's key", shape.id)));
        }
        let address = |text: Option<String>| match text {
            None => Ok(None),
            Some(text) => parse_ip(&text)
                .map(Some)
                .ok_or_else(|| BadRecord::Part("underlay", format!("\"{text}\" is no address"))),
        };
        let underlay = match (address(shape.underlay.v4)?, address(shape.underlay.v6)?) {
            (Some(IpAddr::V6(_)), _) | (_, Some(IpAddr::V4(_))) => {
                return Err(BadRecord::Part("underlay", "families are exchanged".to_owned()));
            }
            (v4, v6) => Underlay {
                v4: v4.and_then(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None }),
                v6: v6.and_then(|ip| if let IpAddr::V6(ip) = ip { Some(ip) } else { None }),
            },
        };
        Ok(Self {
            host: Host { id: id.clone(), underlay, mtu: mtu(shape.mtu)? },
            name: shape.name,
            fingerprint: shape.fp,
            dead_since: shape.dead_since,
            joined: shape.joined,
        })
    }

    /// The value that `me` writes over `before`, at `now`.
    pub(crate) fn value(
        me: &Me,
        before: Option<(&[u8], &Self)>,
        now: u64,
    ) -> Result<Vec<u8>, BadRecord> {
        let underlay = me.host.underlay;
        let fields = json!({
            "id": me.host.id.as_str(),
            "name": me.name,
            "underlay": {
                "v4": underlay.v4.map(|ip| ip.to_string()),
                "v6": underlay.v6.map(|ip| ip.to_string()),
            },
            "mtu": me.host.mtu.map_or(0, Mtu::get),
            "fp": me.fingerprint,
            "agent": me.agent,
            "caps": me.capabilities,
            "joined": before.and_then(|(_, before)| before.joined).unwrap_or(now),
            "deadSince": null,
        });
        rewritten(before.map(|(bytes, _)| bytes), fields)
    }

    /// `bytes` with the time since when the host has been missed.
    pub(crate) fn missed(bytes: &[u8], since: u64) -> Result<Vec<u8>, BadRecord> {
        rewritten(Some(bytes), json!({ "deadSince": since }))
    }
}

/// That a host is there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Alive {
    pub(crate) inst: String,
    pub(crate) fp: String,
}

impl Alive {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, BadRecord> {
        read(bytes)
    }

    pub(crate) fn value(me: &Me) -> Vec<u8> {
        let fields = json!({ "inst": me.instance, "boot": me.boot, "fp": me.fingerprint });
        rewritten(None, fields).expect("nothing that could be wrong is read")
    }
}

#[derive(Deserialize)]
struct BlockShape {
    host: String,
    mac: String,
    state: String,
    until: Option<u64>,
}

/// A block, and until when its addresses are nobody's if it was taken from its host.
pub(crate) fn block(
    cidr: Cidr,
    bytes: &[u8],
    created: i64,
) -> Result<(Block, Option<u64>), BadRecord> {
    let shape: BlockShape = read(bytes)?;
    let state = match shape.state.as_str() {
        "active" => State::Active,
        "draining" => State::Draining,
        "released" => State::Released,
        other => return Err(BadRecord::Part("state", format!("\"{other}\" is unknown"))),
    };
    let block = Block {
        cidr,
        host: parse("host", &shape.host)?,
        mac: parse("mac", &shape.mac)?,
        state,
        claimed: u64::try_from(created).unwrap_or(0),
    };
    Ok((block, shape.until))
}

/// The value of a block in `state`, written over `before`.
pub(crate) fn block_value(
    before: Option<&[u8]>,
    host: &HostId,
    vni: Vni,
    state: State,
    until: Option<u64>,
) -> Result<Vec<u8>, BadRecord> {
    let state = match state {
        State::Active => "active",
        State::Draining => "draining",
        State::Released => "released",
    };
    let fields = json!({
        "host": host.as_str(),
        "mac": host.vtep_mac(vni).to_string(),
        "state": state,
        "until": until,
    });
    rewritten(before, fields)
}

/// `bytes` as a block of which no more addresses are handed out.
pub(crate) fn draining(bytes: &[u8]) -> Result<Vec<u8>, BadRecord> {
    rewritten(Some(bytes), json!({ "state": "draining" }))
}

/// `bytes` as the tombstone of a block.
pub(crate) fn released(bytes: &[u8], until: u64) -> Result<Vec<u8>, BadRecord> {
    rewritten(Some(bytes), json!({ "state": "released", "until": until }))
}

/// What an endpoint is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its names, in lower case as they were given.
    pub names: Vec<String>,
    /// Its addresses.
    pub ips: Vec<IpAddr>,
}

/// Names and addresses of one endpoint: more are refused.
const MOST_NAMES: usize = 64;

#[derive(Deserialize)]
struct NamedShape {
    names: Vec<String>,
    ips: Vec<String>,
}

impl Named {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, BadRecord> {
        let shape: NamedShape = read(bytes)?;
        if shape.names.len().max(shape.ips.len()) > MOST_NAMES {
            return Err(BadRecord::Part("names", format!("more than {MOST_NAMES}")));
        }
        let address = |text: &String| {
            let bad = || BadRecord::Part("ips", format!("\"{text}\" is no address"));
            parse_ip(text).ok_or_else(bad)
        };
        let ips = shape.ips.iter().map(address).collect::<Result<_, _>>()?;
        Ok(Self { names: shape.names, ips })
    }

    pub(crate) fn value(&self) -> Vec<u8> {
        let fields = json!({ "names": self.names, "ips": texts(&self.ips) });
        rewritten(None, fields).expect("nothing that could be wrong is read")
    }
}
