//! Finding and running plugins: delegates (an IPAM plugin named in a configuration) and, on a
//! runtime's side, the plugins of a list.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use deadline::Pending;

use crate::error::{Error, code};
use crate::json::Object;

/// How long a delegate may take. The reference's `dhcp` answers within 208 s.
pub const DELEGATE_DEADLINE: Duration = Duration::from_secs(220);

/// How often and how far apart a file that is just being written is tried again. The kernel tells
/// nobody when the last writer is gone.
const BUSY: (u32, Duration) = (20, Duration::from_millis(100));

/// The program `kind` in the first directory of `path` that has a regular file of that name.
///
/// # Errors
/// Code 7 when `kind` is no file name, code 4 when `path` is empty, code 50 when no directory has it.
pub fn find(kind: &str, path: &[PathBuf]) -> Result<PathBuf, Error> {
    if kind.is_empty() {
        return Err(Error::new(code::INVALID_CONFIG, "no plugin name provided"));
    }
    if kind.contains('/') || kind.contains('\0') || kind == "." || kind == ".." {
        return Err(Error::new(code::INVALID_CONFIG, format!("invalid plugin name: {kind}")));
    }
    if path.is_empty() {
        return Err(Error::new(code::INVALID_ENVIRONMENT, "no paths provided")
            .with_hint("set CNI_PATH to the directories of the plugins"));
    }
    path.iter()
        .map(|dir| dir.join(kind))
        .find(|file| file.metadata().is_ok_and(|m| m.is_file()))
        .ok_or_else(|| {
            let dirs: Vec<_> = path.iter().map(|p| p.to_string_lossy()).collect();
            let text = format!("failed to find plugin \"{kind}\" in path [{}]", dirs.join(" "));
            Error::new(code::NOT_AVAILABLE, text)
                .with_hint(format!("install {kind} in one of these directories"))
        })
}

/// One run of a plugin.
#[derive(Debug)]
pub struct Run<'a> {
    /// The plugin's file; it is also its `argv[0]`.
    pub program: &'a Path,
    /// Variables set on top of our own environment.
    pub vars: &'a [(&'a str, OsString)],
    /// What it reads from standard input.
    pub stdin: &'a [u8],
    /// Where its standard error goes.
    pub stderr: Stderr,
    /// After this time it is killed.
    pub deadline: Duration,
}

/// Where a plugin's standard error goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stderr {
    /// To ours.
    Inherit,
    /// Into [`Output::stderr`].
    Capture,
}

/// What a plugin left behind.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Its standard output, at most 16 MiB.
    pub stdout: Vec<u8>,
    /// Its standard error where captured.
    pub stderr: Vec<u8>,
    /// How it ended, in words: `exit status: 1`, `signal: 9 (SIGKILL)`.
    pub status: String,
    /// Time from start to end.
    pub elapsed: Duration,
}

/// A plugin that failed or never started.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its error object, or one that says what happened instead.
    pub error: Error,
    /// What it left behind; empty when it never started.
    pub output: Output,
}

impl Run<'_> {
    /// Runs the plugin to its end.
    ///
    /// # Errors
    /// A [`Failure`] when it cannot be started, ends in another way than exit 0, or takes too long.
    pub fn run(&self) -> Result<Output, Box<Failure>> {
        self.run_with(&[])
    }

    /// As [`run`](Self::run) with arguments, which only `--print-schema` and `--validate` take.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_with(&self, args: &[&str]) -> Result<Output, Box<Failure>> {
        let start = Instant::now();
        let unstarted = |error| {
            Box::new(Failure {
                error,
                output: Output { elapsed: start.elapsed(), ..Output::default() },
            })
        };
        let mut child = self.spawn(args).map_err(unstarted)?;
        let streams = self.serve(&mut child);
        let mut output = Output::default();
        let until = start + self.deadline;
        let complete = streams.is_some_and(|streams| streams.collect(until, &mut output));
        let ended = complete.then(|| wait(&mut child, until)).flatten();
        output.elapsed = start.elapsed();
        let Some(status) = ended else {
            // Both fail only for a child that is gone already.
            let _ = child.kill();
            let _ = child.wait();
            let text = format!(
                "{} did not answer within {} s and was killed",
                self.program.display(),
                self.deadline.as_secs()
            );
            return Err(Box::new(Failure { error: Error::new(code::TRY_AGAIN, text), output }));
        };
        output.status = status.to_string();
        if status.success() {
            return Ok(output);
        }
        Err(Box::new(Failure { error: diagnose(&output), output }))
    }

    fn spawn(&self, args: &[&str]) -> Result<Child, Error> {
        let mut command = Command::new(self.program);
        command.args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(match self.stderr {
            Stderr::Inherit => Stdio::inherit(),
            Stderr::Capture => Stdio::piped(),
        });
        for (name, value) in self.vars {
            command.env(name, value);
        }
        let mut tries = 0;
        loop {
            match command.spawn() {
                Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy && tries < BUSY.0 => {
                    tries += 1;
                    std::thread::park_timeout(BUSY.1);
                }
                Err(e) => {
                    let text = format!("start {}: {e}", self.program.display());
                    return Err(Error::new(code::IO, text)
                        .with_hint("the file must be executable and made for this machine"));
                }
                Ok(child) => return Ok(child),
            }
        }
    }

    /// Feeds and drains the child's streams on threads of their own, so that neither side waits
    /// for the other. A child that does not read its input is no error; `None` when there may be
    /// no more threads.
    fn serve(&self, child: &mut Child) -> Option<Streams> {
        if let Some(mut stdin) = child.stdin.take() {
            let text = self.stdin.to_vec();
            // A pipe takes this much at once without a reader.
            if text.len() <= 4096 {
                let _ = stdin.write_all(&text);
            } else {
                Pending::start(move || drop(stdin.write_all(&text))).ok()?;
            }
        }
        let stdout = drain(Box::new(child.stdout.take()?))?;
        let stderr = match child.stderr.take() {
            Some(stderr) => Some(drain(Box::new(stderr))?),
            None => None,
        };
        Some(Streams { stdout, stderr })
    }
}

