//! Networks in directories of configuration, in libcni's order.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use types::NetworkName;

use super::list::{NetworkList, PluginConfig};
use crate::error::{Error, code};
use crate::json::Object;
use crate::state;

/// More than this is no network configuration.
const MOST_BYTES: u64 = 16 << 20;

/// Where lists are looked for: `NETCONFPATH`, else `/etc/cni/net.d` and then `/etc/cais/net.d`.
#[must_use]
pub fn config_dirs() -> Vec<PathBuf> {
    match std::env::var_os("NETCONFPATH") {
        Some(dir) if !dir.is_empty() => vec![PathBuf::from(dir)],
        _ => ["etc/cni/net.d", "etc/cais/net.d"].map(|dir| state::root().join(dir)).to_vec(),
    }
}

/// Where plugins are looked for: `CNI_PATH`, else beside the running program and where
/// distributions and runtimes put them. Programs are no state, so `CAIS_ROOT` does not move them.
#[must_use]
pub fn plugin_dirs() -> Vec<PathBuf> {
    match std::env::var_os("CNI_PATH") {
        // An empty element would be the working directory, which nobody means.
        Some(path) if !path.is_empty() => {
            std::env::split_paths(&path).filter(|p| p != Path::new("")).collect()
        }
        _ => {
            let own = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()));
            let usual = ["/opt/cni/bin", "/usr/libexec/cni", "/usr/lib/cni"].map(PathBuf::from);
            own.into_iter().chain(usual).collect()
        }
    }
}

/// The network `name`: in the first of `dirs` that has it, lists before single configurations,
/// each in the order of their bytes.
///
/// # Errors
/// The first file that cannot be read before one matches, since it might be the one meant; code 7
/// when no file has the name.
pub fn find(dirs: &[PathBuf], name: &NetworkName) -> Result<NetworkList, Error> {
    let mut seen = Vec::new();
    for dir in dirs {
        for file in files(dir)? {
            let list = load_as_named(&file)?;
            if list.name() == name {
                return with_drop_ins(list);
            }
            seen.push(list.name().to_string());
        }
    }
    let places: Vec<_> = dirs.iter().map(|d| d.to_string_lossy()).collect();
    let places = places.join(" and ");
    if seen.is_empty() {
        let text = format!("no net configurations found in {places}");
        return Err(Error::new(code::INVALID_CONFIG, text)
            .with_hint("put a .conflist there, or name its path"));
    }
    let text = format!("no net configuration with name \"{name}\" in {places}");
    Err(Error::new(code::INVALID_CONFIG, text).with_hint(format!("known are {}", seen.join(", "))))
}

/// A file of configuration and what it holds.
pub type Found = (PathBuf, Result<NetworkList, Error>);

/// Every configuration of `dirs` in the order of [`find`], with its fault where it has one.
///
/// # Errors
/// Code 5 when a directory is there and cannot be read.
pub fn all(dirs: &[PathBuf]) -> Result<Vec<Found>, Error> {
    let mut lists = Vec::new();
    for dir in dirs {
        for file in files(dir)? {
            let list = load_as_named(&file).and_then(with_drop_ins);
            lists.push((file, list));
        }
    }
    Ok(lists)
}

/// The network in `file`, a list or a single plugin's configuration, whatever the file is called.
///
/// # Errors
/// Code 5 when it cannot be read, and those of [`NetworkList::parse`].
pub fn load(file: &Path) -> Result<NetworkList, Error> {
    let text = read(file)?;
    let is_single = Object::parse(&text).is_ok_and(|o| o.get("type").is_some());
    let parse = if is_single { NetworkList::parse_single } else { NetworkList::parse_partial };
    let list = parse(&text).map_err(|e| in_file(e, file))?.loaded_from(file);
    with_drop_ins(list)
}

/// As a runtime loads it: what it must hold is said by its name.
fn load_as_named(file: &Path) -> Result<NetworkList, Error> {
    let text = read(file)?;
    let is_list = file.extension() == Some(OsStr::new("conflist"));
    let parse = if is_list { NetworkList::parse_partial } else { NetworkList::parse_single };
    Ok(parse(&text).map_err(|e| in_file(e, file))?.loaded_from(file))
}

/// Appends the plugins of the folder that is beside the list and has the network's name.
fn with_drop_ins(mut list: NetworkList) -> Result<NetworkList, Error> {
    let file = list.file().unwrap_or(Path::new("")).to_owned();
    if let (false, Some(dir)) = (list.loads_only_inlined(), file.parent()) {
        let folder = dir.join(list.name().as_str());
        for drop_in in entries(&folder)?.into_iter().filter(|f| has_extension(f, "conf")) {
            let plugin = PluginConfig::parse(&read(&drop_in)?, Some(drop_in.clone()))
                .map_err(|e| in_file(e, &drop_in))?;
            list.plugins.push(plugin);
        }
    }
    list.plugins_given().map_err(|e| in_file(e, &file))?;
    Ok(list)
}

/// Lists, then single configurations, each in the order of their bytes.
fn files(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let (mut files, others): (Vec<_>, Vec<_>) =
        entries(dir)?.into_iter().partition(|f| has_extension(f, "conflist"));
    files.extend(
        others.into_iter().filter(|f| has_extension(f, "conf") || has_extension(f, "json")),
    );
    Ok(files)
}

/// The files in a directory in the order of their bytes; none when it is missing.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |e| Error::new(code::IO, format!("read directory {}: {e}", dir.display()));
    let listed = match fs::read_dir(dir) {
        Ok(listed) => listed,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(failed(e)),
    };
    let mut files: Vec<PathBuf> =
        listed.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>().map_err(failed)?;
    // Opening a pipe would wait for its writer. A link that leads nowhere stays, to be told of.
    files.retain(|file| !file.exists() || file.is_file());
    files.sort();
    Ok(files)
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension() == Some(OsStr::new(extension))
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    use io::Read;
    let mut text = Vec::new();
    fs::File::open(file)
        .and_then(|opened| opened.take(MOST_BYTES).read_to_end(&mut text))
        .map_err(|e| Error::new(code::IO, format!("read {}: {e}", file.display())))?;
    Ok(text)
}

fn in_file(error: Error, file: &Path) -> Error {
    error.in_step(file.display().to_string())
}
