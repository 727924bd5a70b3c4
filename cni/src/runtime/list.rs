use std::path::{Path, PathBuf};

use types::NetworkName;

use super::request::JsonObject;
use crate::error::{Error, code};
use crate::json::{Object, Value};
use crate::version::{Version, ordinal};

/// A network: the plugins that make it, in their order.
#[derive(Clone, Debug)]
pub struct NetworkList {
    text: Vec<u8>,
    file: Option<PathBuf>,
    name: NetworkName,
    pub(super) version: String,
    offered: Vec<String>,
    disable_check: bool,
    disable_gc: bool,
    load_only_inlined: bool,
    pub(super) plugins: Vec<PluginConfig>,
}

/// One plugin of a list.
#[derive(Clone, Debug)]
pub struct PluginConfig {
    /// Its file name (`type`).
    pub kind: String,
    /// Its configuration object as it was written.
    pub text: String,
    /// The file of a plugin that came from the network's drop-in folder.
    pub drop_in: Option<PathBuf>,
}

const LIST: &str = "error parsing configuration list";
const SINGLE: &str = "error parsing configuration";

impl NetworkList {
    /// Reads a list (the content of a `.conflist`). Keys of the list itself are taken to the
    /// letter, as libcni does; plugins of a drop-in folder are not looked for.
    ///
    /// # Errors
    /// Code 6 when `text` is not JSON or a key of the wrong kind, code 7 when the name is missing
    /// or wrong, or a plugin has no `type`.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let list = Self::parse_partial(text)?;
        list.plugins_given().map_err(|e| e.in_step(LIST))?;
        Ok(list)
    }

    /// Reads a single plugin's configuration (the content of a `.conf` or `.json`) as a list of
    /// one.
    ///
    /// # Errors
    /// As [`parse`](Self::parse); a list under such a name is told to be renamed.
    pub fn parse_single(text: &[u8]) -> Result<Self, Error> {
        Self::single(text).map_err(|e| e.in_step(SINGLE))
    }

    /// As [`parse`](Self::parse), but a list without plugins may still get some from its folder.
    pub(super) fn parse_partial(text: &[u8]) -> Result<Self, Error> {
        Self::list(text).map_err(|e| e.in_step(LIST))
    }

    /// An error unless there is a plugin.
    pub(super) fn plugins_given(&self) -> Result<(), Error> {
        if self.plugins.is_empty() {
            return Err(Error::new(code::INVALID_CONFIG, "no plugin configs found").with_hint(
                format!(
                    "list them under `plugins`, or put them into a folder `{}` beside the list",
                    self.name
                ),
            ));
        }
        Ok(())
    }

    fn list(text: &[u8]) -> Result<Self, Error> {
        let object = Object::parse(text)?;
        let name = network_name(exact(&object, "name"))?;
        let load_only_inlined = switch(&object, "loadOnlyInlinedPlugins")?;
        let plugins = match exact(&object, "plugins") {
            Some(value) => inlined(&value)?,
            None if load_only_inlined => {
                return Err(Error::new(
                    code::INVALID_CONFIG,
                    "`loadOnlyInlinedPlugins` is true, and no 'plugins' key",
                ));
            }
            None => Vec::new(),
        };
        let stated = match exact(&object, "cniVersion") {
            Some(value) => value.string()?,
            None => String::new(),
        };
        let offered = match exact(&object, "cniVersions") {
            Some(value) => value.list()?.iter().map(Value::string).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        Ok(Self {
            version: choose(&stated, &offered)?,
            offered,
            name,
            disable_check: switch(&object, "disableCheck")?,
            disable_gc: switch(&object, "disableGC")?,
            load_only_inlined,
            plugins,
            text: text.to_vec(),
            file: None,
        })
    }

    fn single(text: &[u8]) -> Result<Self, Error> {
        let object = Object::parse(text)?;
        if object.get("type").is_none() && object.has("plugins") {
            return Err(Error::new(code::INVALID_CONFIG, "missing 'type'").with_hint(
                "this is a list of plugins: rename the file so that it ends in .conflist",
            ));
        }
        let plugin = PluginConfig::parse(text, None)?;
        let name = network_name(object.get("name"))?;
        let version = object.string("cniVersion")?.unwrap_or_default();
        let mut list = JsonObject::new();
        list.text("cniVersion", &version);
        list.text("name", name.as_str());
        list.raw("plugins", &format!("[{}]", plugin.text));
        Ok(Self {
            version,
            offered: Vec::new(),
            name,
            disable_check: false,
            disable_gc: false,
            load_only_inlined: true,
            plugins: vec![plugin],
            text: list.finish().into_bytes(),
            file: None,
        })
    }

    pub(super) fn loaded_from(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    /// The list as it was loaded, without what a drop-in folder added: what the cache keeps.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The file that it came from.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The network's name.
    #[must_use]
    pub fn name(&self) -> &NetworkName {
        &self.name
    }

    /// The version to speak, as text: plugins compare it to the letter, and one that we do not
    /// know is theirs to refuse.
    #[must_use]
    pub fn version_text(&self) -> &str {
        &self.version
    }

    /// Versions offered by `cniVersions`, as written; empty when absent.
    #[must_use]
    pub fn offered_versions(&self) -> &[String] {
        &self.offered
    }

    /// The version whose results this list's plugins give; the newest for one unknown to us.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version.parse().unwrap_or(Version::LATEST)
    }

    /// Whether the version is `oldest` or a later one.
    #[must_use]
    pub fn is_at_least(&self, oldest: Version) -> bool {
        // Both are ordered as numbers; a version without order is nobody's, and refused by plugins.
        match (ordinal(&self.version), ordinal(oldest.as_str())) {
            (Ok(version), Ok(oldest)) => version >= oldest,
            _ => true,
        }
    }

    /// Whether CHECK must not be called (`disableCheck`).
    #[must_use]
    pub fn disables_check(&self) -> bool {
        self.disable_check
    }

    /// Whether GC must not be called (`disableGC`): several runtimes share the name.
    #[must_use]
    pub fn disables_gc(&self) -> bool {
        self.disable_gc
    }

    /// Whether its drop-in folder is ignored (`loadOnlyInlinedPlugins`).
    #[must_use]
    pub fn loads_only_inlined(&self) -> bool {
        self.load_only_inlined
    }

    /// What `plugin` of this list reads on a call without result and capabilities.
    ///
    /// # Errors
    /// Code 6 when its `capabilities` are no object of booleans.
    pub fn derive(&self, plugin: &PluginConfig) -> Result<Vec<u8>, Error> {
        super::request::derive(self, plugin, &super::request::Added::default())
    }

    /// File names of all programs that the list needs: its plugins, each followed by the address
    /// plugin that it calls; each once.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        let mut kinds = Vec::new();
        for plugin in &self.plugins {
            for kind in [Some(plugin.kind.clone()), plugin.ipam_kind()].into_iter().flatten() {
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
        }
        kinds
    }

    /// The plugins in the order of ADD.
    #[must_use]
    pub fn plugins(&self) -> &[PluginConfig] {
        &self.plugins
    }
}

