//! Every key of every plugin.

use netns_fixtures::Lab;

use serde_json::{Value, json};

use super::document::Document;
use super::judge::{Answer, Bench};
use super::schema::{Key, keys_of};
use super::values::{Verdict, Wrong, wrong_for, wrong_kinds};
use crate::under_test::{least_config, only_ours};

/// The newest version, which alone has all verbs.
const VERSION: &str = "1.1.0";

/// Codes of a configuration that cannot be had: by its author, or by this machine.
const OF_CONFIG: &[i64] = &[1, 2, 6, 7];
/// Codes where the value was fit to be tried: reading or writing failed, nothing is left to give.
const OF_TRYING: &[i64] = &[1, 2, 4, 5, 6, 7, 8, 11, 50, 51, 100, 101, 102, 103];

every_plugin! {
    fn wrong_values_are_refused_by_add_or_undone_by_del(lab, plugin) {
        let bench = prepared(lab, plugin);
        for key in &keys_of(lab, plugin) {
            let document = Document::around(&key.path, &usual_config(plugin));
            for wrong in wrong_for(key) {
                let text = document.with(&wrong.text);
                let what = format!("\"{}\": {}", key.path, wrong.what);
                add_and_del(&bench, &what, text, |answer| judge(key, &wrong, answer));
            }
            let kinds = wrong_kinds(key);
            for wrong in kinds.iter().filter(|wrong| wrong.verdict == Verdict::Refused).take(2) {
                // Go's decoder takes the last spelling, skips null, and refuses a wrong kind
                // wherever it stands.
                let (first, second) = (wrong.text.as_slice(), b"null".as_slice());
                for text in [document.with_both(first, second), document.with_both(second, first)] {
                    let what = format!("\"{}\" twice: null and {}", key.path, wrong.what);
                    add_and_del(&bench, &what, text, |answer| judge(key, wrong, answer));
                }
            }
            if key.path == "bridge" {
                // A bridge stays, whatever it is called.
                bench.remove_new_links();
            }
            bench.assert_clean(&key.path);
        }
        bench.finish();
    }

    fn wrong_kinds_change_nothing_in_the_other_verbs(lab, plugin) {
        let bench = prepared(lab, plugin);
        for key in &keys_of(lab, plugin) {
            let document = Document::around(&key.path, &usual_config(plugin));
            for wrong in wrong_kinds(key).iter().take(4) {
                for verb in ["DEL", "CHECK", "GC", "STATUS"] {
                    let what = format!("{verb} with \"{}\": {}", key.path, wrong.what);
                    let call = bench.call().verb(verb).stdin(document.with(&wrong.text));
                    bench.try_one(&what, &call, |answer| answer.with_code(OF_TRYING));
                }
            }
            bench.assert_clean(&key.path);
        }
        bench.finish();
    }

    fn null_is_the_same_as_nothing(lab, plugin) {
        let bench = prepared(lab, plugin);
        for key in keys_of(lab, plugin).iter().filter(|key| !key.path.contains("[]")) {
            let document = Document::around(&key.path, &usual_config(plugin));
            let call = |text| bench.call().verb("ADD").stdin(text);
            let mut answers = Vec::new();
            for text in [document.with(b"null"), document.without()] {
                let outcome = call(text.clone()).run();
                answers.push(outcome.status.success());
                if outcome.status.success() {
                    call(text).verb("DEL").run().is_silent();
                }
            }
            assert_eq!(answers[0], answers[1], "{}: null, and absent", key.path);
        }
        bench.assert_clean("all keys");
    }
}

/// With what has to stand beside a key, so that it alone is wrong.
fn usual_config(plugin: &str) -> Value {
    let mut config = least_config(plugin, VERSION);
    let routes = json!([{ "dst": "10.9.0.0/16" }]);
    match plugin {
        "host-local" => {
            let ranges = json!([[{ "subnet": "10.1.0.0/24" }]]);
            config["ipam"] = json!({ "type": plugin, "ranges": ranges, "routes": routes });
        }
        "static" => config["ipam"]["routes"] = routes,
        "dhcp" => {
            config["ipam"]["provide"] = json!([{ "option": "12" }]);
            config["ipam"]["request"] = json!([{ "option": "42" }]);
        }
        "tuning" => {
            config["mtu"] = json!(1400);
            config["sysctl"] = json!({ "net.ipv4.conf.IFNAME.arp_notify": "1" });
        }
        "user-bridge" => {
            // Any free one, so that networks of other names have theirs.
            config["subnets"] = json!([{ "subnet": "0.0.0.0/24" }]);
            let ports = json!([{ "hostPort": 80, "containerPort": 80, "protocol": "tcp" }]);
            config["runtimeConfig"] = json!({ "portMappings": ports });
        }
        "overlay" => {
            let ports = json!([{ "hostPort": 80, "containerPort": 80, "protocol": "tcp" }]);
            config["runtimeConfig"] = json!({ "portMappings": ports });
        }
        "host" => {
            let ports = json!([{ "hostPort": 80, "containerPort": 80, "protocol": "tcp" }]);
            config["runtimeConfig"] = json!({ "portMappings": ports });
        }
        _ => {}
    }
    config
}

fn prepared<'lab>(lab: &'lab Lab, plugin: &'static str) -> Bench<'lab> {
    only_ours(lab, "answers with code 999, hangs and leaks");
    Bench::new(lab, plugin, VERSION)
}

/// ADD; and where it was taken, DEL, which has to succeed.
fn add_and_del(
    bench: &Bench<'_>,
    what: &str,
    text: Vec<u8>,
    judge: impl FnOnce(&Answer) -> Result<(), String>,
) {
    let call = bench.call().stdin(text);
    if bench.try_one(what, &call.clone().verb("ADD"), judge) {
        bench.try_one(&format!("DEL after {what}"), &call.verb("DEL"), |answer| match answer {
            Answer::Taken => Ok(()),
            Answer::Refused { .. } => Err("is refused by DEL, but was taken by ADD".to_owned()),
        });
    }
}

fn judge(key: &Key, wrong: &Wrong, answer: &Answer) -> Result<(), String> {
    // The version is called so, and the network's name is the only one.
    let names: &[&str] = match key.path.as_str() {
        "cniVersion" => &["version"],
        _ => &[key.name()],
    };
    match wrong.verdict {
        Verdict::Refused => answer.refused_naming(names).and_then(|()| answer.with_code(OF_CONFIG)),
        Verdict::NotJson => answer.refused_naming(&["line 1 column"]).and(answer.with_code(&[6])),
        Verdict::Named => answer.named(names).and_then(|()| answer.with_code(OF_TRYING)),
        Verdict::Any => answer.with_code(OF_TRYING),
    }
}
