//! The processes of a host: a PID namespace whose PID 1 reaps what it adopts, as an init does.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use netns_fixtures::{Lab, Namespace};

/// Tells by which number others know it, then waits; a shell that waits reaps whatever ends. It
/// ends with its standard input, and with it everything in the namespace.
const INIT: &str = "read -r pid rest </proc/self/stat; mount -t proc proc /proc; echo \"$pid\"
cat
:";
/// Lists all processes without starting one. The first line is its own number.
const LIST: &str = "echo $$; for stat in /proc/[0-9]*/stat; do
read -r line <\"$stat\" && echo \"$line\"; done 2>/dev/null; :";
/// After so many seconds a command hangs.
const PATIENCE: &str = "60";
/// Longer than processes need to end.
const DEADLINE: Duration = Duration::from_secs(20);

/// A process tree with mounts of its own, on the host of a lab. Dropping it kills all of it.
pub(super) struct Tree {
    host: Namespace,
    unshare: Child,
    init: String,
}

/// A process as proc(5) shows it.
struct Process {
    pid: u32,
    parent: u32,
    /// `Z` is a zombie.
    state: String,
    name: String,
}

impl Tree {
    /// Starts PID 1. Mounts made later are not seen inside.
    #[track_caller]
    pub(super) fn start(lab: &Lab) -> Self {
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--fork", "--kill-child", "--mount", "--", "sh", "-c", INIT]);
        unshare.stdin(Stdio::piped()).stdout(Stdio::piped());
        let host = lab.host().clone();
        let mut unshare = host.within(|| unshare.spawn()).expect("util-linux has unshare");
        let stdout = unshare.stdout.take().expect("stdout is piped");
        let mut init = String::new();
        BufReader::new(stdout).read_line(&mut init).expect("a shell prints text");
        assert!(!init.is_empty(), "PID 1 of the lab does not start");
        Self { host, unshare, init: init.trim_end().to_owned() }
    }

    /// A command to be run inside, which is killed when it hangs.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        self.enter(&["timeout", "--kill-after=5", PATIENCE], words)
    }

    /// A command that runs inside for as long as it likes.
    pub(super) fn daemon(&self, words: &[&str]) -> Command {
        self.enter(&[], words)
    }

    fn enter(&self, before: &[&str], words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--pid", "--target", &self.init, "--"]);
        command.args(before).args(words).stdin(Stdio::null());
        command
    }

    /// Starts `command`, made by [`Self::command`], and leaves it running.
    #[track_caller]
    pub(super) fn spawn(&self, command: &mut Command) -> Child {
        match self.host.within(|| command.spawn()) {
            Ok(child) => child,
            Err(error) => panic!("start {command:?}: {error}"),
        }
    }

    /// Where `path`, as processes inside know it, is found from outside.
    pub(super) fn seen(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.init))
    }

    /// Runs `command`, made by [`Self::command`], to its end.
    #[track_caller]
    pub(super) fn attempt(&self, command: &mut Command) -> Output {
        match self.host.within(|| command.output()) {
            Ok(done) => done,
            Err(error) => panic!("start {command:?}: {error}"),
        }
    }

    /// As [`Self::attempt`], for one that has to succeed; gives back what it printed.
    #[track_caller]
    pub(super) fn finish(&self, command: &mut Command) -> String {
        let done = self.attempt(command);
        let printed = String::from_utf8_lossy(&done.stdout).into_owned();
        let error = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{command:?}: {}\n{printed}{error}", done.status);
        printed
    }

    /// As [`Self::finish`], for a command that needs no environment of its own.
    #[track_caller]
    pub(super) fn run(&self, words: &[&str]) -> String {
        self.finish(&mut self.command(words))
    }

    /// Claims that soon nothing runs, or lingers as a zombie, but for PID 1 and `expected`.
    ///
    /// What ends takes a moment; what nobody reaps would stay for ever.
    #[track_caller]
    pub(super) fn assert_only_runs(&self, expected: &[&str]) {
        let end = Instant::now() + DEADLINE;
        loop {
            let processes = self.processes();
            let names: Vec<&str> = processes.iter().map(|process| &*process.name).collect();
            if names == expected {
                return;
            }
            if Instant::now() > end {
                panic!("not only {expected:?} but\n{}", table(&processes));
            }
        }
    }

    /// Claims that at least one process of this name runs.
    #[track_caller]
    pub(super) fn assert_also_runs(&self, name: &str) {
        let processes = self.processes();
        let runs = processes.iter().any(|process| process.name == name && process.state != "Z");
        assert!(runs, "no {name} runs, but\n{}", table(&processes));
    }

    /// Claims that soon no process of this name runs, or lingers.
    #[track_caller]
    pub(super) fn assert_ends(&self, name: &str) {
        let end = Instant::now() + DEADLINE;
        while self.processes().iter().any(|process| process.name == name) {
            assert!(Instant::now() < end, "{name} goes on\n{}", table(&self.processes()));
        }
    }

    /// All but PID 1, what that waits for, and the one that looks.
    #[track_caller]
    fn processes(&self) -> Vec<Process> {
        // Without a limit, so that it is one process.
        let printed = self.finish(&mut self.daemon(&["sh", "-c", LIST]));
        let (looks, list) = printed.split_once('\n').unwrap_or_default();
        let of_the_tree = |process: &Process| {
            process.pid.to_string() != looks
                && process.pid != 1
                && (process.parent, &*process.name) != (1, "cat")
        };
        list.lines().filter_map(Process::parse).filter(of_the_tree).collect()
    }
}

impl Process {
    /// Reads `PID (NAME) STATE PARENT …`.
    fn parse(line: &str) -> Option<Self> {
        let (pid, rest) = line.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let mut rest = rest.split(' ');
        Some(Self {
            pid: pid.parse().ok()?,
            name: name.to_owned(),
            state: rest.next()?.to_owned(),
            parent: rest.next()?.parse().ok()?,
        })
    }
}

fn table(processes: &[Process]) -> String {
    let row = |process: &Process| {
        let Process { pid, parent, state, name } = process;
        format!("pid {pid} parent {parent} state {state} {name}\n")
    };
    processes.iter().map(row).collect()
}

impl Drop for Tree {
    fn drop(&mut self) {
        // The end of its standard input ends PID 1; the kernel then kills the rest, and `unshare`
        // ends only after them.
        drop(self.unshare.stdin.take());
        let _ = self.unshare.wait();
    }
}
