use types::{Attachment, ContainerId, IfName, NetworkName};

use crate::error::{Error, code};
use crate::json::Object;
use crate::result::AddResult;
use crate::version::Version;

/// A network configuration as it came on standard input: well-formed JSON with a proper name and
/// a version that cais speaks.
#[derive(Clone, Debug)]
pub struct Config {
    text: Vec<u8>,
    name: NetworkName,
    version: Version,
}

/// An attachment that the caller of GC says is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcAttachment {
    /// The container.
    pub container: ContainerId,
    /// Its interface; `None` when the caller gave none, which stands for all of the container's.
    pub ifname: Option<IfName>,
}

impl GcAttachment {
    /// Whether it says that `key`, of the same network, is alive.
    #[must_use]
    pub fn covers(&self, key: &Attachment) -> bool {
        self.container == key.container
            && self.ifname.as_ref().is_none_or(|ifname| *ifname == key.ifname)
    }
}

impl Config {
    /// Wraps `text` whose name and version have been read already.
    pub(crate) fn new(text: Vec<u8>, name: NetworkName, version: Version) -> Self {
        Self { text, name, version }
    }

    /// Reads a configuration outside of a call, to check it.
    ///
    /// # Errors
    /// Codes 1, 6 and 7, as ADD's for the same text.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        crate::request::config(text.to_vec()).map_err(|refused| refused.error)
    }

    /// The document to the letter, for delegates.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Name of the network.
    #[must_use]
    pub fn name(&self) -> &NetworkName {
        &self.name
    }

    /// Version of the configuration; results are written in it.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The document to read keys from.
    ///
    /// # Errors
    /// Never in practice, since the text was parsed when the configuration was read.
    pub fn object(&self) -> Result<Object<'_>, Error> {
        Object::parse(&self.text)
    }

    /// Type of the IPAM plugin; `None` when there is none (layer 2 only).
    ///
    /// # Errors
    /// Code 6 when `ipam` is no object or its type no text.
    pub fn ipam_type(&self) -> Result<Option<String>, Error> {
        let Some(ipam) = self.object()?.object("ipam")? else { return Ok(None) };
        Ok(ipam.string("type")?.filter(|t| !t.is_empty()))
    }

    /// Result of the plugins before this one (ADD) or of the whole chain (CHECK, DEL).
    ///
    /// # Errors
    /// Code 6 when it is there and no result.
    pub fn prev_result(&self) -> Result<Option<AddResult>, Error> {
        let object = self.object()?;
        let Some(value) = object.get("prevResult") else { return Ok(None) };
        AddResult::decode(&value, self.version)
            .map(Some)
            .map_err(|e| e.in_step("could not parse prevResult"))
    }

    /// What `runtimeConfig` holds for `capability`; `None` when the runtime gave nothing.
    ///
    /// # Errors
    /// Code 6 when `runtimeConfig` is no object.
    pub fn runtime(&self) -> Result<Object<'_>, Error> {
        Ok(self.object()?.object("runtimeConfig")?.unwrap_or_default())
    }

    /// The object `args.cni`, empty when absent.
    ///
    /// # Errors
    /// Code 6 when it is no object.
    pub fn args_cni(&self) -> Result<Object<'_>, Error> {
        match self.object()?.object("args")? {
            None => Ok(Object::default()),
            Some(args) => Ok(args.object("cni")?.unwrap_or_default()),
        }
    }

    /// The attachments that a caller of GC declares alive. `None` when it gave no list: then
    /// nothing is known to be dead. `null` and `[]` both say that none is alive.
    ///
    /// # Errors
    /// Code 6 or 7 when the list is not one of attachments; guessing here would remove the living.
    pub fn valid_attachments(&self) -> Result<Option<Vec<GcAttachment>>, Error> {
        let object = self.object()?;
        let keys = ["cni.dev/valid-attachments", "cni.dev/attachments"];
        let Some(key) = keys.into_iter().find(|key| object.has(key)) else { return Ok(None) };
        let mut valid = Vec::new();
        for element in object.list(key)? {
            let entry = element.object()?;
            let container = entry.parsed("containerID")?.ok_or_else(|| {
                Error::new(
                    code::INVALID_CONFIG,
                    format!("key \"{}\": an attachment needs a containerID", entry.path()),
                )
            })?;
            valid.push(GcAttachment { container, ifname: entry.parsed("ifname")? });
        }
        Ok(Some(valid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::new(text.as_bytes().to_vec(), "n".parse().unwrap(), Version::V1_1_0)
    }

    #[test]
    fn null_and_empty_say_none_alive_and_absent_says_nothing() {
        let valid = |text| config(text).valid_attachments().unwrap();
        assert_eq!(valid("{}"), None);
        assert_eq!(valid(r#"{"cni.dev/valid-attachments":null}"#), Some(vec![]));
        assert_eq!(valid(r#"{"cni.dev/attachments":[]}"#), Some(vec![]));
        let one = valid(
            r#"{"cni.dev/attachments":[],
                "cni.dev/valid-attachments":[{"containerID":"c","ifname":"eth0"}]}"#,
        );
        assert_eq!(one.map(|list| list.len()), Some(1), "the newer key is preferred");
    }

    #[test]
    fn a_list_that_is_none_of_attachments_is_refused() {
        for list in [r#""x""#, r#"[1]"#, r#"[{}]"#, r#"[{"containerID":"../x"}]"#] {
            let text = format!(r#"{{"cni.dev/valid-attachments":{list}}}"#);
            assert!(config(&text).valid_attachments().is_err(), "{list}");
        }
    }
}
