//! Calling a plugin as a runtime does: a process, an environment, JSON on its pipes.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::namespace::text;
use crate::{Container, Lab, Namespace, bins};

/// After this long a plugin hangs. Runtimes are patient; its own deadlines are far shorter.
const PATIENCE: Duration = Duration::from_secs(120);

/// One call of a plugin, to be filled in and [`run`](Call::run).
///
/// It starts with the six variables that every runtime sets: no verb, container or namespace yet,
/// `CNI_IFNAME=eth0`, `CNI_PATH` = the directory of the plugin.
#[derive(Clone, Debug)]
pub struct Call<'lab> {
    lab: &'lab Lab,
    plugin: String,
    program: PathBuf,
    wrapper: Vec<String>,
    host: &'lab Namespace,
    environment: BTreeMap<OsString, OsString>,
    stdin: Vec<u8>,
    patience: Duration,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The exit code and all else about the end of the process.
    pub status: ExitStatus,
    /// What the protocol speaks on.
    pub stdout: String,
    /// Logs.
    pub stderr: String,
    /// From start to end, for reports only.
    pub took: Duration,
    /// What was called, in one line.
    call: String,
}

/// The object that a plugin prints when it fails.
#[derive(Clone, Debug)]
pub struct ErrorObject {
    /// Who can act; see the specification.
    pub code: i64,
    /// One line.
    pub msg: String,
    /// More, or nothing.
    pub details: String,
    /// All that was printed.
    pub object: Value,
}

impl Lab {
    /// A call of a plugin under test, found in the directory of [`bins::ready`].
    ///
    /// # Panics
    /// When the case was not started with [`lab_with_plugins`](crate::lab_with_plugins).
    #[must_use]
    #[track_caller]
    pub fn plugin(&self, name: &str) -> Call<'_> {
        self.plugin_in(&self.plugins(), name)
    }

    /// A call of the Go reference plugin of that name.
    #[must_use]
    pub fn reference_plugin(&self, name: &str) -> Call<'_> {
        self.plugin_in(&bins::reference(), name)
    }

    /// A call of the plugin `name` in `directory`.
    #[must_use]
    pub fn plugin_in(&self, directory: &Path, name: &str) -> Call<'_> {
        let mut call = Call {
            lab: self,
            plugin: name.to_owned(),
            program: directory.join(name),
            wrapper: Vec::new(),
            host: self.host(),
            environment: BTreeMap::new(),
            stdin: Vec::new(),
            patience: PATIENCE,
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        call.environment.insert("PATH".into(), path);
        call.env("CNI_PATH", directory).ifname("eth0")
    }

    /// The directory of the plugins under test.
    ///
    /// # Panics
    /// As [`Lab::plugin`].
    #[must_use]
    #[track_caller]
    pub fn plugins(&self) -> PathBuf {
        bins::directory_given().expect("a case that calls plugins starts with lab_with_plugins")
    }

    /// Calls ADD of `plugin` for `container`, which must succeed; gives back the result.
    #[track_caller]
    pub fn add(&self, plugin: &str, container: &Container, config: &Value) -> Value {
        self.plugin(plugin).verb("ADD").container(container).config(config).run().result()
    }

    /// Calls DEL of `plugin` for `container`, which must succeed.
    #[track_caller]
    pub fn del(&self, plugin: &str, container: &Container, config: &Value) {
        self.plugin(plugin).verb("DEL").container(container).config(config).run().succeeded();
    }
}

impl<'lab> Call<'lab> {
    /// Sets `CNI_COMMAND`.
    #[must_use]
    pub fn verb(self, verb: &str) -> Self {
        self.env("CNI_COMMAND", verb)
    }

    /// Sets `CNI_CONTAINERID` and `CNI_NETNS`.
    #[must_use]
    pub fn container(self, container: &Container) -> Self {
        self.env("CNI_CONTAINERID", container.id()).env("CNI_NETNS", container.path())
    }

    /// Sets `CNI_IFNAME`.
    #[must_use]
    pub fn ifname(self, ifname: &str) -> Self {
        self.env("CNI_IFNAME", ifname)
    }

    /// Sets `CNI_ARGS`, `K=V;K=V`.
    #[must_use]
    pub fn args(self, args: &str) -> Self {
        self.env("CNI_ARGS", args)
    }

