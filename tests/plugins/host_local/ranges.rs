//! Which addresses there are, in which order they are given.

use netns_fixtures::{Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{add, addresses, call, config, del, leases, one_range, subnet};
use crate::under_test::{are_ours, unlike_reference};

/// The next `count` addresses of a pool, each for another container.
fn next(lab: &Lab, count: usize, config: &Value) -> Vec<String> {
    let names = lab.namespaces().len();
    let containers: Vec<_> =
        (0..count).map(|number| lab.container(&format!("c{}", names + number))).collect();
    containers.iter().flat_map(|container| add(lab, container, config)).collect()
}

/// ADD must be refused, with these words, and leave no lease.
#[track_caller]
fn refused(lab: &Lab, config: &Value, words: &[&str]) {
    let c = lab.container(&format!("c{}", lab.namespaces().len()));
    call(lab, &c, config, "ADD").error().says(words);
    assert_eq!(leases(), [""; 0]);
}

#[test]
fn addresses_are_given_in_order_without_network_gateway_and_broadcast() {
    lab_with_plugins(|lab| {
        let expected = ["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6"];
        assert_eq!(next(lab, 5, &subnet("10.1.0.0/29")), expected);
    });
}

#[test]
fn a_full_pool_is_an_error_that_says_so() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/30");
        next(lab, 1, &config);
        let c = lab.container("late");
        let error = call(lab, &c, &config, "ADD").error();
        error.says(&["no IP addresses available in range set"]);
        if are_ours(lab) {
            assert!([11, 100].contains(&error.code), "{}", error.object);
        }
        assert_eq!(leases(), ["10.1.0.2"]);
    });
}

#[test]
fn the_last_address_of_ipv6_is_given_as_well() {
    lab_with_plugins(|lab| {
        assert_eq!(next(lab, 2, &subnet("fd00:1::/126")), ["fd00:1::2", "fd00:1::3"]);
    });
}

#[test]
fn an_address_that_was_freed_is_not_the_next_one() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/29");
        let (a, b) = (lab.container("a"), lab.container("b"));
        assert_eq!(add(lab, &a, &config), ["10.1.0.2"]);
        del(lab, &a, &config);
        assert_eq!(add(lab, &b, &config), ["10.1.0.3"]);
        // Only when the others are used up.
        assert_eq!(next(lab, 4, &config), ["10.1.0.4", "10.1.0.5", "10.1.0.6", "10.1.0.2"]);
    });
}

#[test]
fn a_range_has_a_start_and_an_end() {
    lab_with_plugins(|lab| {
        let range = json!({
            "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.20", "rangeEnd": "10.1.0.22",
        });
        let config = one_range(&range);
        assert_eq!(next(lab, 3, &config), ["10.1.0.20", "10.1.0.21", "10.1.0.22"]);
        call(lab, &lab.container("late"), &config, "ADD").error();
    });
}

#[test]
fn network_and_broadcast_address_are_given_when_asked_for() {
    lab_with_plugins(|lab| {
        let range = json!({
            "subnet": "10.1.0.0/29", "rangeStart": "10.1.0.0", "rangeEnd": "10.1.0.7",
            "gateway": "10.1.0.4",
        });
        let expected =
            ["10.1.0.0", "10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.5", "10.1.0.6", "10.1.0.7"];
        let c = lab.container("probe");
        let outcome = call(lab, &c, &one_range(&range), "ADD");
        // 1.1.1 does not take the network address; later ones do, and so do we.
        if !outcome.status.success() {
            assert!(!are_ours(lab), "{outcome}");
            return;
        }
        del(lab, &c, &one_range(&range));
        std::fs::remove_dir_all(super::DIRECTORY).unwrap();
        assert_eq!(next(lab, 7, &one_range(&range)), expected);
    });
}

#[test]
fn the_gateway_is_never_given_and_always_told() {
    lab_with_plugins(|lab| {
        let range = json!({ "subnet": "10.1.0.0/29", "gateway": "10.1.0.3" });
        let config = one_range(&range);
        let c = lab.container("c");
        let result = call(lab, &c, &config, "ADD").result();
        assert_eq!(result["ips"][0]["gateway"], "10.1.0.3");
        assert_eq!(result["ips"][0]["address"], "10.1.0.1/29");
        assert_eq!(next(lab, 4, &config), ["10.1.0.2", "10.1.0.4", "10.1.0.5", "10.1.0.6"]);
    });
}

#[test]
fn a_gateway_may_lie_outside_of_the_subnet() {
    lab_with_plugins(|lab| {
        let config = one_range(&json!({ "subnet": "10.1.0.0/29", "gateway": "10.9.9.9" }));
        let result = call(lab, &lab.container("c"), &config, "ADD").result();
        assert_eq!(result["ips"][0]["gateway"], "10.9.9.9");
        assert_eq!(result["ips"][0]["address"], "10.1.0.1/29");
    });
}

