//! A folder of plugins and networks, and `cais` called on it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// The binary under test.
pub(crate) const CAIS: &str = env!("CARGO_BIN_EXE_cais");

/// A plugin that notes each call and, on ADD, says whatever `result` holds.
const NOTING: &str = r#"#!/bin/sh
config=$(cat)
case "$CNI_COMMAND" in '') exit 0 ;; esac
echo "${0##*/} $CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_NETNS [$CNI_ARGS] $config" >> "$CALLS"
"#;

/// The folder. It goes with the test.
pub(crate) struct Stage(PathBuf);

impl Stage {
    pub(crate) fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("cais-{}-{number}", std::process::id()));
        fs::create_dir_all(dir.join("bin")).unwrap();
        fs::create_dir_all(dir.join("net.d")).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A plugin whose ADD answers `result`.
    pub(crate) fn plugin(self, kind: &str, result: &str) -> Self {
        self.script(kind, &format!("[ $CNI_COMMAND != ADD ] || echo '{result}'"))
    }

    /// A plugin that runs `script` after its call was noted.
    pub(crate) fn script(self, kind: &str, script: &str) -> Self {
        let file = self.0.join("bin").join(kind);
        fs::write(&file, format!("{NOTING}{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// A network of plugins without options.
    pub(crate) fn network(self, name: &str, plugins: &[&str]) -> Self {
        let plugins: Vec<_> = plugins.iter().map(|p| format!("{{\"type\":\"{p}\"}}")).collect();
        let plugins = plugins.join(",");
        let text = format!(r#"{{"cniVersion":"1.1.0","name":"{name}","plugins":[{plugins}]}}"#);
        self.file(&format!("net.d/{name}.conflist"), &text);
        self
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        file
    }

    /// `cais` with these arguments, not yet started.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let mut command = Command::new(CAIS);
        command.args(args).current_dir(&self.0).stdin(Stdio::null());
        command.env("CNI_PATH", self.0.join("bin")).env("NETCONFPATH", self.0.join("net.d"));
        command.env("CALLS", self.0.join("calls"));
        for name in ["CNI_IFNAME", "CNI_ARGS", "CAP_ARGS", "CAIS_ROOT"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs `cais` with the words of `args`.
    pub(crate) fn cais(&self, args: &str) -> Ended {
        let words: Vec<&str> = args.split_whitespace().collect();
        Ended::of(self.command(&words))
    }

    /// What the plugins noted: a line each.
    pub(crate) fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.0.join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Plugin and verb of each call.
    pub(crate) fn verbs(&self) -> Vec<String> {
        let first_two = |line: &String| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        self.calls().iter().map(first_two).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A run of `cais` that is over.
pub(crate) struct Ended {
    words: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(mut command: Command) -> Self {
        let words = format!("{command:?}");
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self { words, code: status.code(), stdout: text(&stdout), stderr: text(&stderr) }
    }

    /// Everything, for messages.
    pub(crate) fn report(&self) -> String {
        let Self { words, code, stdout, stderr } = self;
        format!("{words}\nexit {code:?}\nstdout\n{stdout}\nstderr\n{stderr}")
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.report());
        self
    }

    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.report());
        self
    }

    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            let said = self.stdout.contains(word) || self.stderr.contains(word);
            assert!(said, "missing: {word}\n{}", self.report());
        }
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}\n{}", self.report()))
    }
}