    /// Sets any variable.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.insert(key.into(), value.as_ref().to_owned());
        self
    }

    /// Takes a variable away.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.environment.remove(OsStr::new(key));
        self
    }

    /// Writes `config` to its standard input.
    #[must_use]
    pub fn config(self, config: &Value) -> Self {
        self.stdin(config.to_string())
    }

    /// Writes these bytes to its standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Runs it on another host than [`Lab::host`].
    #[must_use]
    pub fn on(mut self, host: &'lab Namespace) -> Self {
        self.host = host;
        self
    }

    /// Runs it under another program, such as `strace -f`, split at blanks.
    #[must_use]
    pub fn under(mut self, wrapper: &str) -> Self {
        self.wrapper = wrapper.split_whitespace().map(str::to_owned).collect();
        self
    }

    /// Takes it for hanging after this time, else after two minutes.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts it, waits until it has ended and closed both streams, as Go's runtimes do.
    ///
    /// # Panics
    /// When it cannot be started, or hangs.
    #[must_use = "a claim about the outcome makes the case"]
    #[track_caller]
    pub fn run(&self) -> Outcome {
        let start = Instant::now();
        let spawned = self.host.within(|| self.command().spawn());
        let ended = match spawned {
            Ok(child) => converse(child, &self.stdin, self.patience),
            Err(error) => panic!("start {}: {error}", self.program.display()),
        };
        let (status, stdout, stderr) = match ended {
            Ok(ended) => ended,
            Err(why) => panic!("{} {why}", self.summary()),
        };
        let outcome = Outcome {
            status,
            stdout: text(&stdout),
            stderr: text(&stderr),
            took: start.elapsed(),
            call: self.summary(),
        };
        let mut calls = self.lab.calls.lock().expect("no code panics while it holds this lock");
        calls.push(self.describe(&outcome));
        outcome
    }

    fn command(&self) -> Command {
        let mut command = match self.wrapper.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.env_clear().envs(&self.environment);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The call in one line: verb and CNI environment.
    fn summary(&self) -> String {
        let value = |key: &str| self.environment.get(OsStr::new(key));
        let verb = value("CNI_COMMAND").map_or("(no verb)".into(), |verb| verb.to_string_lossy());
        let mut summary = format!("{} {verb}", self.plugin);
        for (key, value) in &self.environment {
            let key = key.to_string_lossy();
            if key.starts_with("CNI_") && key != "CNI_COMMAND" {
                let _ = write!(summary, " {key}={}", value.to_string_lossy());
            }
        }
        if self.host.name() != self.lab.host().name() {
            let _ = write!(summary, " on {}", self.host.name());
        }
        summary
    }

    /// The call and its outcome as they stand in a report.
    fn describe(&self, outcome: &Outcome) -> String {
        format!(
            "{}   {}, {} ms\n  config        {}\n  stdout        {}\n  stderr        {}",
            self.summary(),
            outcome.status,
            outcome.took.as_millis(),
            or_empty(&text(&self.stdin[..self.stdin.len().min(MOST_SHOWN)])),
            or_empty(&outcome.stdout),
            or_empty(&outcome.stderr),
        )
    }
}

impl Outcome {
    /// Claims that it exited with 0.
    #[track_caller]
    pub fn succeeded(&self) -> &Self {
        assert!(self.status.success(), "{self}: should have succeeded");
        self
    }

    /// Claims that it exited with 0 and printed one JSON document; gives that back.
    #[track_caller]
    pub fn result(&self) -> Value {
        self.succeeded();
        match serde_json::from_str(&self.stdout) {
            Ok(result) => result,
            Err(error) => panic!("{self}: stdout is not one JSON document: {error}"),
        }
    }

    /// Claims that it exited with 0 and printed nothing.
    #[track_caller]
    pub fn is_silent(&self) {
        self.succeeded();
        assert!(self.stdout.is_empty(), "{self}: should have printed nothing");
    }

    /// Claims that it exited with another code than 0 and printed one error object and nothing else.
    #[track_caller]
    pub fn error(&self) -> ErrorObject {
        assert!(!self.status.success(), "{self}: should have failed");
        assert!(self.status.signal().is_none(), "{self}: should have exited by itself");
        let object: Value = match serde_json::from_str(&self.stdout) {
            Ok(object) => object,
            Err(error) => panic!("{self}: stdout is not one JSON document: {error}"),
        };
        let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        match (object["code"].as_i64(), object["msg"].as_str()) {
            (Some(code), Some(msg)) if !msg.is_empty() => {
                let msg = msg.to_owned();
                ErrorObject { code, msg, details: text("details"), object }
            }
            _ => panic!("{self}: an error object has a number `code` and a text `msg`"),
        }
    }

    /// Claims that it failed with `code`; gives back the error object.
    #[track_caller]
    pub fn refused(&self, code: i64) -> ErrorObject {
        let error = self.error();
        assert_eq!(error.code, code, "{self}: wrong code");
        error
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}   {}\n  stdout {}\n  stderr {}\n",
            self.call,
            self.status,
            or_empty(&self.stdout),
            or_empty(&self.stderr)
        )
    }
}

impl ErrorObject {
    /// All its text: message and details.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}; {}", self.msg, self.details)
    }

    /// Claims that the text contains all `words`.
    #[track_caller]
    pub fn says(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.text().contains(word), "{:?} does not say {word:?}", self.text());
        }
        self
    }
}

type Ended = (ExitStatus, Vec<u8>, Vec<u8>);

/// Feeds the child, reads both streams to their ends, waits for it.
fn converse(mut child: Child, input: &[u8], patience: Duration) -> Result<Ended, String> {
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let (sender, receiver) = mpsc::channel();
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    read_aside(0, stdout, sender.clone());
    read_aside(1, stderr, sender);
    let input = input.to_vec();
    // A plugin need not read what it does not want, so a broken pipe is no failure.
    thread::spawn(move || drop(stdin.write_all(&input)));
    let mut streams = [Vec::new(), Vec::new()];
    for _ in 0..streams.len() {
        match receiver.recv_timeout(patience) {
            Ok((stream, bytes)) => streams[stream] = bytes,
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("hangs, or left a process that holds its stdout or stderr".to_owned());
            }
        }
    }
    let status = child.wait().map_err(|error| format!("wait: {error}"))?;
    let [stdout, stderr] = streams;
    Ok((status, stdout, stderr))
}

fn read_aside(
    stream: usize,
    mut from: impl Read + Send + 'static,
    to: mpsc::Sender<(usize, Vec<u8>)>,
) {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is what there is.
        let _ = from.read_to_end(&mut bytes);
        let _ = to.send((stream, bytes));
    });
}

/// So many bytes of its input the account of a call shows at most.
const MOST_SHOWN: usize = 64 << 10;

fn or_empty(text: &str) -> &str {
    if text.trim().is_empty() { "(empty)" } else { text.trim_end() }
}