#[test]
fn ranges_of_a_set_are_one_pool() {
    lab_with_plugins(|lab| {
        let config = config(json!({ "ranges": [[
            { "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.11" },
            { "subnet": "10.2.0.0/24", "rangeStart": "10.2.0.10", "rangeEnd": "10.2.0.11" },
        ]]}));
        let expected = ["10.1.0.10", "10.1.0.11", "10.2.0.10", "10.2.0.11"];
        assert_eq!(next(lab, 4, &config), expected);
        let c = lab.container("late");
        call(lab, &c, &config, "ADD").error().says(&["no IP addresses available in range set"]);
    });
}

#[test]
fn each_set_gives_an_address() {
    lab_with_plugins(|lab| {
        let config = config(json!({ "ranges": [
            [{ "subnet": "10.1.0.0/24" }], [{ "subnet": "fd00:1::/64" }], [{ "subnet": "10.2.0.0/24" }],
        ]}));
        let c = lab.container("c");
        assert_eq!(add(lab, &c, &config), ["10.1.0.2", "fd00:1::2", "10.2.0.2"]);
        assert_eq!(leases(), ["10.1.0.2", "10.2.0.2", "fd00:1::2"]);
        del(lab, &c, &config);
        assert_eq!(leases(), [""; 0]);
    });
}

#[test]
fn when_one_set_is_full_the_others_take_nothing() {
    lab_with_plugins(|lab| {
        let config = config(json!({ "ranges": [
            [{ "subnet": "10.1.0.0/24" }],
            [{ "subnet": "10.2.0.0/24", "rangeStart": "10.2.0.9", "rangeEnd": "10.2.0.9" }],
        ]}));
        add(lab, &lab.container("a"), &config);
        let before = leases();
        call(lab, &lab.container("b"), &config, "ADD").error();
        assert_eq!(leases(), before);
    });
}

#[test]
fn the_old_way_of_writing_a_range_is_the_first_set() {
    lab_with_plugins(|lab| {
        let config = config(json!({
            "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.20",
            "gateway": "10.1.0.254", "ranges": [[{ "subnet": "fd00:1::/64" }]],
        }));
        let result = call(lab, &lab.container("c"), &config, "ADD").result();
        assert_eq!(addresses(&result), ["10.1.0.10", "fd00:1::2"]);
        assert_eq!(result["ips"][0]["gateway"], "10.1.0.254");
    });
}

#[test]
fn a_prefix_length_is_told_with_each_address() {
    lab_with_plugins(|lab| {
        let config = config(json!({ "ranges": [
            [{ "subnet": "10.1.0.0/20" }], [{ "subnet": "fd00:1::/56" }],
        ]}));
        let result = call(lab, &lab.container("c"), &config, "ADD").result();
        assert_eq!(result["ips"][0]["address"], "10.1.0.2/20");
        assert_eq!(result["ips"][1]["address"], "fd00:1::2/56");
    });
}

