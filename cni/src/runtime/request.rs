//! What a plugin reads from standard input: its object of the list with what the runtime adds.

use super::capabilities::Capabilities;
use super::list::{NetworkList, PluginConfig};
use crate::config::GcAttachment;
use crate::error::Error;
use crate::json::Object;

/// What the runtime adds to a plugin's object.
#[derive(Default)]
pub(super) struct Added<'a> {
    /// Result of the plugins before (ADD) or of the chain (CHECK, DEL), as JSON.
    pub(super) prev_result: Option<&'a str>,
    /// Values for capabilities.
    pub(super) capabilities: Option<&'a Capabilities>,
    /// GC: the attachments that are alive.
    pub(super) valid: Option<&'a [GcAttachment]>,
}

/// Derives the configuration of one call. Keys and numbers of the plugin's object stay as written
/// and in their order; `capabilities` and reserved keys are for the runtime and stay behind.
pub(super) fn derive(
    list: &NetworkList,
    plugin: &PluginConfig,
    added: &Added<'_>,
) -> Result<Vec<u8>, Error> {
    let enabled = plugin.capabilities()?;
    let runtime_config = added
        .capabilities
        .and_then(|all| all.object_of(|name| enabled.iter().any(|enabled| enabled == name)));
    let mut request = JsonObject::new();
    request.text("cniVersion", list.version_text());
    request.text("name", list.name().as_str());
    for (key, value) in Object::parse(plugin.text.as_bytes())?.entries() {
        let replaced = match key.to_ascii_lowercase().as_str() {
            "cniversion" | "name" | "capabilities" => true,
            "prevresult" => added.prev_result.is_some(),
            "runtimeconfig" => runtime_config.is_some(),
            reserved => reserved.starts_with("cni.dev/"),
        };
        if !replaced {
            request.raw(key, value.raw().get());
        }
    }
    if let Some(values) = &runtime_config {
        request.raw("runtimeConfig", values);
    }
    if let Some(result) = added.prev_result {
        request.raw("prevResult", result);
    }
    if let Some(valid) = added.valid {
        let valid = attachments(valid);
        // The tag of 1.1.0 and the text after it name the key differently.
        request.raw("cni.dev/attachments", &valid);
        request.raw("cni.dev/valid-attachments", &valid);
    }
    Ok(request.finish().into_bytes())
}

fn attachments(valid: &[GcAttachment]) -> String {
    let each = valid.iter().map(|attachment| {
        let mut object = JsonObject::new();
        object.text("containerID", attachment.container.as_str());
        if let Some(ifname) = &attachment.ifname {
            object.text("ifname", ifname.as_str());
        }
        object.finish()
    });
    format!("[{}]", each.collect::<Vec<_>>().join(","))
}

/// A JSON object built of parts that are JSON already.
pub(super) struct JsonObject(String);

impl JsonObject {
    pub(super) fn new() -> Self {
        Self("{".to_owned())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.raw(key, &quoted(value));
    }

    /// `value` must be JSON.
    pub(super) fn raw(&mut self, key: &str, value: &str) {
        if !self.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&quoted(key));
        self.0.push(':');
        self.0.push_str(value);
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text always has a JSON form")
}

/// `json` without the space between its tokens.
pub(super) fn compact(json: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    let keep = |c: &char| {
        let kept = inside || !c.is_ascii_whitespace();
        if inside {
            inside = escaped || *c != '"';
            escaped = !escaped && *c == '\\';
        } else {
            inside = *c == '"';
        }
        kept
    };
    json.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(plugin: &str, added: &Added<'_>) -> String {
        let text = format!(r#"{{"name":"n","cniVersion":"1.1.0","plugins":[{plugin}]}}"#);
        let list = NetworkList::parse(text.as_bytes()).unwrap();
        String::from_utf8(derive(&list, &list.plugins()[0], added).unwrap()).unwrap()
    }

    #[test]
    fn numbers_order_and_spelling_of_keys_pass_unchanged() {
        let plugin = r#"{"type":"x","z":18446744073709551617,"A":1.50,"<&>":"é\u0041","cniVersions":["1.0.0"]}"#;
        assert_eq!(
            derived(plugin, &Added::default()),
            format!(r#"{{"cniVersion":"1.1.0","name":"n",{}"#, &plugin[1..])
        );
    }

    #[test]
    fn what_belongs_to_the_runtime_stays_behind_or_is_replaced() {
        let plugin = r#"{"type":"x","Name":"other","cniVersion":"0.1.0","cni.dev/attachments":[],
            "capabilities":{"ips":true,"mac":false},"prevResult":{"old":1}}"#;
        let mut capabilities = Capabilities::default();
        capabilities.set_text("mac", "\"aa\"").unwrap();
        capabilities.set_text("ips", "[1.0]").unwrap();
        let added =
            Added { prev_result: Some("{}"), capabilities: Some(&capabilities), valid: None };
        assert_eq!(
            derived(plugin, &added),
            r#"{"cniVersion":"1.1.0","name":"n","type":"x","runtimeConfig":{"ips":[1.0]},"prevResult":{}}"#
        );
    }

    #[test]
    fn gc_gets_the_living_under_both_keys() {
        let valid = [GcAttachment {
            container: "c".parse().unwrap(),
            ifname: Some("eth0".parse().unwrap()),
        }];
        let text = derived(r#"{"type":"x"}"#, &Added { valid: Some(&valid), ..Added::default() });
        let list = r#"[{"containerID":"c","ifname":"eth0"}]"#;
        assert!(text.ends_with(&format!(
            r#""cni.dev/attachments":{list},"cni.dev/valid-attachments":{list}}}"#
        )));
    }

    #[test]
    fn compacting_leaves_texts_alone() {
        let json = "{ \"a b\" : [ 1 ,\n\t\"c \\\" } \\\\\" , \"\\\\\" ] }";
        assert_eq!(compact(json), r#"{"a b":[1,"c \" } \\","\\"]}"#);
    }
}
