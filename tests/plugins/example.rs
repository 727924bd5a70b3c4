//! Examples in `docs/examples`, which are those of the plugins' pages, work as they stand.

use netns_fixtures::{Call, lab_with_plugins};
use serde_json::Value;

/// The example `list`, which `page` has as well.
#[track_caller]
pub(crate) fn of_page(list: &str, page: &str) -> Value {
    assert!(page.contains(list.trim()), "the page has another example than\n{list}");
    serde_json::from_str(list).expect("an example is JSON")
}

/// Runs ADD, CHECK and DEL of the one plugin in `list`, with the container and program of `call`.
/// `page` is the plugin's.
#[track_caller]
pub(crate) fn works(call: &Call<'_>, list: &str, page: &str) {
    let list = of_page(list, page);
    // As a runtime does: the plugin's object with name and version of the list.
    let mut config = list["plugins"][0].clone();
    for key in ["name", "cniVersion"] {
        config[key] = list[key].clone();
    }
    let run = |verb, config: &Value| call.clone().verb(verb).config(config).run();
    let result = run("ADD", &config).result();
    config["prevResult"] = result;
    run("CHECK", &config).is_silent();
    run("DEL", &config).is_silent();
}

macro_rules! of_bridge {
    ($($case:ident: $page:literal;)+) => {$(
        #[test]
        fn $case() {
            lab_with_plugins(|lab| {
                let c = lab.container("c1");
                let call = lab.plugin("bridge").container(&c);
                let list = include_str!(concat!("../../docs/examples/", $page, ".conflist"));
                works(&call, list, include_str!(concat!("../../docs/plugins/", $page, ".md")));
            });
        }
    )+};
}

of_bridge! {
    the_example_of_bridge_works: "bridge";
    the_example_of_host_local_works: "host-local";
    the_example_of_static_works: "static";
}
