//! What `cais install` put into a directory of plugins, and what was there before.
//!
//! Files come by rename, so that a runtime that calls one meets the old or the new one, whole. What is
//! planned is noted before the first file comes: whatever is interrupted can be repeated, and undone.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cni::{Error, code};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What was put where, in the directory itself.
const NOTE: &str = ".cais-installed.json";
/// Files of others that stood in the way, in the directory itself.
const REPLACED: &str = ".cais-replaced";
const LAYOUT: u32 = 1;

/// The note.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Note {
    layout: u32,
    /// Programs by name, with the digest of each that was put there.
    files: BTreeMap<String, Vec<String>>,
    /// Configurations by path, with theirs.
    networks: BTreeMap<String, Vec<String>>,
}

impl Default for Note {
    fn default() -> Self {
        Self { layout: LAYOUT, files: BTreeMap::new(), networks: BTreeMap::new() }
    }
}

/// A directory of plugins.
#[derive(Debug)]
pub(crate) struct Installation {
    dir: PathBuf,
}

/// A file to be put somewhere.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    content: Vec<u8>,
    digest: String,
    /// Device and inode: files that are one stay one.
    id: (u64, u64),
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or has a name that is no text.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let failed = |e: io::Error| Error::new(code::IO, format!("read {}: {e}", path.display()));
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.is_empty() {
            return Err(failed(io::Error::other("its name is no text")));
        }
        let metadata = path.metadata().map_err(failed)?;
        let content = fs::read(path).map_err(failed)?;
        let digest = digest(&content);
        let id = (metadata.dev(), metadata.ino());
        Ok(Self { name: name.to_owned(), content, digest, id })
    }

    /// Reads every program in `dir`; names that begin with a dot are none.
    ///
    /// # Errors
    /// When one cannot be read, or there is none.
    pub(crate) fn programs(dir: &Path) -> Result<Vec<Self>, Error> {
        let failed = |e: io::Error| Error::new(code::IO, format!("read {}: {e}", dir.display()));
        let mut programs = Vec::new();
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let metadata = entry.path().metadata().map_err(failed)?;
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if metadata.is_file() && metadata.mode() & 0o111 != 0 && !is_hidden {
                programs.push(Self::read(&entry.path())?);
            }
        }
        programs.sort_by(|a, b| a.name.cmp(&b.name));
        if programs.is_empty() {
            return Err(Error::new(code::IO, format!("{} holds no program", dir.display()))
                .with_hint("name the directory of the plugins in --from"));
        }
        Ok(programs)
    }

    pub(crate) fn content(&self) -> &[u8] {
        &self.content
    }
}

