//! Who is under test, and how a claim says that the reference does not keep it.

use std::panic::{self, AssertUnwindSafe};
use std::process::Command;
use std::sync::OnceLock;

use netns_fixtures::{Call, Container, Feature, Lab, Namespace, skip};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::plugins::dhcp::lan::{Daemon, Lan};

/// The network's name in all cases.
pub(crate) const NETWORK: &str = "net";

/// What `host-local` never takes away: cursor and lock.
pub(crate) const OF_THE_STORE: &[&str] = &["/last_reserved_ip.", "/lock ", "/var/lib/cni/cais/"];

/// What ours keeps beside leases and attachments, for the next call: not state of this one. To be
/// passed to [`Lab::assert_unchanged_but`].
pub(crate) const BOOKKEEPING: &[&str] = &[
    // Who deleted last, so that a PID 1 that does not reap is noticed.
    "/run/cais/deleter",
    // The daemon stays for a while when its last container has gone.
    "/run/cais/dns.sock",
];

/// Whether the plugins under test are ours: our banner carries `+cais`.
pub(crate) fn are_ours(lab: &Lab) -> bool {
    static OURS: OnceLock<bool> = OnceLock::new();
    // Not by `lab.plugin`: a report shall show the calls of the case alone.
    *OURS.get_or_init(|| match Command::new(lab.plugins().join("loopback")).output() {
        Ok(output) => String::from_utf8_lossy(&output.stderr).contains("+cais"),
        Err(error) => panic!("run loopback of {}: {error}", lab.plugins().display()),
    })
}

/// Makes `claim`, which the reference plugins do not keep because of `why`.
///
/// With the reference under test the claim has to fail: an excuse that is no longer needed is
/// taken out.
#[track_caller]
pub(crate) fn unlike_reference(lab: &Lab, why: &str, claim: impl FnOnce()) {
    if are_ours(lab) {
        return claim();
    }
    assert!(!holds(claim), "the reference keeps this after all, take the excuse out: it {why}");
    println!("as expected, the reference {why}");
}

/// Makes `claim` about DEL of `plugin` without a namespace, which one plugin of the reference does not
/// keep.
#[track_caller]
pub(crate) fn of_a_gone_namespace(lab: &Lab, plugin: &str, claim: impl FnOnce()) {
    match plugin {
        "sbr" => unlike_reference(lab, "makes an empty file there, and fails [E]", claim),
        _ => claim(),
    }
}

/// Makes `claim`, which ours does not keep yet. It has to fail: what is mended is claimed plainly.
#[track_caller]
#[allow(dead_code, reason = "nothing of ours is known to fail at the moment")]
pub(crate) fn not_yet(lab: &Lab, why: &str, claim: impl FnOnce()) {
    if !are_ours(lab) {
        skip("about a failure of ours");
    }
    assert!(!holds(claim), "this is mended, so claim it without `not_yet`: {why}");
    println!("not yet: {why}");
}

/// Whether `claim` holds, without the noise of one that does not.
fn holds(claim: impl FnOnce()) -> bool {
    let print = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let holds = panic::catch_unwind(AssertUnwindSafe(claim)).is_ok();
    panic::set_hook(print);
    holds
}

/// Ends a case about something that the reference does not even try.
pub(crate) fn only_ours(lab: &Lab, why: &str) {
    if !are_ours(lab) {
        skip(&format!("the reference {why}"));
    }
}

/// Ends the case where the reference under test is older than `version`. Ours knows them all.
pub(crate) fn must_know(lab: &Lab, version: &str) {
    if are_ours(lab) {
        return;
    }
    let known = lab.plugin("bridge").verb("VERSION").run().result();
    let known = known["supportedVersions"].as_array().cloned().unwrap_or_default();
    if !known.iter().any(|known| known == version) {
        skip(&format!("the reference under test does not know {version}"));
    }
}

/// Ends the case where the reference has no such plugin. Ours has them all.
pub(crate) fn must_have(lab: &Lab, plugin: &str) {
    if !are_ours(lab) && !lab.plugins().join(plugin).exists() {
        skip(&format!("the reference has no plugin {plugin}"));
    }
}

/// Ends the case where the Go plugins beside ours have no such plugin: those of Debian lack the
/// younger ones.
pub(crate) fn reference_must_have(plugin: &str) {
    if !netns_fixtures::bins::reference().join(plugin).exists() {
        skip(&format!("the Go plugins of this machine have no {plugin}"));
    }
}

