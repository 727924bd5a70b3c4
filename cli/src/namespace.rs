//! From what people call a namespace to its path.

use std::path::{Component, Path, PathBuf};

use cni::{Error, code};
use kernel::netns::{Netns, NetnsError};
use types::ContainerId;

use crate::session::Session;

/// Where `ip netns` pins namespaces.
const PINS: &str = "/run/netns";
/// The same directory by the name that cnitool's users write.
const PINS_AS_EVER: &str = "/var/run/netns";

/// A namespace as it was named.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Its path, absolute.
    pub(crate) path: PathBuf,
    /// Another path by which it may be known.
    pub(crate) also: Option<PathBuf>,
    /// The container that it was found by.
    pub(crate) container: Option<ContainerId>,
}

impl Place {
    fn at(path: PathBuf) -> Self {
        Self { path, also: None, container: None }
    }

    /// Opens it, so that a wrong one is found out before any plugin is called.
    pub(crate) fn open(&self) -> Result<Netns, Error> {
        Netns::open(&self.path).map_err(|e| {
            let hint = match &e {
                NetnsError::Missing { .. } => {
                    "make it with `cais netns add`, or name a process id or a path"
                }
                NetnsError::NotANamespace { .. } => {
                    "its namespace was unmounted: remove the file and make it anew"
                }
                _ => "namespaces of others need root",
            };
            Error::from_chain(code::INVALID_ENVIRONMENT, &e).with_hint(hint)
        })
    }
}

/// The namespace that `text` names: a path, a name below `/run/netns`, a process id, or the id of
/// a container that is attached somewhere. Whether it is there is not asked.
pub(crate) fn find(session: &Session, text: &str) -> Result<Place, Error> {
    if text.contains('/') {
        return Ok(Place::at(absolute(Path::new(text))?));
    }
    if text.is_empty() || text == "." || text == ".." {
        let message = format!("`{text}` names no namespace");
        return Err(Error::new(code::INVALID_ENVIRONMENT, message));
    }
    let pin = Path::new(PINS).join(text);
    let named = Place { also: Some(Path::new(PINS_AS_EVER).join(text)), ..Place::at(pin.clone()) };
    if pin.exists() {
        return Ok(named);
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(Place::at(PathBuf::from(format!("/proc/{text}/ns/net"))));
    }
    Ok(of_container(session, text)?.unwrap_or(named))
}

/// The namespace of a container that is attached somewhere.
fn of_container(session: &Session, text: &str) -> Result<Option<Place>, Error> {
    let Ok(id) = text.parse::<ContainerId>() else { return Ok(None) };
    let attachments = session.runtime().cache().attachments()?;
    let found = attachments.into_iter().filter(|a| a.attachment.container == id);
    Ok(found
        .filter_map(|a| a.netns)
        .next_back()
        .map(|path| Place { container: Some(id), ..Place::at(path) }))
}

/// The pin of a namespace named `name`.
pub(crate) fn pin(name: &str) -> Result<PathBuf, Error> {
    let is_plain = Path::new(name).components().eq([Component::Normal(name.as_ref())]);
    if !is_plain || name.contains('\0') {
        let text = format!("namespace `{name}`: this is no file name");
        return Err(Error::new(code::INVALID_ENVIRONMENT, text));
    }
    Ok(Path::new(PINS).join(name))
}

/// All pins, by name.
pub(crate) fn pins() -> Result<Vec<String>, Error> {
    let entries = match std::fs::read_dir(PINS) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::new(code::IO, format!("read directory {PINS}: {e}"))),
    };
    let mut names: Vec<String> =
        entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// `path` from the root, without `.` and `..`, as cnitool writes it: ids are made of it.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    let from = if path.is_absolute() {
        PathBuf::from("/")
    } else {
        std::env::current_dir()
            .map_err(|e| Error::new(code::IO, format!("find the working directory: {e}")))?
    };
    let mut clean = from;
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        let clean = |text| absolute(Path::new(text)).unwrap().to_string_lossy().into_owned();
        assert_eq!(clean("//var/./run/../run/netns//x/"), "/var/run/netns/x");
        assert_eq!(clean("/../x"), "/x");
        let here = std::env::current_dir().unwrap();
        assert_eq!(clean("./a/../b"), here.join("b").to_string_lossy());
    }

    #[test]
    fn only_file_names_are_names_of_pins() {
        assert_eq!(pin("c1").unwrap(), Path::new("/run/netns/c1"));
        for name in ["", ".", "..", "a/b", "/a", "a\0"] {
            assert!(pin(name).is_err(), "{name:?}");
        }
    }
}
