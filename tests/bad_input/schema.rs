//! The keys of a plugin as the plugin itself lists them.

use netns_fixtures::Lab;
use serde_json::Value;

/// One key.
pub(crate) struct Key {
    /// `ipam.ranges[][].subnet`; `[]` is any element of a list.
    pub(crate) path: String,
    pub(crate) kind: Kind,
}

/// What it holds.
pub(crate) enum Kind {
    Flag,
    Integer(i64, i64),
    Text,
    OneOf(Vec<String>),
    FlagOr(Vec<String>),
    List,
    ListOrMap,
    Object,
}

impl Key {
    /// The last part of its path, by which errors name it.
    pub(crate) fn name(&self) -> &str {
        let last = self.path.rsplit('.').next().unwrap_or_default();
        last.trim_end_matches("[]")
    }

    /// Whether every plugin has this key, but need not read it.
    pub(crate) fn is_optional_to_read(&self) -> bool {
        let common = ["type", "args", "capabilities", "runtimeConfig", "prevResult"];
        common.contains(&self.path.as_str())
    }
}

/// What `<plugin> --print-schema` prints.
#[track_caller]
pub(crate) fn keys_of(lab: &Lab, plugin: &str) -> Vec<Key> {
    let file = lab.plugins().join(plugin);
    let schema = lab.host().json(&format!("{} --print-schema", file.display()));
    let keys = schema["keys"].as_array().cloned().unwrap_or_default();
    assert!(!keys.is_empty(), "{plugin} prints no keys: {schema}");
    let key = |key: &Value| Key {
        path: key["path"].as_str().unwrap_or_else(|| panic!("a key without path: {key}")).into(),
        kind: kind(&key["kind"]),
    };
    keys.iter().map(key).collect()
}

#[track_caller]
fn kind(kind: &Value) -> Kind {
    let bound = |index: usize| kind["integer"][index].as_i64();
    let texts = |name: &str| {
        let texts = kind[name].as_array()?.iter().filter_map(Value::as_str);
        Some(texts.map(str::to_owned).collect())
    };
    match kind.as_str() {
        Some("flag") => return Kind::Flag,
        Some("text") => return Kind::Text,
        Some("list") => return Kind::List,
        Some("listormap") => return Kind::ListOrMap,
        Some("object") => return Kind::Object,
        _ => {}
    }
    let integer = || bound(0).zip(bound(1)).map(|(low, high)| Kind::Integer(low, high));
    texts("oneof")
        .map(Kind::OneOf)
        .or_else(|| texts("flagor").map(Kind::FlagOr))
        .or_else(integer)
        .unwrap_or_else(|| panic!("an unknown kind of key: {kind}"))
}
