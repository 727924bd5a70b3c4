//! An interface that is called as one of the host is: kernels before 6.15 make it under another name
//! only, and a call may be killed before it gives it its own.

use netns_fixtures::{Container, Lab};
use serde_json::{Value, json};

use super::{attached, pool, with};
use crate::battery::Family;
use crate::under_test::{MASTER, call_master_eth0, leases, only_ours};

/// What `eth0` of the container `c1` is called in between. All versions must call it so, or DEL
/// would not find what another one left.
const INTERIM: &str = "veth543207f0";

/// Leaves in the container what a call leaves that is killed in between.
fn left(lab: &Lab, c: &Container, plugin: &str) {
    let id = if plugin == "vlan" { "id 7" } else { "" };
    let (host, netns) = (lab.host(), c.path());
    host.run(&format!("ip link add link {MASTER} dev {INTERIM} type {plugin} {id}"));
    host.run(&format!("ip link set dev {INTERIM} netns {}", netns.display()));
}

/// A container with nothing but that link and a record.
fn killed(lab: &Lab, config: &Value) -> Container {
    only_ours(lab, "leaves its interim link (1.1.1)");
    let c = attached(lab, "c1", config);
    c.run("ip link del dev eth0");
    left(lab, &c, config["type"].as_str().unwrap());
    c
}

every_sublink! {
    fn an_eth0_is_made_over_the_hosts_eth0(lab, plugin) {
        call_master_eth0(lab.host());
        let config = with(pool(plugin, Family::V4), "master", json!("eth0"));
        let c = attached(lab, "c1", &config);
        assert_eq!(c.addresses("eth0"), ["10.1.0.2/24"]);
        assert_eq!(c.link_names(), ["eth0"]);
        lab.del(plugin, &c, &config);
        assert_eq!(c.link_names(), [""; 0]);
    }

    fn del_takes_a_link_that_had_no_name_yet(lab, plugin) {
        let config = pool(plugin, Family::V4);
        let c = killed(lab, &config);
        lab.del(plugin, &c, &config);
        assert_eq!(c.link_names(), [""; 0]);
        assert_eq!(leases(), [""; 0]);
    }

    fn del_without_a_namespace_takes_a_link_that_had_no_name_yet(lab, plugin) {
        let config = pool(plugin, Family::V4);
        let c = killed(lab, &config);
        let call = lab.plugin(plugin).container(&c).config(&config).verb("DEL");
        call.env("CNI_NETNS", "").run().is_silent();
        assert_eq!(c.link_names(), [""; 0]);
    }

    fn gc_takes_a_link_that_had_no_name_yet(lab, plugin) {
        let config = with(pool(plugin, Family::V4), "cniVersion", json!("1.1.0"));
        let c = killed(lab, &config);
        let config = with(config, "cni.dev/valid-attachments", json!([]));
        lab.plugin(plugin).config(&config).verb("GC").run().is_silent();
        assert_eq!(c.link_names(), [""; 0]);
        assert_eq!(leases(), [""; 0]);
    }
}
