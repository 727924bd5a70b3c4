//! The same on a host that never had the network: ADD makes the bridge as well, and directories.
//!
//! These stay after any ADD and DEL. So after a killed ADD and a DEL there may be some of them, and
//! nothing else; and after the next ADD and DEL there are all of them, whatever was half made.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use netns_fixtures::{Container, Feature, Lab, lab_with_plugins, unified};

use super::points::points_of;
use super::scene::{HINTS, Scene};
use crate::under_test::only_ours;

/// The bridge may be there without its addresses and switches.
const HALF_MADE: &str = "cni0";

/// The route of the bridge to its own address comes when duplicate detection is over.
const LATE: &str = r#"route {"dev":"cni0","dst":"fd00:1::1","#;

#[test]
fn a_killed_first_add_of_a_bridge_is_undone_by_del() {
    lab_with_plugins(|lab| {
        only_ours(lab, "leaks whatever it was about to undo");
        lab.needs(Feature::Strace);
        let scene = Scene::bridge();
        let container = lab.container("c1");
        let before = lines(lab);
        let usual = after_add_and_del(lab, &scene, &container);
        forget_the_network(lab);
        let points = points_of(&scene.call(lab, "ADD", &container));
        scene.call(lab, "DEL", &container).run().is_silent();
        for point in &points {
            forget_the_network(lab);
            let _ = point.kill(&scene.call(lab, "ADD", &container));
            scene.call(lab, "DEL", &container).run().is_silent();
            let left: BTreeSet<String> = lines(lab).into_iter().collect();
            let expected = |line: &&String| {
                before.contains(line) || usual.contains(line) || line.contains(HALF_MADE)
            };
            let unexpected: Vec<&String> = left.iter().filter(|line| !expected(line)).collect();
            assert!(unexpected.is_empty(), "left by a killed ADD and a DEL: {unexpected:#?}");
            let difference = unified(&usual, &after_add_and_del(lab, &scene, &container));
            assert!(difference.is_empty(), "`-` is left usually, `+` is left now\n{difference}");
            scene.assert_nothing_is_held(lab);
        }
        println!("{} points", points.len());
    });
}

/// What is left when everything goes well.
fn after_add_and_del(lab: &Lab, scene: &Scene, container: &Container) -> Vec<String> {
    scene.call(lab, "ADD", container).run().succeeded();
    scene.call(lab, "DEL", container).run().is_silent();
    lines(lab)
}

/// Makes the host one that never had the network.
fn forget_the_network(lab: &Lab) {
    let host = lab.host();
    if host.link("cni0").is_some() {
        host.run("ip link del dev cni0");
    }
    for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        host.set_sysctl(switch, "0");
    }
    for directory in ["/run/cais", "/var/lib/cni"] {
        if Path::new(directory).exists() {
            fs::remove_dir_all(directory).unwrap_or_else(|error| panic!("{directory}: {error}"));
        }
    }
}

/// The lab without hints, and with no MAC addresses, which are random.
fn lines(lab: &Lab) -> Vec<String> {
    let excused = [HINTS, &[LATE]].concat();
    let snapshot = lab.snapshot();
    let lasting =
        snapshot.lines().iter().filter(|line| !excused.iter().any(|word| line.contains(word)));
    lasting.map(|line| without_mac(line)).collect()
}

fn without_mac(line: &str) -> String {
    match line.split_once(" address=") {
        Some((start, rest)) => {
            let end = rest.split_once(' ').map_or("", |(_, end)| end);
            format!("{start} {end}")
        }
        None => line.to_owned(),
    }
}
