//! A plugin of a few lines of shell, to see what others are given and how they bear its answers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where fakes live; private to the lab.
const DIRECTORY: &str = "/run/fakes";

/// A plugin that writes down each call and gives a prepared answer.
pub(crate) struct Fake {
    name: String,
}

impl Fake {
    /// One that answers each verb with success, and ADD with `result`.
    pub(crate) fn answering(name: &str, result: &Value) -> Self {
        Self::with_script(name, &format!("case $CNI_COMMAND in ADD) echo '{result}';; esac"))
    }

    /// One whose verb fails with the error object `error`; all others succeed.
    pub(crate) fn failing(name: &str, verb: &str, error: &Value) -> Self {
        let script = format!("case $CNI_COMMAND in {verb}) echo '{error}'; exit 1;; esac");
        Self::with_script(name, &script)
    }

    /// One that runs `script` after it has written the call down.
    pub(crate) fn with_script(name: &str, script: &str) -> Self {
        let fake = Self { name: name.to_owned() };
        fs::create_dir_all(DIRECTORY).unwrap();
        let log = fake.log("$CNI_COMMAND");
        let log = log.display();
        let text = format!(
            "#!/bin/sh\ncat >{log}.stdin\nenv >{log}.env\necho $CNI_COMMAND >>{}\n{script}\n",
            fake.log("verbs").display()
        );
        let path = Path::new(DIRECTORY).join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        fake
    }

    /// `CNI_PATH` that leads to the fakes first, then to `others`.
    pub(crate) fn path(others: &Path) -> String {
        format!("{DIRECTORY}:{}", others.display())
    }

    /// The verbs it was called with, in order.
    pub(crate) fn verbs(&self) -> Vec<String> {
        let written = fs::read_to_string(self.log("verbs")).unwrap_or_default();
        written.lines().map(str::to_owned).collect()
    }

    /// What its last call of `verb` got on standard input.
    pub(crate) fn stdin(&self, verb: &str) -> String {
        self.read(verb, "stdin")
    }

    /// What its last call of `verb` got as a variable.
    pub(crate) fn variable(&self, verb: &str, key: &str) -> Option<String> {
        let variables = self.read(verb, "env");
        let value = variables.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
        value.map(str::to_owned)
    }

    #[track_caller]
    fn read(&self, verb: &str, kind: &str) -> String {
        let path = format!("{}.{kind}", self.log(verb).display());
        fs::read_to_string(&path).unwrap_or_else(|_| panic!("{} got no {verb}", self.name))
    }

    fn log(&self, what: &str) -> PathBuf {
        Path::new(DIRECTORY).join(format!("{}.{what}", self.name))
    }
}
