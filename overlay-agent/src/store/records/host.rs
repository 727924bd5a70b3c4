//! Hosts, and that they are there.

use std::net::IpAddr;

use peers::{Host, HostId, Underlay};
use serde::Deserialize;
use serde_json::json;
use types::{Mtu, parse_ip};

use super::{BadRecord, mtu, read, rewritten};

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
