//! Files that daemons and plugin share: written whole or not at all, and no error where there is none.

use std::borrow::Cow;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// A part of a file's name: ids and names of networks have no limit of length, files have.
pub(crate) fn short(text: &str) -> Cow<'_, str> {
    const MAX_BYTES: usize = 180;
    match text.len() {
        0..=MAX_BYTES => text.into(),
        // Ids are ASCII.
        _ => format!("{}#{:016x}", &text[..MAX_BYTES], types::stable_hash(text)).into(),
    }
}

/// Writes a file by renaming it into place.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::File { verb: "write", path: path.to_owned(), source };
    let dir = path.parent().expect("files of ours have a directory");
    let name = path.file_name().expect("files of ours have a name").to_string_lossy();
    let new = dir.join(format!(".{name}.{}.new", std::process::id()));
    fs::create_dir_all(dir).map_err(failed)?;
    let written = (|| {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o644).open(&new)?;
        // Whatever the umask.
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        file.write_all(text.as_bytes())?;
        fs::rename(&new, path)
    })();
    written.map_err(|error| {
        let _ = fs::remove_file(&new);
        failed(error)
    })
}

/// Whether `name` is that of a file that a living process may be writing.
pub(crate) fn is_being_written(name: &str) -> bool {
    let writer = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".new"));
    let writer = writer.and_then(|rest| rest.rsplit_once('.')).map(|(_, pid)| pid);
    writer.is_some_and(|pid| Path::new("/proc").join(pid).exists())
}

/// What a file holds; `None` where there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { verb: "read", path: path.to_owned(), source }),
    }
}

/// Removes a file; none there is success.
pub(crate) fn remove(path: PathBuf) -> Result<(), Error> {
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::File { verb: "remove", path, source: error })
        }
        _ => Ok(()),
    }
}