impl PluginConfig {
    /// Reads one plugin's object.
    ///
    /// # Errors
    /// Code 6 when `text` is no JSON object, code 7 when `type` is missing.
    pub fn parse(text: &[u8], drop_in: Option<PathBuf>) -> Result<Self, Error> {
        let object = Object::parse(text)?;
        let kind = object.string("type")?.unwrap_or_default();
        if kind.is_empty() {
            return Err(Error::new(code::INVALID_CONFIG, "missing 'type'")
                .with_hint("`type` is the file name of the plugin, such as \"bridge\""));
        }
        let text = String::from_utf8_lossy(text).trim().to_owned();
        Ok(Self { kind, text, drop_in })
    }

    /// Names of the capabilities that the configuration turns on.
    ///
    /// # Errors
    /// Code 6 when `capabilities` is no object of booleans.
    pub fn capabilities(&self) -> Result<Vec<String>, Error> {
        let object = Object::parse(self.text.as_bytes())?;
        let Some(capabilities) = object.object("capabilities")? else { return Ok(Vec::new()) };
        let mut enabled = Vec::new();
        for (name, value) in capabilities.entries().filter(|(_, v)| v.raw().get() != "null") {
            enabled.retain(|known| known != name);
            if value.boolean()? {
                enabled.push(name.to_owned());
            }
        }
        Ok(enabled)
    }

