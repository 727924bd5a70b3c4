//! Ours and the Go plugin in turn, on one container.

use netns_fixtures::{Call, Container, Feature, Lab};
use serde_json::{Value, json};

use crate::under_test::{BOOKKEEPING, OF_THE_STORE, leases, only_ours};

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Reference,
    Ours,
}

/// A call of the plugin that `config` names.
pub(crate) fn call<'lab>(
    lab: &'lab Lab,
    by: By,
    c: &Container,
    verb: &str,
    config: &Value,
) -> Call<'lab> {
    let plugin = config["type"].as_str().expect("a config names its plugin");
    let call = match by {
        By::Reference => lab.reference_plugin(plugin),
        By::Ours => lab.plugin(plugin),
    };
    call.container(c).config(config).verb(verb)
}

/// ADD by one of them; the config with its result, as CHECK and DEL are given it.
#[track_caller]
pub(crate) fn added(lab: &Lab, by: By, c: &Container, mut config: Value) -> Value {
    lab.needs(Feature::ReferencePlugins);
    config["prevResult"] = call(lab, by, c, "ADD", &config).run().result();
    c.settle();
    config
}

/// What one made of `config`, which gives 10.1.0.2, the other checks and deletes; nothing stays.
pub(crate) fn checked_and_deleted(lab: &Lab, config: Value, (maker, other): (By, By)) {
    let c = lab.container("c1");
    let before = lab.snapshot();
    let config = added(lab, maker, &c, config);
    call(lab, other, &c, "CHECK", &config).run().is_silent();
    c.run("ip addr del 10.1.0.2/24 dev eth0");
    call(lab, other, &c, "CHECK", &config).run().error();
    // The second time there is nothing left.
    for _ in 0..2 {
        call(lab, other, &c, "DEL", &config).run().succeeded();
    }
    // The Go plugin cannot know of our records.
    let own = ["/run/cais/attachments/"];
    lab.assert_unchanged_but(&before, &[OF_THE_STORE, BOOKKEEPING, &own].concat());
}

/// Of two containers that the reference made of `config`, which gives addresses of both families from
/// 10.1.0.2 and fd00:1::2 on, our GC leaves the valid one alone.
pub(crate) fn collected(lab: &Lab, config: &Value) {
    only_ours(lab, "cleans nothing in GC [E]");
    let (a, b) = (lab.container("a"), lab.container("b"));
    for c in [&a, &b] {
        added(lab, By::Reference, c, config.clone());
    }
    let mut config = config.clone();
    config["cniVersion"] = json!("1.1.0");
    config["cni.dev/valid-attachments"] = json!([{ "containerID": "a", "ifname": "eth0" }]);
    let plugin = config["type"].as_str().expect("a config names its plugin");
    lab.plugin(plugin).config(&config).verb("GC").run().is_silent();
    assert_eq!(leases(), ["10.1.0.2", "fd00:1::2"]);
    assert_eq!(a.addresses("eth0"), ["10.1.0.2/24", "fd00:1::2/64"]);
}
