//! A network namespace, entered on a thread of its own, and what runs in it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use serde_json::Value;

/// A network namespace of a lab: a host, a container's, or one between.
///
/// A handle; clones mean the same namespace.
#[derive(Clone, Debug)]
pub struct Namespace {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    path: PathBuf,
}

impl Namespace {
    /// One that exists already, bound to or known as `path`.
    pub(crate) fn at(name: &str, path: &Path) -> Self {
        Self { inner: Arc::new(Inner { name: name.to_owned(), path: path.to_owned() }) }
    }

    /// Makes a new one and pins it to the file `path`, as `ip netns add` does.
    pub(crate) fn pinned(name: &str, path: &Path) -> Self {
        File::create_new(path)
            .unwrap_or_else(|error| panic!("create {} for {name}: {error}", path.display()));
        on_own_thread(|| {
            enter_new(name);
            pin_current(path);
        });
        Self::at(name, path)
    }

    /// As it is called in reports.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What a runtime would write into `CNI_NETNS`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Unpins it. The kernel removes it, and all links in it, when nobody is inside any more.
    pub fn remove(&self) {
        if let Err(error) = umount2(self.path(), MntFlags::MNT_DETACH) {
            panic!("unpin {} at {}: {error}", self.name(), self.path().display());
        }
        fs::remove_file(self.path())
            .unwrap_or_else(|error| panic!("remove {}: {error}", self.path().display()));
    }

    /// Whether its path still leads to a namespace.
    #[must_use]
    pub fn exists(&self) -> bool {
        // A file that is left when the mount is gone has no `/proc/…`-like target: ask the kernel.
        File::open(self.path())
            .is_ok_and(|file| on_own_thread(|| setns(&file, CloneFlags::CLONE_NEWNET).is_ok()))
    }

