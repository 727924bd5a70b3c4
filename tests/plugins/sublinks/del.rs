//! DEL, whatever became of the namespace.

use serde_json::json;

use super::{attached, pool, sibling};
use crate::battery::Family;
use crate::under_test::{leases, only_ours, unlike_reference};

every_sublink! {
    fn del_twice_is_success(lab, plugin) {
        let config = pool(plugin, Family::V4);
        let c = attached(lab, "c1", &config);
        let call = lab.plugin(plugin).container(&c).config(&config).verb("DEL");
        call.run().is_silent();
        call.run().is_silent();
        assert!(c.link("eth0").is_none());
        assert_eq!(leases(), [""; 0]);
    }

    fn del_frees_the_address_when_the_namespace_is_gone(lab, plugin) {
        let config = pool(plugin, Family::V4);
        let c = attached(lab, "c1", &config);
        c.remove();
        lab.plugin(plugin).container(&c).config(&config).verb("DEL").run().is_silent();
        assert_eq!(leases(), [""; 0]);
    }

    /// A plain file is what is left at the path when a pin is undone, but not removed.
    fn del_takes_a_stale_file_as_a_namespace_that_is_gone(lab, plugin) {
        let config = pool(plugin, Family::V4);
        let c = attached(lab, "c1", &config);
        c.remove();
        std::fs::write(c.path(), "").unwrap();
        let call = lab.plugin(plugin).container(&c).config(&config).verb("DEL");
        unlike_reference(lab, "fails for ever on a stale file [E]", || call.run().is_silent());
        assert_eq!(leases(), [""; 0]);
        std::fs::remove_file(c.path()).unwrap();
    }

    fn del_without_a_namespace_removes_the_link_that_its_record_tells_of(lab, plugin) {
        let config = pool(plugin, Family::V4);
        let c = attached(lab, "c1", &config);
        let call = lab.plugin(plugin).container(&c).config(&config).verb("DEL");
        call.env("CNI_NETNS", "").run().is_silent();
        assert_eq!(leases(), [""; 0]);
        unlike_reference(lab, "leaves the interface when DEL names no namespace", || {
            assert!(c.link("eth0").is_none());
        });
    }

    fn del_without_a_namespace_leaves_a_link_of_others_alone(lab, plugin) {
        only_ours(lab, "knows nothing of it");
        let c = attached(lab, "c1", &pool(plugin, Family::V4));
        c.run("ip link del dev eth0");
        c.run("ip link add dev eth0 type veth peer name other");
        let call = lab.plugin(plugin).container(&c).config(&pool(plugin, Family::V4)).verb("DEL");
        call.env("CNI_NETNS", "").run().is_silent();
        assert!(c.link("eth0").is_some());
    }

    fn del_minds_nothing_of_its_configuration_but_ipam(lab, plugin) {
        let mut config = pool(plugin, Family::V4);
        let c = attached(lab, "c1", &config);
        config["mode"] = json!("hub");
        config["master"] = json!("nowhere");
        let call = lab.plugin(plugin).container(&c).config(&config).args("nonsense");
        unlike_reference(lab, "looks for the master at DEL, and fails without one (1.1.1)", || {
            call.verb("DEL").run().is_silent();
            assert!(c.link("eth0").is_none());
            assert_eq!(leases(), [""; 0]);
        });
    }

    fn del_of_one_leaves_the_siblings(lab, plugin) {
        let config = pool(plugin, Family::V4);
        let a = attached(lab, "a", &config);
        let config = sibling(config, 2);
        let b = attached(lab, "b", &config);
        let config = sibling(config, 3);
        lab.plugin(plugin)
            .container(&b)
            .config(&config)
            .ifname("eth1")
            .verb("ADD")
            .run()
            .succeeded();
        lab.del(plugin, &a, &config);
        lab.del(plugin, &b, &config);
        assert_eq!(b.link_names(), ["eth1"]);
        assert_eq!(leases(), ["10.1.0.4"]);
    }
}
