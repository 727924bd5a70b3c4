//! Running other programs: every command is shown before it runs, and its status is never ignored.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The cargo that runs us, so that nested builds use the same toolchain.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs `command` with our own output streams.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", shown(command));
    std::io::stdout().flush()?;
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs `command` and returns its standard output; on failure the error carries both streams.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start `{}`", shown(command)))?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    if !out.status.success() {
        let errors = String::from_utf8_lossy(&out.stderr);
        bail!("`{}` ended with {}\n{text}{errors}", shown(command), out.status);
    }
    Ok(text)
}

/// What a streamed command did: whether it succeeded, and the lines that `keep` chose.
pub(crate) struct Streamed {
    pub(crate) success: bool,
    pub(crate) kept: Vec<String>,
}

/// Runs `command`, passes both streams on as they come and keeps the lines that `keep` chooses.
///
/// Used for the test runner, whose closing lines are repeated at the very end of `ci`.
pub(crate) fn stream(command: &mut Command, keep: fn(&str) -> bool) -> Result<Streamed> {
    println!("$ {}", shown(command));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start `{}`", shown(command)))?;
    let errors = child.stderr.take().context("the child has no stderr")?;
    let out = child.stdout.take().context("the child has no stdout")?;
    let kept = std::thread::scope(|scope| {
        let from_errors = scope.spawn(move || pass_on(errors, std::io::stderr(), keep));
        let mut kept = pass_on(out, std::io::stdout(), keep);
        kept.extend(from_errors.join().unwrap_or_default());
        kept
    });
    Ok(Streamed { success: child.wait()?.success(), kept })
}

fn pass_on(from: impl Read, mut to: impl Write, keep: fn(&str) -> bool) -> Vec<String> {
    let mut kept = Vec::new();
    let mut lines = BufReader::new(from);
    let mut line = Vec::new();
    // A stream that ends early only shortens what is shown: the exit status decides.
    while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let _ = to.write_all(&line);
        let text = String::from_utf8_lossy(&line);
        if keep(&text) {
            kept.push(text.trim_end().to_owned());
        }
        line.clear();
    }
    kept
}

/// `PATH` with the places for administrators, which a user's lacks.
pub(crate) fn path_with_sbin() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin:/usr/local/sbin");
    path
}

/// Where `program` is.
pub(crate) fn find_program(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&path_with_sbin())
        .map(|directory| directory.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn shown(command: &Command) -> String {
    let mut text = String::new();
    for (key, value) in command.get_envs().filter(|(key, _)| *key != "PATH") {
        if let Some(value) = value {
            text.push_str(&format!("{}={} ", key.to_string_lossy(), value.to_string_lossy()));
        }
    }
    let program = Path::new(command.get_program());
    text.push_str(&program.file_name().unwrap_or_default().to_string_lossy());
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert!(error.to_string().contains("sh -c exit 3"), "{error}");
    }

    #[test]
    fn streaming_keeps_the_chosen_lines_of_both_streams() {
        let script = "echo one; echo keep out; echo keep err >&2; exit 4";
        let done =
            stream(Command::new("sh").args(["-c", script]), |line| line.contains("keep")).unwrap();
        assert!(!done.success);
        assert_eq!(done.kept, ["keep out", "keep err"]);
    }

    #[test]
    fn output_of_a_failing_command_carries_what_it_said() {
        let error = output(Command::new("sh").args(["-c", "echo why >&2; exit 1"])).unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
    }
}
