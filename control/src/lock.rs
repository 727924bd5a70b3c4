//! The lock of those who may start a daemon.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Instant;

use cni::{Error, code};

use crate::failed;

/// Takes the lock that the directory at `path` is, until the file is dropped. It is made when it is
/// missing, for its owner alone. `others` says what those do who hold it.
///
/// A directory, so that nothing is left behind that tells of no living thing.
///
/// # Errors
/// Code 11 when others hold it until `until`; code 5 with what the system said.
pub fn lock(path: &Path, until: Instant, others: &str) -> Result<File, Error> {
    let step = || format!("lock {}", path.display());
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut directory = DirBuilder::new();
            directory.recursive(true).mode(0o700);
            directory.create(path).and_then(|()| File::open(path))
        }
        other => other,
    };
    let file = file.map_err(|error| failed(step(), error))?;
    let left = until.saturating_duration_since(Instant::now());
    deadline::lock(&file, left).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => {
            Error::new(code::TRY_AGAIN, format!("{}: others hold it", step()))
                .with_hint(format!("calls that {others} take turns: call again"))
        }
        _ => failed(step(), error),
    })?;
    Ok(file)
}