    /// Type of the address plugin that this one calls, if any.
    #[must_use]
    pub fn ipam_kind(&self) -> Option<String> {
        let object = Object::parse(self.text.as_bytes()).ok()?;
        object.object("ipam").ok()??.string("type").ok()?.filter(|kind| !kind.is_empty())
    }
}

/// The value of `key` spelt to the letter; the last of several, `null` for none.
fn exact<'a>(object: &Object<'a>, key: &str) -> Option<Value<'a>> {
    object.entries().filter(|(k, _)| *k == key).last().map(|(_, v)| v).filter(|v| !v.is_null())
}

fn network_name(value: Option<Value<'_>>) -> Result<NetworkName, Error> {
    match value {
        None => {
            Err(Error::new(code::INVALID_CONFIG, "no name").with_hint("add a key `name` to it"))
        }
        Some(value) => value.parsed(),
    }
}

/// A boolean, or one of the texts that 0.4.0 had for it.
fn switch(object: &Object<'_>, key: &str) -> Result<bool, Error> {
    let Some(value) = exact(object, key) else { return Ok(false) };
    match value.string().map(|text| text.to_ascii_lowercase()).as_deref() {
        Ok("true") => Ok(true),
        Ok("false") => Ok(false),
        Ok(_) => Err(value.invalid("expected true or false")),
        Err(_) => value.boolean(),
    }
}

fn inlined(value: &Value<'_>) -> Result<Vec<PluginConfig>, Error> {
    let elements = value.list()?;
    if elements.is_empty() {
        return Err(Error::new(code::INVALID_CONFIG, "no plugins in list"));
    }
    let plugin = |element: &Value<'_>| {
        element.object()?;
        PluginConfig::parse(element.raw().get().as_bytes(), None)
            .map_err(|e| e.in_step(format!("key \"{}\"", element.path())))
    };
    elements.iter().map(plugin).collect()
}

