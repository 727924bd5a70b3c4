//! The verb VERSION, and which `cniVersion` is accepted.

use netns_fixtures::lab_with_plugins;
use serde_json::{Value, json};

use crate::battery::VERSIONS;
use crate::under_test::{are_ours, complete_call, least_config, strings, unlike_reference};

every_plugin! {
    fn version_lists_what_it_speaks(lab, plugin) {
        let outcome = lab.plugin(plugin).verb("VERSION").run();
        let printed = outcome.result();
        let known = if are_ours(lab) { &VERSIONS[..] } else { &VERSIONS[..6] };
        assert_eq!(strings(&printed["supportedVersions"]), known);
        assert_eq!(printed["cniVersion"], *known.last().unwrap());
        assert_eq!(printed.as_object().map(serde_json::Map::len), Some(2), "{printed}");
        assert_eq!(outcome.stdout.lines().count(), 1, "one line: {outcome}");
        assert!(outcome.stdout.ends_with('\n'), "{outcome}");
    }

    /// The keys in this order: podman and others show the line as it is.
    fn version_is_printed_as_the_reference_does(lab, plugin) {
        let outcome = lab.plugin(plugin).verb("VERSION").run();
        assert!(outcome.stdout.starts_with("{\"cniVersion\":\""), "{outcome}");
    }

    fn version_reads_neither_stdin_nor_other_variables(lab, plugin) {
        for stdin in ["", "no json", "{\"cniVersion\":\"9.9.9\"}"] {
            let call = lab.plugin(plugin).verb("VERSION").stdin(stdin);
            call.clone().run().result();
            let odd = call.env("CNI_CONTAINERID", "/").env("CNI_NETNS", "dummy").ifname("a/b");
            let why = "checks what it does not need (1.1.1)";
            let no_id = odd.clone().env("CNI_CONTAINERID", "").ifname("dummy");
            no_id.run().result();
            if are_ours(lab) {
                odd.run().result();
            } else {
                println!("left out: the reference {why}");
            }
        }
    }

    fn a_version_that_nobody_has_is_refused(lab, plugin) {
        for version in ["9.9.9", "1.0", "1", "0.3", "1.0.1", "1.2.0", "v1.0.0", "1.0.0 "] {
            let config = least_config(plugin, version);
            for verb in ["ADD", "DEL"] {
                let call = complete_call(lab, plugin).config(&config).verb(verb);
                let error = call.run().error();
                assert!([1, 6].contains(&error.code), "{version}: {}", error.object);
                if error.code == 1 {
                    assert_eq!(error.msg, "incompatible CNI versions");
                    let asked = format!("config is \"{version}\", plugin supports [\"0.1.0\" \"0.2.0\"");
                    assert!(error.details.starts_with(&asked), "{}", error.details);
                }
            }
        }
    }
}

every_version! {
    fn each_version_is_accepted_by_add_and_del(lab, version) {
        let c = lab.container("c1");
        let config = least_config("host-local", version);
        let result = lab.add("host-local", &c, &config);
        assert_eq!(result["cniVersion"], version);
        lab.del("host-local", &c, &config);
    }
}

#[test]
fn no_version_means_the_oldest() {
    lab_with_plugins(|lab| {
        let c = lab.container("c1");
        for version in [Value::Null, json!("")] {
            let mut config = least_config("host-local", "");
            config["cniVersion"] = version;
            let result = lab.add("host-local", &c, &config);
            assert_eq!(result["ip4"]["ip"], "10.1.0.2/24", "{result}");
            assert_eq!(result["cniVersion"], "0.1.0");
            lab.del("host-local", &c, &config);
            std::fs::remove_dir_all("/var/lib/cni").unwrap();
        }
        let mut config = least_config("host-local", "");
        config.as_object_mut().unwrap().remove("cniVersion");
        assert_eq!(lab.add("host-local", &c, &config)["cniVersion"], "0.1.0");
    });
}

#[test]
fn a_version_with_more_parts_or_words_cannot_be_decoded_for_check() {
    lab_with_plugins(|lab| {
        for version in ["1.0.0.0", "one", "1.x.0"] {
            let config = least_config("bridge", version);
            let error = complete_call(lab, "bridge").config(&config).verb("CHECK").run().error();
            assert!([1, 6].contains(&error.code), "{version}: {}", error.object);
        }
    });
}

/// `[0.1.0, 0.2.0]` know no CHECK, `[…, 1.0.0]` no GC and STATUS.
mod verbs_need_their_version {
    use super::*;

    fn case(lab: &netns_fixtures::Lab, (verb, version): (&str, &str)) {
        let config = least_config("bridge", version);
        let call = complete_call(lab, "bridge").config(&config).verb(verb);
        let claim = || {
            let refused = call.run().refused(1);
            assert_eq!(refused.msg, format!("config version does not allow {verb}"));
        };
        if verb == "CHECK" {
            claim();
        } else {
            unlike_reference(lab, "does not know GC and STATUS (1.1.1)", claim);
        }
    }

    stamp!(lab_with_plugins, case,
        check_at_0_1_0: ("CHECK", "0.1.0"),
        check_at_0_2_0: ("CHECK", "0.2.0"),
        check_at_0_3_0: ("CHECK", "0.3.0"),
        check_at_0_3_1: ("CHECK", "0.3.1"),
        gc_at_0_4_0: ("GC", "0.4.0"),
        gc_at_1_0_0: ("GC", "1.0.0"),
        status_at_0_3_1: ("STATUS", "0.3.1"),
        status_at_1_0_0: ("STATUS", "1.0.0"));
}