    /// Calls `act` inside, on a thread of its own, and gives back its value. Sockets that it makes
    /// stay in the namespace for good, wherever they are used later.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        on_own_thread(|| {
            let entered =
                File::open(self.path()).and_then(|file| Ok(setns(file, CloneFlags::CLONE_NEWNET)?));
            if let Err(error) = entered {
                panic!("enter {} at {}: {error}", self.name(), self.path().display());
            }
            act()
        })
    }

    /// Runs `command`, split at blanks, inside; gives back its standard output.
    ///
    /// # Panics
    /// When it cannot be started or fails, with both streams.
    #[track_caller]
    pub fn run(&self, command: &str) -> String {
        let done = self.try_run(command);
        let (out, error) = (text(&done.stdout), text(&done.stderr));
        assert!(
            done.status.success(),
            "`{command}` in {}: {}\n{out}{error}",
            self.name(),
            done.status
        );
        out
    }

    /// As [`Self::run`], for a command that reads `input`, which is short.
    #[track_caller]
    pub(crate) fn run_with(&self, command: &str, input: &str) -> String {
        let run = || {
            let [stdin, stdout] = [Stdio::piped(), Stdio::piped()];
            let mut child = split(command).stdin(stdin).stdout(stdout).spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(input.as_bytes())?;
            }
            child.wait_with_output()
        };
        let name = self.name();
        match self.within(run) {
            Ok(done) if done.status.success() => text(&done.stdout),
            Ok(done) => panic!("`{command}` in {name}: {}\n{}", done.status, text(&done.stdout)),
            Err(error) => panic!("run `{command}` in {name}: {error}"),
        }
    }

    /// As [`Self::run`], for a command that may fail.
    #[must_use]
    #[track_caller]
    pub fn try_run(&self, command: &str) -> Output {
        match self.within(|| split(command).stdin(Stdio::null()).output()) {
            Ok(output) => output,
            Err(error) => panic!("start `{command}` in {}: {error}", self.name()),
        }
    }

    /// Starts `command` inside and leaves it running until the handle is dropped.
    #[must_use]
    #[track_caller]
    pub fn spawn(&self, command: &str) -> Process {
        match self.within(|| split(command).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()) {
            Ok(child) => Process { child },
            Err(error) => panic!("start `{command}` in {}: {error}", self.name()),
        }
    }

    /// Runs `command`, which prints JSON, inside.
    #[must_use]
    #[track_caller]
    pub fn json(&self, command: &str) -> Value {
        let printed = self.run(command);
        // `ip -j` prints nothing at all for an empty list in some versions.
        if printed.trim().is_empty() {
            return Value::Array(Vec::new());
        }
        match serde_json::from_str(&printed) {
            Ok(value) => value,
            Err(error) => panic!("`{command}` did not print JSON: {error}\n{printed}"),
        }
    }

    /// Everything that iproute2 knows about a link, `None` where there is none of that name.
    #[must_use]
    #[track_caller]
    pub fn link(&self, name: &str) -> Option<Value> {
        self.links().into_iter().find(|link| link["ifname"] == name)
    }

    /// Everything that iproute2 knows about all links.
    #[must_use]
    #[track_caller]
    pub fn links(&self) -> Vec<Value> {
        list(self.json("ip -j -d link show"))
    }

    /// The names of all links but `lo`.
    #[must_use]
    #[track_caller]
    pub fn link_names(&self) -> Vec<String> {
        let name = |link: &Value| link["ifname"].as_str().unwrap_or_default().to_owned();
        self.links().iter().map(name).filter(|name| name != "lo").collect()
    }

    /// The addresses of a link as `address/prefix`, without link-local ones, IPv4 first.
    #[must_use]
    #[track_caller]
    pub fn addresses(&self, link: &str) -> Vec<String> {
        let links = list(self.json(&format!("ip -j addr show dev {link}")));
        let entries = links.iter().flat_map(|link| list(link["addr_info"].clone()));
        entries
            .filter(|entry| entry["scope"] != "link")
            .map(|entry| {
                format!("{}/{}", entry["local"].as_str().unwrap_or("?"), entry["prefixlen"])
            })
            .collect()
    }

    /// All routes of the main tables, as `ip route` prints them, without what the kernel adds for
    /// link-local addresses.
    #[must_use]
    #[track_caller]
    pub fn routes(&self) -> Vec<String> {
        let both = self.run("ip -4 route show") + &self.run("ip -6 route show");
        both.lines()
            .map(str::trim_end)
            .filter(|line| !line.starts_with("fe80::") && !line.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The value of a sysctl below `/proc/sys/net/`, `None` where there is no such key.
    #[must_use]
    pub fn sysctl(&self, key: &str) -> Option<String> {
        let path = Path::new("/proc/sys/net").join(key);
        self.within(|| fs::read_to_string(path)).ok().map(|value| value.trim_end().to_owned())
    }

    /// Writes a sysctl below `/proc/sys/net/`.
    #[track_caller]
    pub fn set_sysctl(&self, key: &str, value: &str) {
        let path = Path::new("/proc/sys/net").join(key);
        if let Err(error) = self.within(|| fs::write(&path, value)) {
            panic!("write {value} to {} in {}: {error}", path.display(), self.name());
        }
    }
}

/// A program that runs in a namespace; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    pub(crate) fn from_child(child: Child) -> Self {
        Self { child }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output, once.
    ///
    /// # Panics
    /// At the second call.
    pub fn stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().expect("stdout is piped, and taken once")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Moves the calling thread, which must be its own, into a new namespace.
pub(crate) fn enter_new(name: &str) {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        panic!("make a network namespace for {name}: {error}");
    }
}

/// Binds the calling thread's namespace to `path`, an existing file.
pub(crate) fn pin_current(path: &Path) {
    let bound =
        mount(Some("/proc/thread-self/ns/net"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>);
    if let Err(error) = bound {
        panic!("pin a namespace to {}: {error}", path.display());
    }
}

/// Calls `act` on a scoped thread, so that no caller's thread ever changes its namespace.
pub(crate) fn on_own_thread<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(act).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

/// The elements of a JSON list; of anything else, none.
pub(crate) fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(elements) => elements,
        _ => Vec::new(),
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn split(command: &str) -> Command {
    let mut words = command.split_whitespace();
    let mut split = Command::new(words.next().unwrap_or_default());
    split.args(words);
    split
}

/// A process that does nothing but keep a new namespace alive.
pub(crate) fn spawn_holder(name: &str) -> io::Result<Child> {
    on_own_thread(|| {
        enter_new(name);
        Command::new("sleep").arg("infinity").stdin(Stdio::null()).spawn()
    })
}
