//! The packet filter of the lab's host, read and changed with nft(8).

use std::fs;

use netns_fixtures::Lab;
use serde_json::{Value, json};

/// Where texts for nft are put; no part of what snapshots compare.
const SCRIPT: &str = "/run/lab/script.nft";

/// One element of a set or map.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    pub(crate) family: String,
    pub(crate) set: String,
    /// As nft writes it in JSON, without its comment.
    pub(crate) key: Value,
    pub(crate) comment: String,
}

/// All elements of our tables.
pub(crate) fn elements(lab: &Lab) -> Vec<Element> {
    let ruleset = lab.host().json("nft -j list ruleset");
    let objects = ruleset["nftables"].as_array().cloned().unwrap_or_default();
    let sets = objects.iter().filter_map(|object| object.get("set").or_else(|| object.get("map")));
    sets.filter(|set| set["table"] == "cais").flat_map(of_set).collect()
}

fn of_set(set: &Value) -> Vec<Element> {
    let text = |key: &str| set[key].as_str().unwrap_or_default().to_owned();
    let of = |entry: &Value| {
        // A map has pairs, whose second is the value.
        let key = entry.as_array().map_or(entry, |pair| &pair[0]).clone();
        let comment = key["elem"]["comment"].as_str().unwrap_or_default().to_owned();
        let key = match key.get("elem") {
            Some(elem) => elem["val"].clone(),
            None => key,
        };
        Element { family: text("family"), set: text("name"), key, comment }
    };
    set["elem"].as_array().into_iter().flatten().map(of).collect()
}

/// The elements of one set.
pub(crate) fn elements_of(lab: &Lab, set: &str) -> Vec<Element> {
    elements(lab).into_iter().filter(|element| element.set == set).collect()
}

/// Deletes one element, as an administrator could.
#[track_caller]
pub(crate) fn delete(lab: &Lab, element: &Element) {
    let Element { family, set, key, .. } = element;
    let elem = json!({ "family": family, "table": "cais", "name": set, "elem": [key] });
    let script = json!({ "nftables": [{ "delete": { "element": elem } }] });
    fs::write(SCRIPT, script.to_string()).unwrap();
    lab.host().run(&format!("nft -j -f {SCRIPT}"));
}

/// Has nft carry out `script`.
#[track_caller]
pub(crate) fn carry_out(lab: &Lab, script: &str) {
    fs::write(SCRIPT, script).unwrap();
    lab.host().run(&format!("nft -f {SCRIPT}"));
}

/// Has `cais reload` write again what is missing.
#[track_caller]
pub(crate) fn reload(lab: &Lab) {
    lab.host().run(&format!("{} reload", lab.plugins().join("cais").display()));
}