impl Installation {
    pub(crate) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// What was put there; `None` where nothing was.
    ///
    /// # Errors
    /// When the note cannot be read, or is of a newer cais.
    pub(crate) fn note(&self) -> Result<Option<Note>, Error> {
        let path = self.dir.join(NOTE);
        let step = format!("read {}", path.display());
        let text = match fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|e| Error::new(code::IO, format!("{step}: {e}")))?,
        };
        match serde_json::from_slice::<Note>(&text) {
            Ok(note) if note.layout == LAYOUT => Ok(Some(note)),
            Ok(note) => Err(Error::new(
                code::IO,
                format!("{step}: layout {}, this cais knows {LAYOUT}", note.layout),
            )
            .with_hint("use the cais that wrote it")),
            Err(e) => Err(Error::new(code::DECODE, format!("{step}: {e}"))),
        }
    }

    /// Puts `programs` there and then `networks` into `net_dir`; a runtime uses a network as soon as it
    /// is there. Gives the names of what was not there already.
    ///
    /// # Errors
    /// What was tried and why it failed; what came before stays, and is known to [`Installation::remove`].
    pub(crate) fn put(
        &self,
        programs: &[Source],
        networks: &[Source],
        net_dir: &Path,
    ) -> Result<Vec<String>, Error> {
        create(&self.dir)?;
        let mut note = self.note()?.unwrap_or_default();
        for program in programs {
            add(note.files.entry(program.name.clone()).or_default(), &program.digest);
        }
        for network in networks {
            let path = net_dir.join(&network.name).display().to_string();
            add(note.networks.entry(path).or_default(), &network.digest);
        }
        self.write_note(&note)?;
        let mut put = Vec::new();
        let mut linked: HashMap<(u64, u64), PathBuf> = HashMap::new();
        for program in programs {
            let path = self.dir.join(&program.name);
            if digest_of(&path)?.as_ref() != Some(&program.digest) {
                self.keep(&program.name, &note.files[&program.name])?;
                write(&path, linked.get(&program.id).map(PathBuf::as_path), program, 0o755)?;
                put.push(program.name.clone());
            }
            linked.entry(program.id).or_insert(path);
        }
        if !networks.is_empty() {
            create(net_dir)?;
        }
        for network in networks {
            let path = net_dir.join(&network.name);
            if digest_of(&path)?.as_ref() != Some(&network.digest) {
                write(&path, None, network, 0o644)?;
                put.push(network.name.clone());
            }
        }
        Ok(put)
    }

    /// Keeps a file of others that is to be replaced; `ours` are those that were put there.
    fn keep(&self, name: &str, ours: &[String]) -> Result<(), Error> {
        let path = self.dir.join(name);
        let kept = self.dir.join(REPLACED).join(name);
        let is_foreign = digest_of(&path)?.is_some_and(|found| !ours.contains(&found));
        if !is_foreign || kept.exists() {
            return Ok(());
        }
        create(&self.dir.join(REPLACED))?;
        fs::hard_link(&path, &kept)
            .map_err(|e| Error::new(code::IO, format!("keep {}: {e}", path.display())))
    }

    /// Takes away the configurations that are as they were put. Gives those that were changed.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub(crate) fn remove_networks(note: &Note) -> Result<Vec<PathBuf>, Error> {
        let mut changed = Vec::new();
        for (path, ours) in &note.networks {
            let path = Path::new(path);
            match digest_of(path)? {
                Some(found) if ours.contains(&found) => remove(path)?,
                Some(_) => changed.push(path.to_owned()),
                None => {}
            }
        }
        Ok(changed)
    }

    /// Takes away the programs that are as they were put, and gives back what they replaced. Gives the
    /// names of those that somebody else changed, which stay.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub(crate) fn remove(&self, note: &Note) -> Result<Vec<String>, Error> {
        let mut changed = Vec::new();
        for (name, ours) in &note.files {
            let (path, kept) = (self.dir.join(name), self.dir.join(REPLACED).join(name));
            match digest_of(&path)? {
                Some(found) if !ours.contains(&found) => changed.push(name.clone()),
                _ if kept.exists() => rename(&kept, &path)?,
                Some(_) => remove(&path)?,
                None => {}
            }
        }
        // What is left in there belongs to files that stay.
        let _ = fs::remove_dir(self.dir.join(REPLACED));
        remove(&self.dir.join(NOTE))?;
        Ok(changed)
    }

    fn write_note(&self, note: &Note) -> Result<(), Error> {
        let text = serde_json::to_vec(note)
            .map_err(|e| Error::new(code::INTERNAL, format!("note what is installed: {e}")))?;
        let note = Source { name: NOTE.into(), digest: String::new(), content: text, id: (0, 0) };
        write(&self.dir.join(NOTE), None, &note, 0o644)
    }
}

/// Puts a file at `path` by rename: another name of `same` where that is given.
fn write(path: &Path, same: Option<&Path>, source: &Source, mode: u32) -> Result<(), Error> {
    let failed = |e: io::Error| Error::new(code::IO, format!("install {}: {e}", path.display()));
    let new = path.with_file_name(format!(".{}.cais-new", source.name));
    // A call that was killed may have left it.
    match fs::remove_file(&new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    match same {
        Some(same) => fs::hard_link(same, &new).map_err(failed)?,
        None => {
            let mut file = File::create_new(&new).map_err(failed)?;
            file.write_all(&source.content).map_err(failed)?;
            file.set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
            file.sync_all().map_err(failed)?;
        }
    }
    rename(&new, path)
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|e| Error::new(code::IO, format!("install {}: {e}", to.display())))
}

fn add(digests: &mut Vec<String>, digest: &String) {
    if !digests.contains(digest) {
        digests.push(digest.clone());
    }
}

fn create(dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir)
        .map_err(|e| Error::new(code::IO, format!("create {}: {e}", dir.display())))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Error::new(code::IO, format!("remove {}: {e}", path.display())))
        }
        _ => Ok(()),
    }
}

/// The digest of a file; `None` where there is none.
fn digest_of(path: &Path) -> Result<Option<String>, Error> {
    match fs::read(path) {
        Ok(content) => Ok(Some(digest(&content))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::new(code::IO, format!("read {}: {e}", path.display()))),
    }
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
