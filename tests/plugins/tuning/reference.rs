//! The same configuration on the Go `tuning` and on ours makes the same, but for the differences that
//! stand in this file; and what one made, the other checks and puts back.

use std::fs;

use netns_fixtures::{Call, Container, Feature, Lab, lab_with_plugins, unified};
use serde_json::{Value, json};

use super::{BACKUP, attributes, config, container};
use crate::battery::USUAL;
use crate::under_test::{are_ours, furnish, only_ours};

/// A line that only one of both has, known by a word, and why that is right.
type Difference = (&'static str, &'static str);

const EMPTY_DNS: Difference =
    ("\"dns\": {}", "1.1.1 prints an empty object where later releases leave it out");
const MAC_IN_LOWER_CASE: Difference =
    ("\"mac\": ", "as the kernel and all other plugins write it, so that CHECK can compare it");
const SYSCTL_AFTER_DEL: Difference =
    ("after DEL: sysctl ", "the reference leaves sysctls as they are");

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Reference,
    UnderTest,
}

use By::{Reference, UnderTest};

fn call<'lab>(lab: &'lab Lab, by: By, verb: &str, c: &Container, config: &Value) -> Call<'lab> {
    let call = match by {
        Reference => lab.reference_plugin("tuning"),
        UnderTest => lab.plugin("tuning"),
    };
    call.verb(verb).container(c).config(config)
}

/// All that a call may have changed, as lines.
fn lines(c: &Container, moment: &str) -> Vec<String> {
    let mut lines = vec![format!("{moment}: link {}", attributes(c))];
    for key in ["ipv4/conf/eth0/arp_filter", "ipv4/conf/eth0/rp_filter", "ipv4/ip_local_port_range"]
    {
        lines.push(format!("{moment}: sysctl {key} = {:?}", c.sysctl(key)));
    }
    let backup = fs::read_to_string(BACKUP);
    lines.push(format!("{moment}: backup {:?}", backup.ok()));
    lines
}

/// What ADD, CHECK and DEL of one of them make of a fresh container.
fn made(lab: &Lab, by: By, config: &Value) -> Vec<String> {
    let c = lab.container("c1");
    furnish(&c, "tuning");
    let mut config = config.clone();
    let result = call(lab, by, "ADD", &c, &config).run().result();
    let text = serde_json::to_string_pretty(&result).unwrap();
    let mut made: Vec<String> =
        text.lines().map(|line| line.trim_end_matches(',').to_owned()).collect();
    made.extend(lines(&c, "after ADD"));
    config["prevResult"] = result;
    call(lab, by, "DEL", &c, &config).run().is_silent();
    made.extend(lines(&c, "after DEL"));
    c.remove();
    made
}

#[track_caller]
fn assert_equal(lab: &Lab, members: &Value, differences: &[Difference]) {
    lab.needs(Feature::ReferencePlugins);
    let config = config(members);
    let (theirs, ours) = (made(lab, Reference, &config), made(lab, UnderTest, &config));
    // The reference beside itself shows that nothing random is compared.
    let differences = if are_ours(lab) { differences } else { &[] };
    let difference = unified(&theirs, &ours);
    let changed = |line: &&str| line.starts_with(['-', '+']);
    let is_excused = |line: &&str| differences.iter().any(|(word, _)| line.contains(word));
    let unexcused: Vec<&str> =
        difference.lines().filter(changed).filter(|line| !is_excused(line)).collect();
    assert!(unexcused.is_empty(), "`-` the reference, `+` ours:\n{}", unexcused.join("\n"));
    for (word, why) in differences {
        let is_needed = difference.lines().filter(changed).any(|line| line.contains(word));
        assert!(is_needed, "no difference in `{word}` ({why}) any more:\n{difference}");
    }
}

#[test]
fn no_key_is_equal() {
    lab_with_plugins(|lab| assert_equal(lab, &json!({}), &[EMPTY_DNS]));
}

#[test]
fn all_attributes_are_equal_to_the_bytes_of_the_backup_file() {
    lab_with_plugins(|lab| {
        let members = json!({
            "mac": "02:00:00:00:00:01", "mtu": 1400, "promisc": true, "allmulti": true,
        });
        assert_equal(lab, &members, &[EMPTY_DNS]);
    });
}

#[test]
fn an_upper_case_mac_is_equal_but_for_its_letters() {
    lab_with_plugins(|lab| {
        let members = json!({ "mac": "C2:11:22:33:44:5E" });
        assert_equal(lab, &members, &[EMPTY_DNS, MAC_IN_LOWER_CASE]);
    });
}

#[test]
fn sysctls_are_equal_until_del() {
    lab_with_plugins(|lab| {
        let members = json!({ "sysctl": {
            "net.ipv4.conf.IFNAME.arp_filter": "1", "net/ipv4/conf/eth0/rp_filter": "2",
            "net.ipv4.ip_local_port_range": "20000 60999",
        } });
        assert_equal(lab, &members, &[EMPTY_DNS, SYSCTL_AFTER_DEL]);
    });
}

#[test]
fn args_of_the_caller_are_equal() {
    lab_with_plugins(|lab| {
        let members = json!({
            "mac": "02:00:00:00:00:01", "mtu": 1400, "promisc": true,
            "sysctl": { "net.ipv4.conf.eth0.arp_filter": "0" },
            "runtimeConfig": { "mac": "02:00:00:00:00:02" },
            "args": { "cni": {
                "mac": "02:00:00:00:00:03", "mtu": 1300, "promisc": false, "allmulti": true,
                "sysctl": { "net.ipv4.conf.eth0.arp_filter": "1" },
            } },
        });
        assert_equal(lab, &members, &[EMPTY_DNS, SYSCTL_AFTER_DEL]);
    });
}

/// Each pair of who adds and who comes after.
mod what_one_changed_the_other_checks_and_puts_back {
    use super::*;

    fn case(lab: &Lab, (maker, other): (By, By)) {
        lab.needs(Feature::ReferencePlugins);
        only_ours(lab, "is no pair with itself");
        let c = container(lab, "c1");
        let before = attributes(&c);
        let mut config = config(&json!({
            "mac": "02:00:00:00:00:01", "mtu": 1400, "promisc": true, "allmulti": true,
            "sysctl": { "net.ipv4.conf.eth0.arp_filter": "1" },
        }));
        assert_eq!(config["cniVersion"], USUAL);
        config["prevResult"] = call(lab, maker, "ADD", &c, &config).run().result();
        assert_ne!(attributes(&c), before);
        call(lab, other, "CHECK", &c, &config).run().is_silent();
        call(lab, other, "DEL", &c, &config).run().is_silent();
        assert_eq!(attributes(&c), before);
        assert!(!std::path::Path::new(BACKUP).exists());
        // The one that made it may be called as well.
        call(lab, maker, "DEL", &c, &config).run().is_silent();
        assert_eq!(attributes(&c), before);
    }

    stamp!(lab_with_plugins, case,
        ours_by_the_reference: (UnderTest, Reference), the_references_by_ours: (Reference, UnderTest));
}
