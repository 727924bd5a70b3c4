//! From what people call a network to its list.

use std::path::Path;

use cni::runtime::{NetworkList, directory};
use cni::{Error, code};
use types::NetworkName;

use crate::output::note;

/// What a network was called by.
pub(crate) enum Called<'a> {
    /// The path of its configuration.
    File(&'a Path),
    /// Its name.
    Name(NetworkName),
}

/// Takes what has a `/` or is the name of a file with an extension of ours for a path.
pub(crate) fn called(text: &str) -> Result<Called<'_>, Error> {
    let path = Path::new(text);
    let has_our_extension = path
        .extension()
        .is_some_and(|e| ["conflist", "conf", "json"].into_iter().any(|ours| e == ours));
    if text.contains('/') || (has_our_extension && path.exists()) {
        return Ok(Called::File(path));
    }
    text.parse()
        .map(Called::Name)
        .map_err(|e| Error::new(code::INVALID_CONFIG, format!("network `{text}`: its name {e}")))
}

/// The list of the network that `text` names.
pub(crate) fn load(text: &str) -> Result<NetworkList, Error> {
    let mut list = match called(text)? {
        Called::File(file) => directory::load(file)?,
        Called::Name(name) => directory::find(&directory::config_dirs(), &name)?,
    };
    if let Some(why) = list.negotiate(&directory::plugin_dirs()) {
        note(&format!("network {}: {why}", list.name()));
    }
    Ok(list)
}
