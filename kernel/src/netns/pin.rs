//! Making namespaces and pinning them on files, in the places and ways of ip-netns(8), so that
//! `ip netns` and we see each other's.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::{NOTHING, Netns, NetnsError, OF_THREAD};

/// Makes a new network namespace and pins it on `path`, a file that must not exist yet.
///
/// As `ip netns add` does, the directory becomes a shared mount, so that pins made in one mount
/// namespace are seen, and go away, in all. The calling thread stays where it is; `lo` is down.
///
/// # Errors
/// [`NetnsError::Create`] with the step that failed; nothing is left behind then.
pub fn create(path: impl Into<PathBuf>) -> Result<Netns, NetnsError> {
    let path = path.into();
    let failed = |step, source| NetnsError::Create { path: path.clone(), step, source };
    let directory = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)
        .map_err(|error| failed("create its directory", error))?;
    share_mounts(directory).map_err(|error| failed("share its directory's mount", error))?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o000)
        .open(&path)
        .map_err(|error| failed("create its file", error))?;
    let pinned = in_new_namespace(|| {
        mount(Some(OF_THREAD), &path, NOTHING, MsFlags::MS_BIND, NOTHING).map_err(io::Error::from)
    });
    if let Err((step, error)) = pinned {
        // The file is ours and empty; a second failure would only hide the first.
        let _ = fs::remove_file(&path);
        return Err(failed(step, error));
    }
    Netns::open(path)
}

/// Makes a new network namespace that lives only as long as the returned value (and processes in
/// it). Its path leads through this process.
///
/// # Errors
/// [`NetnsError::Create`].
pub fn create_unnamed() -> Result<Netns, NetnsError> {
    use std::os::fd::AsRawFd;
    let made = in_new_namespace(|| File::open(OF_THREAD));
    match made {
        Ok(file) => {
            let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into();
            Ok(Netns { file, path })
        }
        Err((step, source)) => Err(NetnsError::Create { path: "(unnamed)".into(), step, source }),
    }
}

/// Takes the pin at `path` away. The namespace ends with its last process and open file.
///
/// # Errors
/// [`NetnsError::Missing`] when there is no such file; [`NetnsError::Delete`].
pub fn delete(path: impl Into<PathBuf>) -> Result<(), NetnsError> {
    let path = path.into();
    match umount2(&path, MntFlags::MNT_DETACH) {
        // EINVAL: a plain file, left by somebody who unmounted and did not remove.
        Ok(()) | Err(Errno::EINVAL) => {}
        Err(Errno::ENOENT) => return Err(NetnsError::Missing { path }),
        Err(errno) => {
            return Err(NetnsError::Delete { path, step: "unmount it", source: errno.into() });
        }
    }
    match fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(source) => Err(NetnsError::Delete { path, step: "remove its file", source }),
    }
}

/// Runs `inside` on a thread that has just moved to a new network namespace.
fn in_new_namespace<T: Send>(
    inside: impl FnOnce() -> io::Result<T> + Send,
) -> Result<T, (&'static str, io::Error)> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .spawn_scoped(scope, || {
                unshare(CloneFlags::CLONE_NEWNET)
                    .map_err(|errno| ("unshare", io::Error::from(errno)))?;
                inside().map_err(|error| ("pin it", error))
            })
            .map_err(|error| ("start a thread", error))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Makes `directory` a shared mount; when it is no mount at all yet, a bind mount of itself first.
fn share_mounts(directory: &Path) -> io::Result<()> {
    let share =
        || mount(NOTHING, directory, NOTHING, MsFlags::MS_SHARED | MsFlags::MS_REC, NOTHING);
    match share() {
        Err(Errno::EINVAL) => {
            let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(Some(directory), directory, NOTHING, bind, NOTHING)?;
            Ok(share()?)
        }
        other => Ok(other?),
    }
}
