//! Networks.

use peers::{Encryption, Network};
use serde::Deserialize;
use serde_json::json;
use types::{Family, Mtu, NetworkName};

use super::{BadRecord, mtu, parse_all, read, rewritten, texts, vni};

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
