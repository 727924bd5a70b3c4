//! An address that somebody asks for.

use netns_fixtures::{Container, Lab, Outcome, lab_with_plugins};
use serde_json::{Value, json};

use super::{add, addresses, call, config, del, leases, one_range, subnet};
use crate::under_test::unlike_reference;

fn with_args(lab: &Lab, c: &Container, config: &Value, args: &str) -> Outcome {
    lab.plugin("host-local").container(c).config(config).args(args).verb("ADD").run()
}

/// The same request in each of the three places.
fn in_each_place(config: &Value, address: &str) -> [(Value, String); 3] {
    let mut by_args = config.clone();
    by_args["args"] = json!({ "cni": { "ips": [address] } });
    let mut by_runtime = config.clone();
    by_runtime["runtimeConfig"] = json!({ "ips": [address] });
    [
        (config.clone(), format!("IP={address}")),
        (by_args, String::new()),
        (by_runtime, String::new()),
    ]
}

#[test]
fn it_is_given_with_the_length_of_the_subnet() {
    lab_with_plugins(|lab| {
        for asked in ["10.1.0.50", "10.1.0.50/24", "10.1.0.50/8"] {
            for (config, args) in in_each_place(&subnet("10.1.0.0/24"), asked) {
                let c = lab.container("c");
                let result = with_args(lab, &c, &config, &args).result();
                assert_eq!(result["ips"][0]["address"], "10.1.0.50/24", "{config} {args}");
                del(lab, &c, &config);
                c.remove();
            }
        }
    });
}

#[test]
fn it_moves_the_cursor_as_any_other() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/24");
        with_args(lab, &lab.container("a"), &config, "IP=10.1.0.50").succeeded();
        assert_eq!(add(lab, &lab.container("b"), &config), ["10.1.0.51"]);
    });
}

#[test]
fn one_that_is_taken_is_refused() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/24");
        with_args(lab, &lab.container("a"), &config, "IP=10.1.0.50").succeeded();
        let error = with_args(lab, &lab.container("b"), &config, "IP=10.1.0.50").error();
        error.says(&["10.1.0.50"]);
        unlike_reference(lab, "does not say who has it", || {
            error.says(&["container `a`"]);
        });
        assert_eq!(leases(), ["10.1.0.50"]);
    });
}

#[test]
fn the_gateway_is_refused() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/24");
        let error = with_args(lab, &lab.container("a"), &config, "IP=10.1.0.1").error();
        error.says(&["10.1.0.1", "gateway"]);
        assert_eq!(leases(), [""; 0]);
    });
}

#[test]
fn one_outside_of_all_ranges_is_refused_and_nothing_is_taken() {
    lab_with_plugins(|lab| {
        let range = json!({ "subnet": "10.1.0.0/24", "rangeEnd": "10.1.0.99" });
        for asked in ["10.1.0.100", "10.2.0.5", "fd00::5"] {
            for (config, args) in in_each_place(&one_range(&range), asked) {
                let c = lab.container("c");
                with_args(lab, &c, &config, &args).error().says(&[asked]);
                assert_eq!(leases(), [""; 0]);
                c.remove();
            }
        }
    });
}

#[test]
fn what_is_no_address_is_refused() {
    lab_with_plugins(|lab| {
        for odd in ["nonsense", "10.1.0", "10.1.0.5/33", "10.1.0.5/x", "10.1.0.5,10.1.0.6"] {
            for (config, args) in in_each_place(&subnet("10.1.0.0/24"), odd) {
                let c = lab.container("c");
                with_args(lab, &c, &config, &args).error();
                assert_eq!(leases(), [""; 0], "{odd}");
                c.remove();
            }
        }
    });
}

#[test]
fn requests_of_all_places_count_each_for_one_set() {
    lab_with_plugins(|lab| {
        let mut config = config(json!({ "ranges": [
            [{ "subnet": "10.1.0.0/24" }], [{ "subnet": "10.2.0.0/24" }], [{ "subnet": "fd00:1::/64" }],
        ]}));
        config["args"] = json!({ "cni": { "ips": ["10.2.0.60/24"] } });
        config["runtimeConfig"] = json!({ "ips": ["fd00:1::70"] });
        let result = with_args(lab, &lab.container("c"), &config, "IP=10.1.0.50").result();
        assert_eq!(addresses(&result), ["10.1.0.50", "10.2.0.60", "fd00:1::70"]);
    });
}

#[test]
fn sets_that_nobody_asked_about_give_their_next_address() {
    lab_with_plugins(|lab| {
        let config = config(json!({ "ranges": [
            [{ "subnet": "10.1.0.0/24" }], [{ "subnet": "fd00:1::/64" }],
        ]}));
        let result = with_args(lab, &lab.container("c"), &config, "IP=fd00:1::70").result();
        assert_eq!(addresses(&result), ["10.1.0.2", "fd00:1::70"]);
    });
}

#[test]
fn two_requests_for_one_set_are_one_too_many() {
    lab_with_plugins(|lab| {
        let mut config = subnet("10.1.0.0/24");
        config["runtimeConfig"] = json!({ "ips": ["10.1.0.50", "10.1.0.60"] });
        call(lab, &lab.container("c"), &config, "ADD").error();
        assert_eq!(leases(), [""; 0]);
    });
}

#[test]
fn an_ipv4_address_in_ipv6_clothes_is_an_ipv4_address() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/24");
        let result = with_args(lab, &lab.container("c"), &config, "IP=::ffff:10.1.0.50").result();
        assert_eq!(result["ips"][0]["address"], "10.1.0.50/24");
    });
}

/// `IP` says which, so that is what the container gets though it has one already.
#[test]
fn a_second_add_that_asks_for_an_address_gets_it() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/24");
        let c = lab.container("c");
        add(lab, &c, &config);
        let result = with_args(lab, &c, &config, "IP=10.1.0.50").result();
        assert_eq!(addresses(&result), ["10.1.0.50"]);
        del(lab, &c, &config);
        assert_eq!(leases(), [""; 0], "DEL frees all that the container has");
    });
}
