//! DEL of an address, for which no driver is needed: it is one that `host-local` gave.

use netns_fixtures::{Container, Lab};
use serde_json::{Value, json};

use super::{pool, with};
use crate::battery::Family;
use crate::under_test::{leases, unlike_reference};

/// What these cases need of the kernel.
fn nothing(_: &Lab, _: &str) {}

/// A container that holds an address of the network, whatever became of its link.
fn leased(lab: &Lab, config: &Value) -> Container {
    let c = lab.container("c1");
    lab.add("host-local", &c, config);
    assert_eq!(leases(), ["10.1.0.2"]);
    c
}

every_sublink! {
    with nothing;

    fn the_address_is_free_after_del_when_there_is_no_link(lab, plugin) {
        let config = pool(plugin, Family::V4);
        let c = leased(lab, &config);
        let call = lab.plugin(plugin).container(&c).config(&config).verb("DEL");
        call.run().is_silent();
        assert_eq!(leases(), [""; 0]);
        call.run().is_silent();
    }

    fn the_address_is_free_after_del_when_the_namespace_is_gone(lab, plugin) {
        let config = pool(plugin, Family::V4);
        let c = leased(lab, &config);
        c.remove();
        lab.plugin(plugin).container(&c).config(&config).verb("DEL").run().is_silent();
        assert_eq!(leases(), [""; 0]);
    }

    fn the_address_is_free_after_del_when_no_namespace_is_named(lab, plugin) {
        let config = pool(plugin, Family::V4);
        let c = leased(lab, &config);
        let call = lab.plugin(plugin).container(&c).config(&config).verb("DEL");
        call.env("CNI_NETNS", "").run().is_silent();
        assert_eq!(leases(), [""; 0]);
    }

    fn the_address_is_free_after_del_when_a_plain_file_is_left_of_the_namespace(lab, plugin) {
        let config = pool(plugin, Family::V4);
        let c = leased(lab, &config);
        c.remove();
        std::fs::write(c.path(), "").unwrap();
        let call = lab.plugin(plugin).container(&c).config(&config).verb("DEL");
        unlike_reference(lab, "fails for ever on a stale file [E]", || call.run().is_silent());
        assert_eq!(leases(), [""; 0]);
        std::fs::remove_file(c.path()).unwrap();
    }

    fn the_address_is_free_after_del_when_the_master_went_with_the_namespace(lab, plugin) {
        let config = with(pool(plugin, Family::V4), "linkInContainer", json!(true));
        let c = leased(lab, &config);
        c.remove();
        lab.plugin(plugin).container(&c).config(&config).verb("DEL").run().is_silent();
        assert_eq!(leases(), [""; 0]);
    }
}
