//! What the first page of the documents shows.

use std::fs;

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{Town, Underlay, peers};
use crate::plugins::example::of_page;

const PAGE: &str = include_str!("../../docs/overlay/README.md");

#[test]
fn two_machines_of_the_first_page_have_one_network() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab, 2, Underlay::V4);
        for (number, host) in [(1, town.host(1)), (2, town.host(2))] {
            host.run(&format!("ip addr add 192.0.2.1{number}/24 dev eth0"));
        }
        let from = PAGE.find("{\"v\": 1").expect("the page has a file of peers");
        let length = PAGE[from..].find("]}]}").expect("it ends") + "]}]}".len();
        fs::write(peers("blue"), &PAGE[from..from + length]).unwrap();
        let list = include_str!("../../docs/examples/overlay.conflist");
        let list = of_page(list, include_str!("../../docs/plugins/overlay.md"));
        // As a runtime does: the plugin's object with name and version of the list.
        let mut config: Value = list["plugins"][0].clone();
        config["name"] = list["name"].clone();
        config["cniVersion"] = list["cniVersion"].clone();
        assert_eq!(config["store"]["peers"], "/etc/cais/overlay/blue.peers.json");
        config["store"]["peers"] = json!(peers("blue"));
        let a = town.resident(1, "c1", &config);
        let b = town.resident(2, "c2", &config);
        assert_eq!(a.addresses()[0].to_string(), "10.77.1.2");
        b.container.run("ping -c 1 -W 2 10.77.1.2");
    });
}
