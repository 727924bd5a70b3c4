//! What DEL leaves: nothing, whatever has become of configuration, namespace and daemon.

use std::fs;

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{OF_THE_POOL, eth0, named, named_with, record_of};
use crate::battery::Family;
use crate::chain::Chain;

/// A container on a host whose bridge and daemon are there already.
fn warm(lab: &Lab, chain: &Chain<'_>) -> Container {
    let c = lab.container("c1");
    chain.add(eth0(&c));
    chain.del(eth0(&c));
    c
}

every_family! {
    fn after_add_and_del_all_is_as_it_was(lab, family) {
        let c = warm(lab, &named(lab, family));
        let before = lab.snapshot();
        for resolver in ["auto", "netns"] {
            let chain = named_with(lab, family, &json!({ "resolver": resolver }));
            chain.add(eth0(&c));
            assert_ne!(record_of(&c), Value::Null, "{resolver}");
            chain.del(eth0(&c));
            lab.assert_unchanged_but(&before, OF_THE_POOL);
        }
    }
}

/// DEL of the plugin alone.
fn del(chain: &Chain<'_>, c: &Container) {
    chain.call(1, "DEL", eth0(c), None).run().is_silent();
}

#[test]
fn nothing_to_delete_is_success_and_makes_nothing() {
    lab_with_plugins(|lab| {
        let chain = named(lab, Family::V4);
        let c = lab.container("c1");
        let before = lab.snapshot();
        for _ in 0..2 {
            del(&chain, &c);
        }
        chain.call(1, "DEL", eth0(&c), None).env("CNI_NETNS", "").run().is_silent();
        chain.call(1, "DEL", eth0(&c), None).env("CNI_NETNS", "/run/netns/gone").run().is_silent();
        lab.assert_unchanged_but(&before, OF_THE_POOL);
    });
}

#[test]
fn it_needs_neither_result_nor_a_configuration_without_mistakes() {
    lab_with_plugins(|lab| {
        let chain = named(lab, Family::V4);
        let c = warm(lab, &chain);
        let before = lab.snapshot();
        chain.add(eth0(&c));
        let mut config = chain.config(1, eth0(&c), None);
        config["domainName"] = json!("a..b");
        config["runtimeConfig"] = json!({ "aliases": "none" });
        let call = chain.call(1, "DEL", eth0(&c), None).config(&config).args("nonsense");
        for _ in 0..2 {
            call.run().is_silent();
        }
        assert_eq!(record_of(&c), Value::Null);
        chain.call(0, "DEL", eth0(&c), None).run().is_silent();
        lab.assert_unchanged_but(&before, OF_THE_POOL);
    });
}

#[test]
fn a_namespace_that_is_gone_leaves_nothing_either() {
    lab_with_plugins(|lab| {
        let _warm = warm(lab, &named(lab, Family::Dual));
        let before = lab.snapshot();
        for (name, resolver) in [("g1", "auto"), ("n1", "netns")] {
            let chain = named_with(lab, Family::Dual, &json!({ "resolver": resolver }));
            let c = lab.container(name);
            chain.add(eth0(&c));
            c.remove();
            for index in [1, 0] {
                let call = chain.call(index, "DEL", eth0(&c), None);
                call.env("CNI_NETNS", "").run().is_silent();
            }
            lab.assert_unchanged_but(&before, OF_THE_POOL);
        }
    });
}

#[test]
fn a_daemon_that_does_not_run_keeps_nothing_from_being_deleted() {
    lab_with_plugins(|lab| {
        let chain = named(lab, Family::V4);
        let c = lab.container("c1");
        chain.add(eth0(&c));
        fs::remove_file("/run/cais/dns.sock").unwrap();
        chain.del(eth0(&c));
        assert_eq!(record_of(&c), Value::Null);
        assert!(!fs::exists("/run/cais/dns.sock").unwrap(), "DEL started a daemon");
    });
}

#[test]
fn a_record_that_is_torn_or_of_a_later_version_goes_with_its_attachment() {
    lab_with_plugins(|lab| {
        let chain = named(lab, Family::V4);
        let c = warm(lab, &chain);
        let before = lab.snapshot();
        for text in ["", "{\"lay", r#"{"layout":99,"network":"net"}"#] {
            chain.add(eth0(&c));
            let path = format!("/run/cais/dns/net/{}@eth0", c.id());
            fs::write(&path, text).unwrap();
            // What a killed call began to write.
            fs::write(format!("/run/cais/dns/net/.{}@eth0.new", c.id()), text).unwrap();
            chain.del(eth0(&c));
            lab.assert_unchanged_but(&before, OF_THE_POOL);
        }
    });
}

#[test]
fn one_of_two_containers_leaves_the_others_names_alone() {
    lab_with_plugins(|lab| {
        let chain = named(lab, Family::Dual);
        let (a, b) = (lab.container("a"), lab.container("b"));
        chain.add(eth0(&a));
        chain.add(eth0(&b));
        let kept = record_of(&b);
        chain.del(eth0(&a));
        assert_eq!(record_of(&a), Value::Null);
        assert_eq!(record_of(&b), kept);
        assert!(chain.check(eth0(&b)).is_ok());
        chain.del(eth0(&b));
    });
}

#[test]
fn a_repeated_add_is_taken_back_by_one_del() {
    lab_with_plugins(|lab| {
        let c = warm(lab, &named(lab, Family::Dual));
        let before = lab.snapshot();
        for resolver in ["auto", "netns"] {
            let chain = named_with(lab, Family::Dual, &json!({ "resolver": resolver }));
            let result = chain.add(eth0(&c));
            let once = record_of(&c);
            let again = || chain.call(1, "ADD", eth0(&c), Some(&result)).run().result();
            for _ in 0..2 {
                assert_eq!(again()["dns"], result["dns"]);
                assert_eq!(record_of(&c), once);
                assert!(chain.check(eth0(&c)).is_ok());
            }
            chain.del(eth0(&c));
            lab.assert_unchanged_but(&before, OF_THE_POOL);
        }
    });
}