/// The least configuration with which `plugin` can ADD.
pub(crate) fn least_config(plugin: &str, version: &str) -> Value {
    let mut config = json!({ "cniVersion": version, "name": NETWORK, "type": plugin });
    match plugin {
        "bridge" => config["bridge"] = json!("cni0"),
        "macvlan" => config["master"] = json!(MASTER),
        "ipvlan" => {
            config["master"] = json!(MASTER);
            config["ipam"] = json!({ "type": "host-local", "subnet": "10.1.0.0/24" });
        }
        "vlan" => {
            config["master"] = json!(MASTER);
            config["vlanId"] = json!(7);
            config["ipam"] = json!({ "type": "host-local", "subnet": "10.1.0.0/24" });
        }
        // These have to have addresses.
        "dummy" | "ptp" => {
            config["ipam"] = json!({ "type": "host-local", "subnet": "10.1.0.0/24" });
        }
        "host-device" => config["device"] = json!(DEVICE),
        "host-local" => config["ipam"] = json!({ "type": plugin, "subnet": "10.1.0.0/24" }),
        "dhcp" => config["ipam"] = json!({ "type": plugin }),
        "static" => {
            config["ipam"] = json!({ "type": plugin, "addresses": [{ "address": "10.1.0.5/24" }] });
        }
        "tuning" | "firewall" | "dnsname" | "bandwidth" | "sbr" | "vrf" => {
            config["prevResult"] = result_before(version, "/run/netns/c1");
            if plugin == "sbr" {
                // Rules alone need no interface.
                config["table"] = json!(200);
            }
            if plugin == "vrf" {
                config["vrfname"] = json!("blue");
            }
        }
        "overlay" => config["store"] = json!({ "type": "static", "peers": PEERS }),
        _ => {}
    }
    config
}

/// `config` with more keys, or other values of those that it has.
pub(crate) fn with_keys(mut config: Value, keys: &Value) -> Value {
    for (key, value) in keys.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    config
}

