//! How a case gets into its own namespaces: the test binary runs itself again for that one case.

use std::any::{Any, type_name};
use std::ffi::OsString;
use std::io::{Read, pipe};
use std::os::unix::process::parent_id;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::{env, fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::feature::{self, Skip};
use crate::{Lab, bins};

/// Set in the process that runs the case: the name of the case.
pub(crate) const MARK: &str = "CAIS_LAB";
/// The line by which that process says that the case ran to its end. Without it an exit code of 0
/// would also be the answer to a case that was never found.
const ENDED: &str = "lab: the case ended well";
/// The line by which it says that the case failed: under `#[should_panic]` its exit code is 0.
const FAILED: &str = "lab: the case failed";
/// The line by which it says that something is missing.
const SKIPPED: &str = "lab: skipped: ";

/// Runs `case` in a process of its own, within private namespaces.
///
/// To be called once, directly in a `#[test]` function. What follows it is not run inside.
///
/// # Panics
/// When the case fails, with everything that the case printed, and when the namespaces cannot be
/// made.
#[track_caller]
pub fn lab<F: FnOnce(&Lab)>(case: F) {
    match env::var_os(MARK) {
        Some(_) => run_inside(case),
        None => run_again(&case_name::<F>(), None),
    }
}

/// As [`lab`], for a case that calls plugins: they are built first, or taken from the directory
/// that `CAIS_TEST_BIN` names.
///
/// # Panics
/// As [`lab`], and when the build fails.
#[track_caller]
pub fn lab_with_plugins<F: FnOnce(&Lab)>(case: F) {
    match env::var_os(MARK) {
        Some(_) => run_inside(case),
        None => run_again(&case_name::<F>(), Some(bins::ready())),
    }
}

/// The name by which the test runner knows the case.
///
/// A thread of the runner bears it, except with `--test-threads=1`, when the runner uses the main
/// thread. Then the path of the closure tells: `crate::module::case::{{closure}}`.
fn case_name<F>() -> String {
    match thread::current().name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => type_name::<F>()
            .trim_end_matches("::{{closure}}")
            .split_once("::")
            .map_or_else(String::new, |(_, path)| path.to_owned()),
    }
}

#[track_caller]
fn run_again(case: &str, plugins: Option<&Path>) {
    let (status, output) = match run_in_namespaces(case, plugins) {
        Ok(done) => done,
        Err(error) => panic!("run {case} in namespaces of its own with `unshare`: {error}"),
    };
    if let Some(reason) = output.lines().find_map(|line| line.strip_prefix(SKIPPED)) {
        return feature::accept_skip(reason);
    }
    let says = |mark| output.lines().any(|line| line == mark);
    let words = without_noise(&output);
    if says(FAILED) {
        panic!("in the lab:\n{words}");
    }
    match (status.success(), says(ENDED)) {
        (true, true) => print!("{words}"),
        (true, false) => panic!("the runner knows no case named `{case}`:\n{output}"),
        (false, _) if words.contains("unshare failed") => panic!("{words}{}", refusal_hint()),
        (false, _) => panic!("in the lab, {status}:\n{words}"),
    }
}

/// Runs this binary again for `case` alone, and gives back how it ended and what it printed.
fn run_in_namespaces(case: &str, plugins: Option<&Path>) -> std::io::Result<(ExitStatus, String)> {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--mount", "--"]).arg(env::current_exe()?);
    // `--include-ignored`: the outer run has decided already.
    command.args([case, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"]);
    command.env(MARK, case).env("PATH", path_with_sbin());
    // The place of the claim is printed anyway, and the frames between say nothing.
    if env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "full") {
        command.env_remove("RUST_BACKTRACE");
    }
    if let Some(directory) = plugins {
        command.env(bins::DIRECTORY, directory);
    }
    // One pipe for both streams keeps their order.
    let (mut reader, writer) = pipe()?;
    command.stdin(std::process::Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    drop(command); // and with it our copies of the writing end, so that the pipe can end
    let mut output = Vec::new();
    reader.read_to_end(&mut output)?;
    Ok((child.wait()?, String::from_utf8_lossy(&output).into_owned()))
}

/// Debian keeps `ip` and `nft` where an ordinary user's `PATH` does not look.
fn path_with_sbin() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin:/usr/bin:/bin");
    path
}

/// Leaves out what the inner test runner says about its one case.
fn without_noise(output: &str) -> String {
    let is_noise = |line: &str| {
        line.is_empty()
            || line == ENDED
            || line == FAILED
            || line == "running 1 test"
            || line.starts_with("failures:")
            || line.starts_with("test result: ")
            || line.starts_with("error: test failed")
            || line.starts_with("note: run with `RUST_BACKTRACE=1`")
            || (line.starts_with("test ") && line.contains(" ... "))
    };
    let mut words = String::new();
    for line in output.lines().filter(|line| !is_noise(line)) {
        words.push_str(line);
        words.push('\n');
    }
    words
}

fn refusal_hint() -> &'static str {
    "hint: labs need user namespaces, or root; Ubuntu forbids the first by \
     kernel.apparmor_restrict_unprivileged_userns, older Debian by kernel.unprivileged_userns_clone"
}

/// The case itself, in the process that [`run_again`] started.
fn run_inside<F: FnOnce(&Lab)>(case: F) {
    let lab = Lab::open();
    match catch_unwind(AssertUnwindSafe(|| case(&lab))) {
        Ok(()) => {
            end_daemons();
            println!("\n{ENDED}");
        }
        Err(thrown) => match thrown.downcast::<Skip>() {
            Ok(skip) => {
                end_daemons();
                println!("\n{SKIPPED}{}", skip.reason);
            }
            Err(failure) => report_and_fail(&lab, failure),
        },
    }
}

/// Kills what the case started and nobody waits for. Else a daemon would live on, and with it all
/// namespaces of the lab. What has the lab's mounts, which are its own, belongs to it.
fn end_daemons() {
    let mounts = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let Some(own) = mounts("self") else { return };
    // Who set the mark by hand has no mounts of their own. Those of another user cannot be read.
    if mounts(&parent_id().to_string()).as_ref() == Some(&own) {
        return;
    }
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let is_other = u32::try_from(pid).is_ok_and(|pid| pid != std::process::id());
        if is_other && mounts(&pid.to_string()).as_ref() == Some(&own) {
            // It may have ended by itself meanwhile.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

fn report_and_fail(lab: &Lab, failure: Box<dyn Any + Send>) {
    eprintln!("{}\n{FAILED}", lab.report());
    end_daemons();
    resume_unwind(failure);
}
