//! Many runtimes at once: no address twice, no call that fails because of another.

use std::collections::BTreeSet;
use std::thread;

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{default_gateway, with};
use crate::battery::Family;

const MANY: usize = 64;

fn containers(lab: &Lab) -> Vec<Container> {
    (0..MANY).map(|number| lab.container(&format!("c{number}"))).collect()
}

/// Calls `verb` for all containers at once; the standard outputs, each of a call that succeeded.
fn at_once(lab: &Lab, verb: &str, containers: &[Container], config: &Value) -> Vec<String> {
    let calls: Vec<_> = containers
        .iter()
        .map(|container| lab.plugin("bridge").container(container).config(config).verb(verb))
        .collect();
    thread::scope(|scope| {
        let running: Vec<_> = calls.iter().map(|call| scope.spawn(|| call.run())).collect();
        let outcomes = running.into_iter().map(|call| call.join().unwrap());
        outcomes.map(|outcome| outcome.succeeded().stdout.clone()).collect()
    })
}

every_family! {
    fn sixty_four_adds_at_once_give_sixty_four_addresses(lab, family) {
        let containers = containers(lab);
        // Also a race for the bridge and for its address.
        let config = default_gateway(family);
        let results = at_once(lab, "ADD", &containers, &config);
        let addresses: Vec<String> = results
            .iter()
            .map(|result| serde_json::from_str::<Value>(result).unwrap())
            .flat_map(|result| result["ips"].as_array().cloned().unwrap_or_default())
            .map(|ip| ip["address"].to_string())
            .collect();
        let distinct: BTreeSet<&String> = addresses.iter().collect();
        assert_eq!(addresses.len(), MANY * family.subnets().len());
        assert_eq!(distinct.len(), addresses.len(), "{addresses:?}");
        assert_eq!(lab.host().addresses("cni0").len(), family.subnets().len());
        lab.host().settle();
        containers[0].assert_reaches(&containers[MANY - 1]);
        containers[MANY - 1].assert_reaches(lab.host());

        at_once(lab, "DEL", &containers, &config);
        assert_eq!(lab.host().link_names(), ["cni0"]);
        assert!(containers.iter().all(|container| container.link_names().is_empty()));
        let leases = std::fs::read_dir("/var/lib/cni/networks/net").unwrap().flatten();
        let names = leases.map(|lease| lease.file_name().to_string_lossy().into_owned());
        let left: Vec<String> =
            names.filter(|name| name.starts_with("10.") || name.starts_with("fd")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn add_and_del_at_once_do_not_disturb_each_other() {
    lab_with_plugins(|lab| {
        let containers = containers(lab);
        let config = with(default_gateway(Family::V4), "mtu", json!(1400));
        let (first, second) = containers.split_at(MANY / 2);
        at_once(lab, "ADD", first, &config);
        thread::scope(|scope| {
            let coming = scope.spawn(|| at_once(lab, "ADD", second, &config));
            at_once(lab, "DEL", first, &config);
            coming.join().unwrap();
        });
        assert!(first.iter().all(|container| container.link_names().is_empty()));
        assert!(second.iter().all(|container| container.link_names() == ["eth0"]));
        assert_eq!(lab.host().link_names().len(), 1 + second.len());
    });
}
