//! What administrators ask the store for, by way of this process, which may read and write it.

use cni::{Error, code};
use peers::message::Admin as Asked;
use peers::{Block, Encryption, Network, State};
use serde_json::{Value, json};

use super::Daemon;
use super::claims::of_store;
use crate::settings::create;
use crate::store::admin::{Admin, HostStatus, Listed};

impl Daemon {
    /// Does it; what is to be shown.
    pub(super) async fn administrate(&self, asked: Asked) -> Result<Value, Error> {
        let settings = self.followed.borrow().as_ref().map(|followed| followed.settings.clone());
        let settings = settings.ok_or_else(|| {
            Error::new(code::NOT_AVAILABLE, "ask the store: this host follows none")
                .with_hint("cais overlay join, or say \"store\" in /etc/cais/overlayd.json")
        })?;
        let invalid =
            |why: &dyn std::fmt::Display| Error::new(code::INVALID_CONFIG, why.to_string());
        let config = settings.etcd().map_err(|why| invalid(&why))?;
        let store = Admin::connect(&config).await.map_err(|error| of_store(&error))?;
        let told = |error| of_store(&error);
        Ok(match asked {
            Asked::Networks => shown(store.networks().await.map_err(told)?, network),
            Asked::Network(name) => {
                let mut found = network(&store.network(&name).await.map_err(told)?);
                let blocks = store.blocks(Some(&name)).await.map_err(told)?;
                found["blocks"] = blocks.items.iter().map(|(_, of)| block(of)).collect();
                found
            }
            Asked::CreateNetwork { network: name, create: wanted } => {
                let (wanted, number) = create(&name, wanted.get()).map_err(|why| invalid(&why))?;
                network(&store.create_network(&wanted, number).await.map_err(told)?)
            }
            Asked::RemoveNetwork(name) => {
                store.delete_network(&name).await.map_err(told)?;
                json!({ "removed": name.as_str() })
            }
            Asked::Hosts => shown(store.hosts().await.map_err(told)?, host),
            Asked::DrainHost(id) => {
                let blocks = store.drain_host(&id).await.map_err(told)?;
                json!({ "drained": id.as_str(), "blocks": blocks })
            }
            Asked::RemoveHost(id) => {
                store.remove_host(&id).await.map_err(told)?;
                json!({ "removed": id.as_str() })
            }
            Asked::Blocks(of) => {
                let blocks = store.blocks(of.as_ref()).await.map_err(told)?;
                shown(blocks, |(network, of)| {
                    let mut shown = block(of);
                    shown["network"] = network.as_str().into();
                    shown
                })
            }
        })
    }
}

fn shown<T>(listed: Listed<T>, one: impl Fn(&T) -> Value) -> Value {
    let items: Vec<Value> = listed.items.iter().map(one).collect();
    let unreadable = listed.refused.into_iter();
    let unreadable: Vec<Value> =
        unreadable.map(|(key, why)| json!({ "key": key, "why": why })).collect();
    json!({ "items": items, "unreadable": unreadable })
}

fn network(network: &Network) -> Value {
    let texts =
        |all: &[types::Cidr]| -> Vec<String> { all.iter().map(ToString::to_string).collect() };
    json!({
        "network": network.name.as_str(),
        "vni": network.vni.get(),
        "pools": texts(&network.pools),
        "blockLen4": network.block_len4,
        "blockLen6": network.block_len6,
        "port": network.port,
        "mtu": network.mtu.map(types::Mtu::get),
        "masq": network.masquerade,
        "encryption": match network.encryption {
            Encryption::None => "none",
            Encryption::Wireguard => "wireguard",
        },
        "reserved": texts(&network.reserved),
    })
}

fn block(block: &Block) -> Value {
    json!({
        "block": block.cidr.to_string(),
        "host": block.host.as_str(),
        "mac": block.mac.to_string(),
        "state": match block.state {
            State::Active => "active",
            State::Draining => "draining",
            State::Released => "released",
        },
    })
}

fn host(host: &HostStatus) -> Value {
    let record = &host.record;
    let underlay = record.host.underlay.addresses();
    json!({
        "host": record.host.id.as_str(),
        "name": record.name,
        "underlay": underlay.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "mtu": record.host.mtu.map(types::Mtu::get),
        "alive": host.is_alive,
        "deadSince": record.dead_since,
        "blocks": host.blocks.iter().map(|(network, of)| {
            let mut shown = block(of);
            shown["network"] = network.as_str().into();
            shown
        }).collect::<Vec<_>>(),
    })
}
