//! Chains of shell scripts: what a runtime does, seen by plugins that write down their calls.

mod chain;
mod directory;
mod garbage;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Cache, Container, NetworkList, Runtime};

/// A directory that goes with the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("cni-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        file
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A runtime with its own plugins, cache and list.
pub(crate) struct Stage {
    pub(crate) scratch: Scratch,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self { scratch: Scratch::new() }
    }

    /// Installs a shell script as plugin `kind`. It finds its standard input in `$config`, and
    /// notes verb and input in a file that [`calls`](Self::calls) reads.
    pub(crate) fn plugin(self, kind: &str, script: &str) -> Self {
        let calls = self.scratch.path().join("calls");
        let text = format!(
            "#!/bin/sh\nconfig=$(cat)\necho \"{kind} $CNI_COMMAND $config\" >> {}\n{script}\n",
            calls.display()
        );
        let file = self.scratch.write(&format!("bin/{kind}"), &text);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    pub(crate) fn runtime(&self) -> Runtime {
        let mut cache = Cache::in_directory(&self.scratch.path().join("cni"));
        cache.locks = self.scratch.path().join("lock");
        Runtime::new(vec![self.scratch.path().join("bin")]).with_cache(cache)
    }

    /// What the plugins noted: `kind VERB`, and the input beside it.
    pub(crate) fn calls(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.scratch.path().join("calls")).unwrap_or_default();
        let call = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let mut next = || words.next().unwrap_or_default().to_owned();
            (format!("{} {}", next(), next()), next())
        };
        text.lines().map(call).collect()
    }

    pub(crate) fn verbs(&self) -> Vec<String> {
        self.calls().into_iter().map(|(call, _)| call).collect()
    }

    pub(crate) fn cached(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.scratch.path().join("cni/results")) else {
            return Vec::new();
        };
        entries.map(|e| e.unwrap().path()).collect()
    }
}

pub(crate) fn list(version: &str, plugins: &[&str]) -> NetworkList {
    let plugins: Vec<_> = plugins.iter().map(|p| format!("{{\"type\":\"{p}\"}}")).collect();
    let text =
        format!(r#"{{"cniVersion":"{version}","name":"n","plugins":[{}]}}"#, plugins.join(","));
    NetworkList::parse(text.as_bytes()).unwrap()
}

pub(crate) fn container() -> Container {
    Container::new("c".parse().unwrap(), "eth0".parse().unwrap()).in_netns("/proc/self/ns/net")
}