/// The version to speak: the newest that is offered and that we know, as libcni picks it, but
/// written in full, since plugins compare to the letter.
fn choose(stated: &str, offered: &[String]) -> Result<String, Error> {
    if offered.is_empty() {
        return Ok(stated.to_owned());
    }
    let latest = ordinal(Version::LATEST.as_str()).expect("our own version has an order");
    let mut best = None;
    for text in offered.iter().map(String::as_str).chain([stated]).filter(|t| !t.is_empty()) {
        let number = ordinal(text).map_err(|e| Error::new(code::DECODE, e))?;
        if number <= latest && best.is_none_or(|best| number > best) {
            best = Some(number);
        }
    }
    Ok(best.map_or_else(|| stated.to_owned(), |[a, b, c]| format!("{a}.{b}.{c}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NetworkList, Error> {
        NetworkList::parse(text.as_bytes())
    }

    fn version(keys: &str) -> String {
        let text = format!(r#"{{"name":"n",{keys},"plugins":[{{"type":"x"}}]}}"#);
        parse(&text).unwrap_or_else(|e| panic!("{keys}: {e}")).version_text().to_owned()
    }

    #[test]
    fn a_lone_version_is_taken_verbatim_even_when_nobody_knows_it() {
        assert_eq!(version(r#""cniVersion":"9.9.9""#), "9.9.9");
        assert_eq!(version(r#""cniVersion":"1.0""#), "1.0");
        assert_eq!(version(r#""x":1"#), "");
    }

    #[test]
    fn of_several_versions_the_newest_that_we_know_is_spoken_in_full() {
        assert_eq!(version(r#""cniVersions":["0.4.0","1.1","1.0.0","9.0.0"]"#), "1.1.0");
        assert_eq!(version(r#""cniVersion":"1.0.0","cniVersions":["0.3.1"]"#), "1.0.0");
        assert_eq!(version(r#""cniVersion":"7.0.0","cniVersions":["8.0.0"]"#), "7.0.0");
        let bad = parse(r#"{"name":"n","cniVersions":["1.x"],"plugins":[{"type":"x"}]}"#);
        assert!(bad.unwrap_err().msg.contains("failed to convert minor version part"));
    }

    #[test]
    fn each_fault_of_a_list_has_its_own_text() {
        let cases = [
            ("", "error parsing configuration list: EOF while parsing"),
            ("{}", "error parsing configuration list: no name"),
            (r#"{"Name":"n","plugins":[{"type":"x"}]}"#, "no name"),
            (r#"{"name":7}"#, "expected a string, found the number 7"),
            (r#"{"name":"../x"}"#, "key \"name\": must start with a letter or digit"),
            (r#"{"name":"n"}"#, "no plugin configs found"),
            (r#"{"name":"n","plugins":[]}"#, "no plugins in list"),
            (r#"{"name":"n","plugins":{}}"#, "key \"plugins\": expected a list, found an object"),
            (r#"{"name":"n","plugins":[7]}"#, "key \"plugins[0]\": expected an object"),
            (r#"{"name":"n","plugins":[{"type":"x"},{}]}"#, "key \"plugins[1]\": missing 'type'"),
            (r#"{"name":"n","disableCheck":"maybe"}"#, "key \"disableCheck\": expected true or f"),
            (r#"{"name":"n","disableGC":1}"#, "key \"disableGC\": expected true or false, found"),
            (r#"{"name":"n","loadOnlyInlinedPlugins":true}"#, "and no 'plugins' key"),
        ];
        for (text, expected) in cases {
            let error = parse(text).expect_err(text);
            assert!(error.msg.contains(expected), "{text}\n  {}", error.msg);
        }
    }

    #[test]
    fn switches_may_be_texts() {
        let text =
            r#"{"name":"n","disableCheck":"TRUE","disableGC":"false","plugins":[{"type":"x"}]}"#;
        let list = parse(text).unwrap();
        assert!(list.disables_check() && !list.disables_gc());
    }

    #[test]
    fn a_single_configuration_becomes_a_list_of_one() {
        let list =
            NetworkList::parse_single(br#" {"name":"n","type":"x","big":12345678901234567890} "#);
        let list = list.unwrap();
        assert_eq!(
            String::from_utf8_lossy(list.text()),
            r#"{"cniVersion":"","name":"n","plugins":[{"name":"n","type":"x","big":12345678901234567890}]}"#
        );
        let error = NetworkList::parse_single(br#"{"name":"n","plugins":[]}"#).unwrap_err();
        assert_eq!(error.msg, "error parsing configuration: missing 'type'");
        assert!(error.hint().unwrap().contains("ends in .conflist"), "{error}");
    }

    #[test]
    fn only_capabilities_that_are_true_are_enabled() {
        let plugin = |text: &str| PluginConfig::parse(text.as_bytes(), None).unwrap();
        let some = plugin(r#"{"type":"x","capabilities":{"a":true,"b":false,"c":null,"d":true}}"#);
        assert_eq!(some.capabilities().unwrap(), ["a", "d"]);
        assert!(plugin(r#"{"type":"x","capabilities":{"a":"yes"}}"#).capabilities().is_err());
    }
}
