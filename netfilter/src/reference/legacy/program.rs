//! Running iptables of the legacy variant. Its rules are not nf_tables', and the kernel takes them
//! only as a whole table in an undocumented binary form, under a lock that all users share.

use std::env;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use deadline::Pending;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use types::Family;

use super::{LIMIT, LegacyError};

/// Where administrators' programs are, whatever a runtime has in its `PATH`.
const DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];
/// Most that is read of what a program prints, in bytes.
const PRINTED: u64 = 64 << 20;

/// A tool of iptables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// Prints rules.
    Save,
    /// Changes a table at once.
    Restore,
}

/// What a program printed.
struct Printed {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Runs `tool` for `family` with `input`; gives back what it printed.
///
/// # Errors
/// When there is no such tool of the legacy variant, when it fails, or has not ended at `until`.
pub(super) fn run(
    tool: Tool,
    family: Family,
    (args, input): (&[&str], &str),
    until: Instant,
) -> Result<String, LegacyError> {
    let program = find(tool, family, until)?;
    let printed = execute(&program, args, input, until)?;
    if !printed.status.success() {
        let text = String::from_utf8_lossy(&printed.stderr).trim().replace('\n', "; ");
        return Err(LegacyError::Failed { program, status: printed.status, text });
    }
    Ok(String::from_utf8_lossy(&printed.stdout).into_owned())
}

/// The legacy variant by its own name, else by the common name where that leads to it.
fn find(tool: Tool, family: Family, until: Instant) -> Result<PathBuf, LegacyError> {
    let start = match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    };
    let end = match tool {
        Tool::Save => "save",
        Tool::Restore => "restore",
    };
    let name = format!("{start}-legacy-{end}");
    if let Some(program) = look_up(&name) {
        return Ok(program);
    }
    let missing = || LegacyError::Missing { name: name.clone() };
    let program = look_up(&format!("{start}-{end}")).ok_or_else(missing)?;
    let version = execute(&program, &["--version"], "", until)?;
    // Versions before 1.8 had no other variant, and say nothing.
    let is_other = String::from_utf8_lossy(&version.stdout).contains("nf_tables");
    if is_other { Err(missing()) } else { Ok(program) }
}

/// Where a program is.
pub(super) fn look_up(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(DIRECTORIES.map(PathBuf::from));
    // A relative directory would be one of whoever chose where we run.
    let mut files = directories.filter(|dir| dir.is_absolute()).map(|dir| dir.join(name));
    files.find(|file| file.metadata().is_ok_and(|metadata| metadata.is_file()))
}

fn execute(
    program: &Path,
    args: &[&str],
    input: &str,
    until: Instant,
) -> Result<Printed, LegacyError> {
    let start = |source| LegacyError::Start { program: program.to_owned(), source };
    let mut command = Command::new(program);
    // Nothing of a runtime's environment is meant for it.
    command.args(args).env_clear().env("PATH", OsStr::new("/usr/sbin:/usr/bin:/sbin:/bin"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(start)?;
    let printed = attend(&mut child, input, until);
    if !matches!(printed, Ok(Some(_))) {
        // Before its commit nothing was changed; both fail only for a child that is gone already.
        let _ = child.kill();
    }
    let status = child.wait();
    let (stdout, stderr) = printed.map_err(start)?.ok_or_else(|| LegacyError::TooSlow {
        program: program.to_owned(),
        seconds: LIMIT.as_secs(),
    })?;
    Ok(Printed { status: status.map_err(start)?, stdout, stderr })
}

/// Feeds the child and reads its streams until it ends, each on a thread of its own so that nobody
/// waits for another. `None` when it has not ended at `until`.
fn attend(
    child: &mut Child,
    input: &str,
    until: Instant,
) -> std::io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let stdout = child.stdout.take().map(drain).transpose()?;
    let stderr = child.stderr.take().map(drain).transpose()?;
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_owned();
        // One that ends without reading says why on its own.
        let _feeding = Pending::start(move || drop(stdin.write_all(input.as_bytes())))?;
    }
    let id = Id::Pid(Pid::from_raw(child.id().cast_signed()));
    // The child stays until `wait` takes it, so its number cannot become another's.
    let ended = Pending::start(move || waitid(id, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT))?;
    if ended.wait(until).is_none() {
        return Ok(None);
    }
    let text = |stream: Option<Pending<Vec<u8>>>| match stream {
        Some(stream) => stream.wait(until),
        None => Some(Vec::new()),
    };
    Ok(text(stdout).zip(text(stderr)))
}

fn drain(stream: impl Read + Send + 'static) -> std::io::Result<Pending<Vec<u8>>> {
    Pending::start(move || {
        let mut bytes = Vec::new();
        // What was read before an error is what there is.
        let _ = stream.take(PRINTED).read_to_end(&mut bytes);
        bytes
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn shell(script: &str, limit: Duration) -> Result<Printed, LegacyError> {
        execute(Path::new("/bin/sh"), &["-s"], script, Instant::now() + limit)
    }

    #[test]
    fn a_program_gets_its_input_and_a_clean_environment() {
        let printed = shell("echo \"$HOME|$PATH\"; echo why >&2; exit 3", LIMIT).unwrap();
        assert_eq!(printed.stdout, b"|/usr/sbin:/usr/bin:/sbin:/bin\n");
        assert_eq!(printed.stderr, b"why\n");
        assert_eq!(printed.status.code(), Some(3));
    }

    #[test]
    fn a_program_that_hangs_is_killed_at_the_deadline() {
        let error = shell("exec tail -f /dev/null", Duration::from_millis(50)).err().unwrap();
        let text = error.to_string();
        assert_eq!(text, "/bin/sh did not end within 10 s and was killed");
        assert!(error.hint().unwrap().contains("lock"));
    }

    #[test]
    fn more_than_a_pipe_holds_is_printed_and_read() {
        let printed = shell("head -c 300000 /dev/zero", LIMIT).unwrap();
        assert_eq!(printed.stdout.len(), 300_000);
    }
}
