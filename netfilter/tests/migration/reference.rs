//! The Go plugins in a lab, and what all cases say about attachments.

use std::fs;
use std::os::unix::fs::symlink;

use kernel::netlink::Socket;
use netns_fixtures::{Call, Container, Feature, Lab, assert_same_lines, skip};
use serde_json::{Value, json};
use types::Attachment;

/// Where `iptables` is the legacy variant.
const LEGACY: &str = "/run/legacy-bin";

pub(crate) const NETWORK: &str = "net";

/// The attachment of `eth0` of a container.
pub(crate) fn key(container: &str) -> Attachment {
    on(NETWORK, container)
}

pub(crate) fn on(network: &str, container: &str) -> Attachment {
    Attachment {
        network: network.parse().unwrap(),
        container: container.parse().unwrap(),
        ifname: "eth0".parse().unwrap(),
    }
}

pub(crate) fn here() -> Socket {
    Socket::open_netfilter("the lab's host").unwrap()
}

/// All that nft(8) knows, without handles.
pub(crate) fn ruleset(lab: &Lab) -> String {
    lab.host().run("nft list ruleset")
}

/// All rules of the legacy tables in use.
pub(crate) fn saved(lab: &Lab) -> String {
    printed(lab, "iptables-legacy-save") + &printed(lab, "ip6tables-legacy-save")
}

/// What a `save` program prints, without dates, and without the counters of base chains, which see
/// whatever the kernel sends by itself.
pub(crate) fn printed(lab: &Lab, program: &str) -> String {
    let text = lab.host().run(program);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let plain = |line: &str| match line.rsplit_once(" [") {
        Some((chain, _)) if line.starts_with(':') => chain.to_owned() + "\n",
        _ => line.to_owned() + "\n",
    };
    lines.map(plain).collect()
}

/// Fills the directory in which the Go plugins find the legacy variant as `iptables`.
pub(crate) fn prepare_legacy(lab: &Lab) {
    lab.needs(Feature::LegacyIptables);
    if fs::read("/proc/thread-self/net/ip_tables_names").is_err() {
        skip("only root of the machine may read which legacy tables are in use");
    }
    fs::create_dir(LEGACY).unwrap();
    for name in ["iptables", "ip6tables"] {
        symlink("/usr/sbin/xtables-legacy-multi", format!("{LEGACY}/{name}")).unwrap();
    }
}

/// The config of a Go plugin, on top of what all have.
pub(crate) fn config(network: &str, keys: &Value) -> Value {
    let mut config = json!({ "cniVersion": "1.0.0", "name": network });
    let (all, more) = (config.as_object_mut().unwrap(), keys.as_object().unwrap());
    all.extend(more.clone());
    config
}

/// The config of a bridge with addresses of both families.
pub(crate) fn bridge(keys: &Value) -> Value {
    let mut config = config(NETWORK, keys);
    config["bridge"] = json!("cni0");
    config["isGateway"] = json!(true);
    config["ipam"] = json!({
        "type": "host-local",
        "ranges": [[{ "subnet": "10.1.0.0/24" }], [{ "subnet": "fd00:1::/64" }]],
    });
    config
}

/// A call of a Go plugin whose iptables is the legacy one.
pub(crate) fn call<'lab>(
    lab: &'lab Lab,
    plugin: &str,
    verb: &str,
    c: &Container,
    config: &Value,
) -> Call<'lab> {
    let path = std::env::var("PATH").unwrap();
    lab.reference_plugin(plugin)
        .verb(verb)
        .container(c)
        .config(config)
        .env("PATH", format!("{LEGACY}:{path}"))
}

/// What DEL and CHECK are given.
pub(crate) fn with_result(config: &Value, result: &Value) -> Value {
    let mut config = config.clone();
    config["prevResult"] = result.clone();
    config
}

/// Lets nft(8) carry out `commands`.
pub(crate) fn load(lab: &Lab, commands: &str) {
    fs::write("/run/rules.nft", commands).unwrap();
    lab.host().run("nft -f /run/rules.nft");
}

/// Claims that two listings are the same, and shows where they are not.
#[track_caller]
pub(crate) fn assert_same(what: &str, expected: &str, got: &str) {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_same_lines(what, &lines(expected), &lines(got));
}
