//! Records of hosts that are not there, as their daemons would have written them.

use peers::{HostId, Vni};
use serde_json::json;

use super::town::{Town, VNI};

/// Puts the hosts `from..to` into etcd, each with a block of `network`, whose pool is 10.0.0.0/8. A
/// block that somebody has is left out; so many were put.
pub(super) fn put(town: &Town, network: &str, from: u16, to: u16) -> usize {
    let taken = town.etcd.keys(&format!("blocks/{network}/"));
    let vni = Vni::try_from(VNI).expect("it is a number of networks");
    let mut records = Vec::new();
    let mut count = 0;
    for number in from..to {
        let [high, low] = number.to_be_bytes();
        let block = format!("blocks/{network}/10.{high}.{low}.0-24");
        if taken.contains(&block) {
            continue;
        }
        let id = format!("00000000-0000-4000-8000-{number:012x}");
        let host: HostId = id.parse().expect("it is an id of hosts");
        let underlay = format!("172.16.{high}.{low}");
        let record = json!({
            "v": 1, "id": id, "name": format!("node-{number}"), "fp": format!("sha256:{number:064x}"),
            "underlay": { "v4": underlay, "v6": null }, "mtu": 1500, "port": 4789, "wgPub": null,
            "wgPort": null, "agent": "0.1.0", "caps": ["vxlan", "guard"], "joined": 1_795_000_000,
            "deadSince": null,
        });
        let alive =
            json!({ "v": 1, "inst": id, "boot": id, "fp": format!("sha256:{number:064x}") });
        let owned = json!({
            "v": 1, "host": id, "mac": host.vtep_mac(vni).to_string(), "state": "active",
        });
        records.extend([
            (format!("hosts/{id}"), record.to_string()),
            (format!("vtep/{underlay}"), id.clone()),
            (format!("alive/{id}"), alive.to_string()),
            (block, owned.to_string()),
        ]);
        count += 1;
    }
    town.etcd.put_all(&records);
    count
}