/// The child's output streams, each read by a thread.
struct Streams {
    stdout: Pending<Vec<u8>>,
    stderr: Option<Pending<Vec<u8>>>,
}

impl Streams {
    /// Waits for both streams to end; `false` when `until` comes first.
    fn collect(self, until: Instant, output: &mut Output) -> bool {
        let stdout = self.stdout.wait(until);
        let stderr = match self.stderr {
            Some(stderr) => stderr.wait(until),
            None => Some(Vec::new()),
        };
        let complete = stdout.is_some() && stderr.is_some();
        output.stdout = stdout.unwrap_or_default();
        output.stderr = stderr.unwrap_or_default();
        complete
    }
}

fn drain(stream: Box<dyn Read + Send>) -> Option<Pending<Vec<u8>>> {
    let read = move || {
        let mut bytes = Vec::new();
        // What was read before an error is what there is.
        let _ = stream.take(16 << 20).read_to_end(&mut bytes);
        bytes
    };
    Pending::start(read).ok()
}

/// The child's end, which follows the end of its streams at once unless it closed them itself.
fn wait(child: &mut Child, until: Instant) -> Option<ExitStatus> {
    let mut spins = 0;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Err(_) => return None,
            Ok(None) if Instant::now() >= until => return None,
            Ok(None) if spins < 200 => {
                spins += 1;
                std::thread::yield_now();
            }
            Ok(None) => std::thread::park_timeout(Duration::from_millis(1)),
        }
    }
}

/// The error object of a failed plugin, or words for its absence.
fn diagnose(output: &Output) -> Error {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let status = &output.status;
    if output.stdout.is_empty() {
        let text = match stderr.trim() {
            "" => format!("netplugin failed with no error message: {status}"),
            text => format!("netplugin failed: \"{text}\" ({status})"),
        };
        return Error::new(0, text);
    }
    let object = Object::parse(&output.stdout).and_then(|object| {
        Ok(Error {
            code: object.number("code")?.unwrap_or(0),
            msg: object.string("msg")?.unwrap_or_default(),
            details: object.string("details")?.unwrap_or_default(),
        })
    });
    object.unwrap_or_else(|e| {
        let stdout = String::from_utf8_lossy(&output.stdout);
        let text = format!(
            "netplugin failed but error parsing its diagnostic message \"{}\": {}",
            stdout.trim(),
            e.msg
        );
        Error::new(0, text).with_details(stderr.trim())
    })
}

/// The variables of a delegate's call: ours with the verb replaced.
#[must_use]
pub fn delegate_vars(command: &str) -> [(&'static str, OsString); 1] {
    [("CNI_COMMAND", OsStr::new(command).to_owned())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, deadline: Duration) -> Result<Output, Box<Failure>> {
        // `sh` takes its script from standard input, as a plugin takes its configuration.
        let run = Run {
            program: Path::new("/bin/sh"),
            vars: &[],
            stdin: script.as_bytes(),
            stderr: Stderr::Capture,
            deadline,
        };
        run.run()
    }

    fn failure(script: &str) -> Error {
        shell(script, Duration::from_secs(20)).expect_err("a failure").error
    }

    #[test]
    fn an_error_object_comes_back_whole() {
        let error = failure(r#"echo '{"code":11,"msg":"m","details":"d"}'; exit 1"#);
        assert_eq!(error, Error { code: 11, msg: "m".into(), details: "d".into() });
    }

    #[test]
    fn a_plugin_that_says_nothing_is_described_by_its_end() {
        assert_eq!(failure("exit 2").msg, "netplugin failed with no error message: exit status: 2");
        assert!(failure("kill -9 $$").msg.contains("signal: 9"));
        assert_eq!(failure("echo no >&2; exit 1").msg, "netplugin failed: \"no\" (exit status: 1)");
    }

    #[test]
    fn garbage_is_quoted_and_standard_error_kept() {
        let error = failure("echo garbage; echo why >&2; exit 1");
        assert!(error.msg.starts_with(
            "netplugin failed but error parsing its diagnostic message \"garbage\": "
        ));
        assert_eq!(error.details, "why");
    }

    #[test]
    fn a_plugin_that_hangs_is_killed_at_the_deadline() {
        let failed = shell("exec sleep 1000", Duration::from_millis(50)).expect_err("killed");
        assert_eq!(failed.error.code, code::TRY_AGAIN);
        assert!(failed.error.msg.ends_with("and was killed"), "{}", failed.error.msg);
    }

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        let dirs = [PathBuf::from("/bin")];
        for kind in ["../bin/sh", "", ".", ".."] {
            assert_eq!(find(kind, &dirs).unwrap_err().code, code::INVALID_CONFIG, "{kind}");
        }
        assert_eq!(find("sh", &dirs).unwrap(), PathBuf::from("/bin/sh"));
        let error = find("nope", &dirs).unwrap_err();
        assert_eq!(error.msg, "failed to find plugin \"nope\" in path [/bin]");
    }
}
