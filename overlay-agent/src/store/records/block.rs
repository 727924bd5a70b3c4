//! Blocks, and names of what has addresses of them.

use std::net::IpAddr;

use peers::{Block, HostId, State, Vni};
use serde::Deserialize;
use serde_json::json;
use types::{Cidr, parse_ip};

use super::{BadRecord, parse, read, rewritten, texts};

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
pub const MOST_NAMES: usize = 64;

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