/// What an earlier plugin of a list may have answered, in the shape of `version`: `eth0` in
/// `sandbox`, with an address.
pub(crate) fn result_before(version: &str, sandbox: &str) -> Value {
    if version < "0.3.0" {
        return json!({ "cniVersion": version, "ip4": { "ip": "10.1.0.2/24" } });
    }
    let mut ip = json!({ "address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 0 });
    if version < "1.0.0" {
        ip["version"] = json!("4");
    }
    let interface = json!({ "name": "eth0", "mac": "02:00:00:00:00:aa", "sandbox": sandbox });
    json!({ "cniVersion": version, "interfaces": [interface], "ips": [ip] })
}

/// Gives `container` an `eth0` whose other end is on the host.
pub(crate) fn with_a_pair(lab: &Lab, container: &Container) {
    lab.wire((lab.host(), &end_of(container)), (container, "eth0"));
}

/// The host's end of that pair.
pub(crate) fn end_of(container: &Container) -> String {
    format!("end-{}", container.name())
}

/// What the plugin that made that pair may have answered.
pub(crate) fn of_a_pair(version: &str, container: &Container) -> Value {
    let mut result = result_before(version, &container.path().display().to_string());
    if let Some(interfaces) = result["interfaces"].as_array_mut() {
        interfaces.push(json!({ "name": end_of(container), "mac": "02:00:00:00:00:bb" }));
    }
    result
}

/// The link of the host that others stand on; [`furnish_host`] makes it.
pub(crate) const MASTER: &str = "lan0";

/// The file of peers of `overlay`; [`furnish_host`] writes it.
pub(crate) const PEERS: &str = "/run/net.peers.json";

/// This host, with blocks of these lengths, and another one.
pub(crate) fn peers(length4: &str, length6: &str) -> Value {
    let blocks = [format!("10.1.0.0/{length4}"), format!("fd00:1::/{length6}")];
    json!({
        "v": 1, "vni": 4103, "pools": ["10.1.0.0/16", "fd00::/16"],
        "hosts": [
            { "id": "a", "underlay": "192.0.2.1", "blocks": blocks },
            { "id": "b", "underlay": "192.0.2.2", "blocks": ["10.1.1.0/24", "fd00:2::/64"] },
        ],
    })
}

/// The link of the host that containers are given; [`furnish_host`] makes it.
pub(crate) const DEVICE: &str = "dev0";

/// What `plugin` needs of `host` beside a namespace.
pub(crate) fn furnish_host(host: &Namespace, plugin: &str) {
    if matches!(plugin, "ipvlan" | "macvlan" | "vlan") {
        host.run(&format!("ip link add dev {MASTER} type veth peer name {MASTER}-peer"));
        host.run(&format!("ip link set dev {MASTER} up"));
        host.run(&format!("ip link set dev {MASTER}-peer up"));
        // The kernel gives both what follows from their MACs.
        host.settle_link_local();
    }
    if plugin == "overlay" {
        host.run(&format!("ip link add dev {MASTER} type veth peer name {MASTER}-peer"));
        host.run(&format!("ip link set dev {MASTER} addrgenmode none up"));
        host.run(&format!("ip link set dev {MASTER}-peer addrgenmode none up"));
        host.run(&format!("ip addr add 192.0.2.1/24 dev {MASTER}"));
        std::fs::write(PEERS, peers("24", "64").to_string()).unwrap();
    }
    if plugin == "host-device" {
        host.run(&format!("ip link add dev {DEVICE} type veth peer name {DEVICE}-peer"));
        // It gives the device a carrier, and has no address of its own that would come and go.
        host.run(&format!("ip link set dev {DEVICE}-peer addrgenmode none up"));
    }
}

/// Calls the host's link as containers call theirs.
pub(crate) fn call_master_eth0(host: &Namespace) {
    host.run(&format!("ip link set dev {MASTER} down"));
    host.run(&format!("ip link set dev {MASTER} name eth0 up"));
    host.settle_link_local();
}

/// What this kernel needs for links of `plugin`, if not all kernels have it.
fn driver(plugin: &str) -> Option<Feature> {
    match plugin {
        "ipvlan" => Some(Feature::Ipvlan),
        "vlan" => Some(Feature::Vlan),
        "dummy" => Some(Feature::Dummy),
        "vrf" => Some(Feature::Vrf),
        "tap" => Some(Feature::Tun),
        _ => None,
    }
}

/// Ends the case where the kernel cannot make the links of `plugin`.
pub(crate) fn needs_driver(lab: &Lab, plugin: &str) {
    if let Some(driver) = driver(plugin) {
        lab.needs(driver);
    }
}

/// Whether `text`, of an error, says that the kernel cannot make the links of `plugin`: then the
/// plugin has done all that it can.
pub(crate) fn lacks_driver(plugin: &str, text: &str) -> bool {
    let why = match plugin {
        // The right to open it may be what is missing.
        "tap" => "open /dev/net/tun".to_owned(),
        _ => format!("this kernel has no {plugin} driver"),
    };
    driver(plugin).is_some() && text.contains(&why)
}

/// What `plugin` needs beside host and container: it lives as long as the lab.
pub(crate) fn furnish_lab(lab: &Lab, plugin: &str) {
    if plugin == "dhcp" {
        std::mem::forget(Lan::traceless(lab));
        std::mem::forget(Daemon::start(lab));
    }
}

/// What `plugin` needs of `container` beside a namespace.
pub(crate) fn furnish(container: &Container, plugin: &str) {
    if plugin == "dhcp" {
        Lan::plug_in(container);
    }
    if matches!(plugin, "tuning" | "dnsname" | "sbr" | "vrf") {
        // An interface that an earlier plugin of the list made.
        container.run(
            "ip link add dev eth0 address 02:00:00:00:00:aa type veth \
             peer name peer0 address 02:00:00:00:00:bb",
        );
    }
}

/// A call of `plugin` that lacks nothing but the verb, for a container that need not exist: for
/// cases in which the call is refused before anything is looked at.
pub(crate) fn complete_call<'lab>(lab: &'lab Lab, plugin: &str) -> Call<'lab> {
    lab.plugin(plugin)
        .env("CNI_CONTAINERID", "c1")
        .env("CNI_NETNS", "/run/netns/c1")
        .config(&least_config(plugin, USUAL))
}

/// `text` of a JSON list as strings.
pub(crate) fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The addresses of [`NETWORK`] that are leased, in order.
pub(crate) fn leases() -> Vec<String> {
    leases_in("/var/lib/cni/networks/net")
}

/// The files in a directory that are leases, by name.
pub(crate) fn leases_in(directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut leases: Vec<String> =
        names.filter(|name| name.parse::<std::net::IpAddr>().is_ok()).collect();
    leases.sort();
    leases
}
