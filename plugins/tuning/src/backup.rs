//! What the interface had before ADD: the reference's file, to the letter, so that either side's
//! DEL restores what the other's ADD changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cni::json::{Object, Value};
use cni::keyed::{remove_file, replace};
use types::Attachment;

use crate::attributes::Attributes;

/// The file of one attachment: `<dataDir>/<container>_<ifname>.json`. The network is no part of its
/// name, and all networks share the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backup {
    path: PathBuf,
}

impl Backup {
    pub(crate) fn of(key: &Attachment, data_dir: &Path) -> Self {
        let path = data_dir.join(format!("{}_{}.json", key.container, key.ifname));
        // GC runs in another directory than ADD.
        Self { path: std::path::absolute(&path).unwrap_or(path) }
    }

    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds; nothing when it is not there or torn.
    pub(crate) fn read(&self) -> Attributes {
        fs::read(&self.path).map(|text| parse(&text)).unwrap_or_default()
    }

    /// Its bytes, to put it back; `None` when it is not there.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        fs::read(&self.path).ok()
    }

    /// Writes it, whole or not at all, with mode 0600. Directories that are missing get 0755: that
    /// of other state (`/run/cni`) may be one of them, and others have to get through it.
    pub(crate) fn write(&self, text: &[u8]) -> io::Result<()> {
        replace(&self.path, &self.temporary(), text, 0o755)
    }

    /// Removes it, and what a killed call left of one; none there is success.
    pub(crate) fn remove(&self) -> io::Result<()> {
        remove_file(&self.temporary()).and(remove_file(&self.path))
    }

    /// Named after the file, so that whoever removes that finds what a killed call left of it.
    fn temporary(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        self.path.with_file_name(name)
    }
}

/// As Go's encoder prints it with an indent of one blank.
pub(crate) fn text(attributes: &Attributes) -> Vec<u8> {
    let Attributes { mac, promisc, mtu, allmulti, txqlen } = attributes;
    let members: Vec<String> = [
        mac.map(|mac| format!(" \"mac\": \"{mac}\"")),
        promisc.map(|on| format!(" \"promisc\": {on}")),
        mtu.map(|bytes| format!(" \"mtu\": {bytes}")),
        allmulti.map(|on| format!(" \"allmulti\": {on}")),
        txqlen.map(|packets| format!(" \"txQLen\": {packets}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    format!("{{\n{}\n}}", members.join(",\n")).into_bytes()
}

/// A member that cannot be read is left out: the others can still be restored.
fn parse(text: &[u8]) -> Attributes {
    let Ok(keys) = Object::parse(text) else { return Attributes::default() };
    let flag = |key| keys.get(key).and_then(|value: Value<'_>| value.boolean().ok());
    let number = |key| keys.number(key).ok().flatten();
    Attributes {
        mac: keys.parsed("mac").ok().flatten(),
        promisc: flag("promisc"),
        mtu: number("mtu").filter(|bytes| *bytes != 0),
        allmulti: flag("allmulti"),
        txqlen: number("txQLen"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_references_to_the_letter_and_comes_back() {
        let all = Attributes {
            mac: Some("9e:0e:62:7f:79:79".parse().unwrap()),
            promisc: Some(false),
            mtu: Some(1500),
            allmulti: Some(false),
            txqlen: Some(0),
        };
        let expected = "{\n \"mac\": \"9e:0e:62:7f:79:79\",\n \"promisc\": false,\n \"mtu\": 1500,\n \"allmulti\": false,\n \"txQLen\": 0\n}";
        assert_eq!(String::from_utf8(text(&all)).unwrap(), expected);
        assert_eq!(parse(expected.as_bytes()), all);
        let mtu = Attributes { mtu: Some(9000), ..Attributes::default() };
        assert_eq!(text(&mtu), b"{\n \"mtu\": 9000\n}");
    }

    #[test]
    fn of_a_torn_or_odd_file_the_rest_is_read() {
        for nothing in ["", "{", "[]", "{}", "null", "\0\0"] {
            assert!(parse(nothing.as_bytes()).is_empty(), "{nothing:?}");
        }
        let odd = parse(br#"{"mac":"zz","promisc":1,"mtu":1400,"allmulti":null,"txQLen":-1}"#);
        assert_eq!(odd, Attributes { mtu: Some(1400), ..Attributes::default() });
    }
}
