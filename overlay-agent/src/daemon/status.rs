//! What the daemon is and does, for people.

use serde_json::{Value, json};

use super::Daemon;
use crate::store::State;

impl Daemon {
    /// All of it, as JSON.
    pub(super) fn status(&self) -> Value {
        let followed = self.followed.borrow();
        let store = followed.as_ref().map(|followed| match &*followed.store.state().borrow() {
            State::Starting => json!({ "state": "starting" }),
            State::Ready { endpoint, .. } => json!({ "state": "ready", "endpoint": endpoint }),
            State::Away { reason } => json!({ "state": "away", "reason": reason }),
            State::Refused(error) => json!({ "state": "refused", "reason": error.to_string() }),
        });
        let hosts = followed.as_ref().map_or(0, |followed| followed.view.borrow().hosts.len());
        let present =
            followed.as_ref().map_or(0, |followed| followed.store.presence().borrow().len());
        let networks: Vec<Value> = self
            .active
            .borrow()
            .iter()
            .map(|(name, active)| {
                let node = active.node.as_ref();
                let blocks: Vec<String> = node
                    .map(|node| node.blocks.iter().map(|block| block.cidr.to_string()).collect())
                    .unwrap_or_default();
                json!({
                    "network": name.as_str(),
                    "ready": active.is_ready(),
                    "vni": node.map(|node| node.vni.get()),
                    "mtu": node.map(|node| node.mtu.get()),
                    "epoch": node.map(|node| node.epoch),
                    "blocks": blocks,
                    "problem": active.problem.as_ref().map(ToString::to_string),
                    "quarantined": active.lost.iter().map(|(block, why)| {
                        json!({ "block": block.to_string(), "why": why })
                    }).collect::<Vec<_>>(),
                    "refused": active.refused_records,
                })
            })
            .collect();
        let underlay: Vec<String> =
            self.underlay.get().addresses().iter().map(ToString::to_string).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "host": self.id().as_str(),
            "fingerprint": self.identity.fingerprint,
            "underlay": underlay,
            "uptime": self.started.elapsed().as_secs(),
            "rounds": self.rounds.get(),
            "store": store,
            "hosts": hosts,
            "present": present,
            "networks": networks,
        })
    }
}
