//! CHECK finds what keeps a container from being found or from asking, and nothing else.

use std::fs;

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{add_with, eth0, named, named_with};
use crate::battery::Family;

#[test]
fn names_that_a_runtime_leaves_out_on_check_are_no_difference() {
    lab_with_plugins(|lab| {
        let chain = named(lab, Family::V4);
        let c = lab.container("c1");
        let result = add_with(&chain, &c, "IgnoreUnknown=1;K8S_POD_NAME=web");
        let check = |args| chain.call(1, "CHECK", eth0(&c), Some(&result)).args(args).run();
        check("").is_silent();
        check("K8S_POD_NAME=web").is_silent();
        let error = check("K8S_POD_NAME=db").refused(101);
        error.says(&["net/c1/eth0 is called web, c1, and not db"]);
        chain.del(eth0(&c));
    });
}

#[test]
fn a_record_that_is_gone_or_has_other_addresses_is_a_difference() {
    lab_with_plugins(|lab| {
        let chain = named(lab, Family::V4);
        let c = lab.container("c1");
        let mut result = chain.add(eth0(&c));
        let check = |result: &Value| chain.call(1, "CHECK", eth0(&c), Some(result)).run();
        check(&result).is_silent();
        result["ips"][0]["address"] = json!("10.1.0.77/24");
        let error = check(&result).refused(101);
        error.says(&["stand for 10.1.0.2/24, not for 10.1.0.77/24"]);
        fs::remove_file(format!("/run/cais/dns/net/{}@eth0", c.id())).unwrap();
        let error = check(&result).refused(101);
        error.says(&["no names of net/c1/eth0 are recorded"]);
        chain.del(eth0(&c));
    });
}

#[test]
fn without_a_result_there_is_nothing_to_compare_with() {
    lab_with_plugins(|lab| {
        let chain = named(lab, Family::V4);
        let c = lab.container("c1");
        let error = chain.call(1, "CHECK", eth0(&c), None).run().refused(7);
        error.says(&["required prevResult missing"]);
    });
}

#[test]
fn no_container_is_to_blame_for_a_daemon_that_does_not_run() {
    lab_with_plugins(|lab| {
        let chain = named(lab, Family::V4);
        let c = lab.container("c1");
        chain.add(eth0(&c));
        fs::remove_file("/run/cais/dns.sock").unwrap();
        assert!(chain.check(eth0(&c)).is_ok());
        chain.del(eth0(&c));
    });
}

#[test]
fn what_leads_elsewhere_is_a_difference() {
    lab_with_plugins(|lab| {
        for (name, resolver) in [("g1", "auto"), ("n1", "netns")] {
            let chain = named_with(lab, Family::V4, &json!({ "resolver": resolver }));
            let c = lab.container(name);
            let result = chain.add(eth0(&c));
            let check = || chain.call(1, "CHECK", eth0(&c), Some(&result)).run();
            check().is_silent();
            c.run("nft delete table ip cais-names");
            check().refused(101);
            chain.call(1, "ADD", eth0(&c), Some(&result)).run().succeeded();
            check().is_silent();
            if resolver == "auto" {
                lab.host().run("nft delete table inet cais");
                check().refused(101);
            }
            chain.del(eth0(&c));
        }
    });
}
