//! What a plugin reads from its configuration, as data: the source of its help text, its page in
//! `docs/plugins/`, the completion of `cais` and the "nearest known key" of `cais validate`.

use serde::Serialize;

/// One key of a plugin's configuration.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Key {
    /// Where it stands: `ipam.ranges[][].subnet`; `[]` is any element of a list.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What holds when it is absent, in words or JSON.
    pub default: &'static str,
    /// Meaning, unit and what it excludes, in one or two sentences.
    pub doc: &'static str,
}

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// An integer from the first to the second number, both included.
    Integer(i64, i64),
    /// Text; the plugin says which.
    Text,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// `true` or `false`, be it as text, or one of these texts.
    FlagOr(&'static [&'static str]),
    /// A list; its elements are described by keys below it, or are texts.
    List,
    /// A list, or an object with a list for each network.
    ListOrMap,
    /// An object; its members are described by keys below it.
    Object,
}

impl Kind {
    /// The kind in words for people.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::Flag => "true or false".to_owned(),
            Self::Integer(low, high) => format!("integer {low} to {high}"),
            Self::Text => "text".to_owned(),
            Self::OneOf(texts) => texts.join(", "),
            Self::FlagOr(texts) => format!("true, false, {}", texts.join(", ")),
            Self::List => "list".to_owned(),
            Self::ListOrMap => "list, or object of lists".to_owned(),
            Self::Object => "object".to_owned(),
        }
    }
}

/// Keys that every plugin takes.
pub const COMMON: &[Key] = &[
    Key {
        path: "cniVersion",
        kind: Kind::OneOf(&["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]),
        default: "0.1.0",
        doc: "Version of the specification that the configuration is written for.",
    },
    Key {
        path: "name",
        kind: Kind::Text,
        default: "required",
        doc: "Name of the network: a letter or digit, then letters, digits, `_`, `.` and `-`.",
    },
    Key { path: "type", kind: Kind::Text, default: "required", doc: "File name of the plugin." },
    Key {
        path: "args",
        kind: Kind::Object,
        default: "{}",
        doc: "Optional metadata of the caller; each plugin reads only what its page names.",
    },
    Key {
        path: "capabilities",
        kind: Kind::Object,
        default: "{}",
        doc: "Which values of `runtimeConfig` the runtime may fill in.",
    },
    Key {
        path: "runtimeConfig",
        kind: Kind::Object,
        default: "{}",
        doc: "Values from the runtime, one for each capability.",
    },
    Key {
        path: "prevResult",
        kind: Kind::Object,
        default: "absent",
        doc: "Result of the plugin before this one, or on CHECK and DEL of the whole chain.",
    },
];
