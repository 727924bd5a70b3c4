//! Values in the store. What others wrote is input: it is checked here, once, and never trusted
//! before. Fields of newer agents are kept when a value is written again.

mod block;
mod host;
mod network;

use std::collections::BTreeMap;
use std::str::FromStr;

use peers::{Network, Vni};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use types::{Cidr, Mtu, NetworkName};

pub use block::{MOST_NAMES, Named};
pub(crate) use block::{block, block_value, draining, released};
pub(crate) use host::Alive;
pub use host::{HostRecord, Me};
pub(crate) use network::{check_network, network, network_value};

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
