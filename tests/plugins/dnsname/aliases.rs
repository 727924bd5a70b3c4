//! What a container is called.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use super::{add_with, eth0, named_with, record_of};
use crate::battery::Family;

#[test]
fn name_aliases_id_and_host_name_are_written_down_in_lower_case() {
    lab_with_plugins(|lab| {
        let keys = json!({
            "runtimeConfig": { "aliases": { "net": ["WWW", "a.b", "*.Foo.local", "web"], "n2": ["no"] } },
            "args": { "cni": { "hostname": "Box" } },
        });
        let chain = named_with(lab, Family::V4, &keys);
        let c = lab.container("c1");
        add_with(&chain, &c, "IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=Web");
        let names = json!(["web", "www", "a.b", "*.foo.local", "c1", "box"]);
        assert_eq!(record_of(&c)["names"], names);
        chain.del(eth0(&c));
    });
}

#[test]
fn aliases_may_be_a_list_or_null() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        for (aliases, names) in [
            (json!(["www", "app"]), json!(["c1", "www", "app"])),
            (json!({ "net": null }), json!(["c1"])),
            (json!({}), json!(["c1"])),
            (Value::Null, json!(["c1"])),
        ] {
            let keys = json!({ "runtimeConfig": { "aliases": aliases } });
            let chain = named_with(lab, Family::V4, &keys);
            chain.add(eth0(&c));
            assert_eq!(record_of(&c)["names"], names, "{aliases}");
            chain.del(eth0(&c));
        }
    });
}

#[test]
fn an_alias_that_is_no_name_is_quoted_and_nothing_is_begun() {
    lab_with_plugins(|lab| {
        let (c, long) = (lab.container("c1"), "x".repeat(64));
        for (alias, why) in [
            (long.as_str(), "has a label of 64 bytes"),
            ("a b", "has ' '"),
            ("a,b", "has ','"),
            ("", "is empty"),
        ] {
            let keys = json!({ "runtimeConfig": { "aliases": { "net": ["fine", alias] } } });
            let chain = named_with(lab, Family::V4, &keys);
            let result = chain.call(0, "ADD", eth0(&c), None).run().result();
            let before = lab.snapshot();
            let error = chain.call(1, "ADD", eth0(&c), Some(&result)).run().refused(7);
            error.says(&["runtimeConfig.aliases.net[1]", &format!("alias \"{alias}\" {why}")]);
            lab.assert_unchanged(&before);
            chain.del(eth0(&c));
        }
    });
}

#[test]
fn the_longest_label_an_underscore_and_upper_case_are_fine() {
    lab_with_plugins(|lab| {
        let longest = "X".repeat(63);
        let keys = json!({ "runtimeConfig": { "aliases": [longest, "_Tcp-1"] } });
        let chain = named_with(lab, Family::V4, &keys);
        let c = lab.container("c1");
        chain.add(eth0(&c));
        assert_eq!(record_of(&c)["names"], json!(["c1", "x".repeat(63), "_tcp-1"]));
        chain.del(eth0(&c));
    });
}

#[test]
fn a_container_whose_own_name_is_none_is_called_by_the_id_that_was_chosen() {
    lab_with_plugins(|lab| {
        let chain =
            named_with(lab, Family::V4, &json!({ "runtimeConfig": { "aliases": ["www"] } }));
        let c = lab.container("c1");
        let result = chain.call(0, "ADD", eth0(&c), None).run().result();
        let args = format!("K8S_POD_NAME={}", "x".repeat(64));
        let call = chain.call(1, "ADD", eth0(&c), Some(&result)).args(&args);
        let outcome = call.run();
        outcome.succeeded();
        assert!(outcome.stderr.contains("the name has a label of 64 bytes"), "{outcome}");
        assert_eq!(record_of(&c)["names"], json!(["c1", "www"]));
        chain.del(eth0(&c));
    });
}
