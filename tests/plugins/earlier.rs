//! What an earlier plugin of the list made, for those that change an interface that is there.

use netns_fixtures::{Container, Lab};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::under_test::{furnish, result_before};

/// A container whose `eth0`, furnished for `plugin`, has an address of each family, default routes,
/// and a route of IPAM.
pub(super) fn container(lab: &Lab, plugin: &str, name: &str) -> Container {
    let container = lab.container(name);
    furnish(&container, plugin);
    for command in [
        "ip link set dev lo up",
        "ip link set dev peer0 up",
        "ip link set dev eth0 up",
        "ip addr add 10.1.0.2/24 dev eth0",
        "ip addr add fd00:1::2/64 dev eth0 nodad",
        "ip route add default via 10.1.0.1",
        "ip route add default via fd00:1::1",
        "ip route add 10.8.0.0/16 via 10.1.0.5",
    ] {
        container.run(command);
    }
    container
}

/// What the plugin that made `eth0` may have answered.
pub(super) fn result(c: &Container) -> Value {
    let mut result = result_before(USUAL, &c.path().display().to_string());
    result["ips"] = json!([
        { "address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 0 },
        { "address": "fd00:1::2/64", "gateway": "fd00:1::1", "interface": 0 },
    ]);
    result
}

/// Routes of both families that `ip` lists for `which`, such as `table 7`, link-local ones left out,
/// in an order of their own.
pub(super) fn routes(c: &Container, which: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for family in ["-4", "-6"] {
        // `ip` fails for a table that never had a route.
        let shown = c.try_run(&format!("ip {family} route show {which}"));
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        lines.extend(shown.lines().map(|line| line.trim().to_owned()));
    }
    lines.retain(|line| !line.starts_with("fe80::") && !line.starts_with("multicast"));
    lines.sort();
    lines
}