#[test]
fn a_pool_as_large_as_ipv6_can_have_is_no_trouble() {
    lab_with_plugins(|lab| {
        assert_eq!(next(lab, 2, &subnet("fd00::/8")), ["fd00::2", "fd00::3"]);
        let far = one_range(&json!({
            "subnet": "fd01::/16", "rangeStart": "fd01:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
        }));
        let expected =
            ["fd01:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "fd01:ffff:ffff:ffff:ffff:ffff:ffff:ffff"];
        assert_eq!(next(lab, 2, &far), expected);
    });
}

#[test]
fn subnets_without_room_are_refused() {
    lab_with_plugins(|lab| {
        for odd in ["10.1.0.0/31", "10.1.0.0/32", "fd00:1::/127", "fd00:1::/128"] {
            refused(lab, &subnet(odd), &["too small"]);
        }
    });
}

#[test]
fn what_is_no_subnet_is_refused() {
    lab_with_plugins(|lab| {
        for odd in ["10.1.0.1/24", "fd00:1::1/64"] {
            refused(lab, &subnet(odd), &["host bits set"]);
        }
        for odd in ["10.1.0.0", "nonsense", "10.1.0.0/33", "10.1.0/24", ""] {
            refused(lab, &subnet(odd), &[]);
        }
    });
}

#[test]
fn a_range_outside_of_its_subnet_is_refused() {
    lab_with_plugins(|lab| {
        for (key, address) in [
            ("rangeStart", "10.2.0.1"),
            ("rangeEnd", "10.2.0.1"),
            ("rangeStart", "fd00::1"),
            ("rangeEnd", "nonsense"),
        ] {
            let mut range = json!({ "subnet": "10.1.0.0/24" });
            range[key] = json!(address);
            refused(lab, &one_range(&range), &[address]);
        }
    });
}

#[test]
fn a_range_that_ends_before_it_starts_is_refused() {
    lab_with_plugins(|lab| {
        let range = json!({
            "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.20", "rangeEnd": "10.1.0.19",
        });
        unlike_reference(lab, "takes it, and finds no address in it (1.1.1)", || {
            let c = lab.container("c");
            let error = call(lab, &c, &one_range(&range), "ADD").error();
            error.says(&["10.1.0.20", "10.1.0.19"]);
            assert!(!error.text().contains("no IP addresses available"));
        });
    });
}

#[test]
fn sets_that_mix_families_overlap_or_are_empty_are_refused() {
    lab_with_plugins(|lab| {
        for (ranges, word) in [
            (json!([[{ "subnet": "10.1.0.0/24" }, { "subnet": "fd00:1::/64" }]]), "mixed"),
            (json!([[{ "subnet": "10.1.0.0/24" }, { "subnet": "10.1.0.0/25" }]]), "overlap"),
            (json!([[{ "subnet": "10.1.0.0/24" }], [{ "subnet": "10.1.0.128/25" }]]), "overlap"),
            (json!([[]]), "empty"),
        ] {
            refused(lab, &config(json!({ "ranges": ranges })), &[word]);
        }
    });
}

#[test]
fn a_pool_without_ranges_is_refused() {
    lab_with_plugins(|lab| {
        for ipam in [json!({}), json!({ "ranges": [] }), json!({ "ranges": null })] {
            refused(lab, &config(ipam), &["no IP ranges specified"]);
        }
        let mut none = config(json!({}));
        none["ipam"] = Value::Null;
        refused(lab, &none, &["ipam"]);
    });
}

#[test]
fn ranges_that_touch_do_not_overlap() {
    lab_with_plugins(|lab| {
        let config = config(json!({ "ranges": [[
            { "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.10" },
            { "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.11", "rangeEnd": "10.1.0.11" },
        ]]}));
        assert_eq!(next(lab, 2, &config), ["10.1.0.10", "10.1.0.11"]);
    });
}

#[test]
fn the_runtimes_ranges_come_first() {
    lab_with_plugins(|lab| {
        let mut config = subnet("10.1.0.0/24");
        config["runtimeConfig"] = json!({ "ipRanges": [[{ "subnet": "10.9.0.0/24" }]] });
        let c = lab.container("c");
        assert_eq!(add(lab, &c, &config), ["10.9.0.2", "10.1.0.2"]);
        // Cursors are numbered by the place of their set.
        let cursor = |number: u8| {
            std::fs::read_to_string(format!("{}/last_reserved_ip.{number}", super::DIRECTORY))
        };
        assert_eq!(cursor(0).unwrap(), "10.9.0.2");
        assert_eq!(cursor(1).unwrap(), "10.1.0.2");
    });
}

#[test]
fn the_runtimes_ranges_are_enough() {
    lab_with_plugins(|lab| {
        let mut config = config(json!({}));
        config["runtimeConfig"] = json!({ "ipRanges": [[{ "subnet": "10.9.0.0/24" }]] });
        assert_eq!(add(lab, &lab.container("c"), &config), ["10.9.0.2"]);
    });
}

#[test]
fn routes_are_passed_on_as_they_are() {
    lab_with_plugins(|lab| {
        let mut config = subnet("10.1.0.0/24");
        config["ipam"]["routes"] = json!([
            { "dst": "0.0.0.0/0" },
            { "dst": "10.8.1.2/16", "gw": "10.1.0.9" },
            { "dst": "::/0", "gw": "fd00::1" },
        ]);
        let result = call(lab, &lab.container("c"), &config, "ADD").result();
        assert_eq!(result["routes"], config["ipam"]["routes"], "host bits stay");
    });
}

#[test]
fn dns_is_read_from_a_file() {
    lab_with_plugins(|lab| {
        let text = "# c\nnameserver 10.1.0.53\n; c\nnameserver fd00::53 # c\ndomain old.test\n\
            domain d.test\nsearch a.test b.test\noptions ndots:5\noptions timeout:1 rotate\nsortlist x\n";
        std::fs::write("/run/resolv.conf", text).unwrap();
        let mut config = subnet("10.1.0.0/24");
        config["ipam"]["resolvConf"] = json!("/run/resolv.conf");
        let result = call(lab, &lab.container("c"), &config, "ADD").result();
        let expected = json!({
            "nameservers": ["10.1.0.53", "fd00::53"], "domain": "d.test",
            "search": ["a.test", "b.test"], "options": ["ndots:5", "timeout:1", "rotate"],
        });
        assert_eq!(result["dns"], expected);
    });
}

#[test]
fn a_dns_file_that_is_not_there_is_an_error_and_takes_no_address() {
    lab_with_plugins(|lab| {
        let mut config = subnet("10.1.0.0/24");
        config["ipam"]["resolvConf"] = json!("/run/nowhere");
        refused(lab, &config, &["/run/nowhere"]);
    });
}

#[test]
fn nerdctls_key_inside_a_range_is_ignored() {
    lab_with_plugins(|lab| {
        let range = json!({ "subnet": "10.1.0.0/24", "ipRange": "10.1.0.128/25" });
        assert_eq!(add(lab, &lab.container("c"), &one_range(&range)), ["10.1.0.2"]);
    });
}
