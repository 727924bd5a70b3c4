//! The lab itself: the namespaces of one case, and what connects them.

use std::env;
use std::fs::{self, File};
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::mount::{MsFlags, mount};

use crate::namespace::{Process, on_own_thread, pin_current, spawn_holder};
use crate::{Namespace, bins};

/// Where `ip netns` and all runtimes pin namespaces.
const NETNS: &str = "/run/netns";
/// Where the lab pins its own, out of the way of `ip netns list`.
const OWN: &str = "/run/lab";

/// The world of one case.
///
/// `/run` and `/var/lib` are empty and private, and so are all links, rules and sysctls below
/// `net`. Plugins run in [`Lab::host`] unless told otherwise.
#[derive(Debug)]
pub struct Lab {
    host: Namespace,
    namespaces: Mutex<Vec<Namespace>>,
    /// Plugin calls so far, as they stand in a report; the newest last.
    pub(crate) calls: Mutex<Vec<String>>,
    scratches: AtomicU32,
}

impl Lab {
    /// Makes the calling process's fresh namespaces a lab.
    pub(crate) fn open() -> Self {
        let kept = [env::current_exe().ok(), bins::directory_given(), Some(bins::reference())];
        let kept: Vec<PathBuf> =
            kept.iter().flatten().filter_map(|path| existing_folder(path)).collect();
        make_private("/run", &kept);
        make_private("/var/lib", &kept);
        // `/sys/class/net` shows the namespace that the mount was made in. Where a user namespace
        // may not mount sysfs nothing else suffers: ip and nft do not look there.
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let _ = mount(Some("sysfs"), "/sys", Some("sysfs"), flags, None::<&str>);
        for directory in [NETNS, OWN] {
            create_directory(Path::new(directory));
        }
        let host = Path::new(OWN).join("host");
        File::create_new(&host)
            .unwrap_or_else(|error| panic!("create {}: {error}", host.display()));
        on_own_thread(|| pin_current(&host));
        let host = Namespace::at("host", &host);
        host.run("ip link set dev lo up");
        Self {
            namespaces: Mutex::new(vec![host.clone()]),
            host,
            calls: Mutex::default(),
            scratches: AtomicU32::new(0),
        }
    }

    /// Makes the fresh namespaces that the calling process was started in a lab, for programs that are
    /// no tests. What is mounted below `/run` and `/var/lib` is covered.
    ///
    /// # Panics
    /// When they do not belong to the process alone.
    #[must_use]
    pub fn here() -> Self {
        Self::open()
    }

    /// The namespace that plays the host: the one the case itself runs in.
    #[must_use]
    pub fn host(&self) -> &Namespace {
        &self.host
    }

    /// Another host, with nothing but an `lo` that is up. Files are shared with the first.
    #[must_use]
    pub fn another_host(&self, name: &str) -> Namespace {
        let host = Namespace::pinned(name, &Path::new(OWN).join(name));
        host.run("ip link set dev lo up");
        self.know(&host);
        host
    }

    /// A container as a runtime hands it to plugins: a fresh namespace pinned below `/run/netns`,
    /// with an `lo` that is down. Its name is its id as well.
    #[must_use]
    pub fn container(&self, name: &str) -> Container {
        let namespace = Namespace::pinned(name, &Path::new(NETNS).join(name));
        self.know(&namespace);
        Container { namespace, id: name.to_owned(), holder: Mutex::default() }
    }

    /// A container whose namespace no file pins, only a process: `/proc/<pid>/ns/net`.
    #[must_use]
    pub fn held_container(&self, name: &str) -> Container {
        let holder = spawn_holder(name)
            .unwrap_or_else(|error| panic!("start a process to hold {name}: {error}"));
        let path = format!("/proc/{}/ns/net", holder.id());
        let namespace = Namespace::at(name, Path::new(&path));
        self.know(&namespace);
        let holder = Mutex::new(Some(Process::from_child(holder)));
        Container { namespace, id: name.to_owned(), holder }
    }

    /// A namespace that somebody else made and keeps: that of a runtime's container, known as `path`
    /// while it runs.
    ///
    /// # Panics
    /// When `path` leads to no network namespace.
    #[must_use]
    #[track_caller]
    pub fn foreign(&self, name: &str, path: &Path) -> Namespace {
        let namespace = Namespace::at(name, path);
        assert!(namespace.exists(), "{} is no network namespace", path.display());
        self.know(&namespace);
        namespace
    }

    /// Two hosts with a wire between them: `10.99.0.1` and `fd99::1` on the first, `10.99.0.2` and
    /// `fd99::2` on the second, all on `eth0`.
    #[must_use]
    pub fn two_hosts(&self) -> (Namespace, Namespace) {
        let (a, b) = (self.another_host("a"), self.another_host("b"));
        self.wire((&a, "eth0"), (&b, "eth0"));
        for (host, number) in [(&a, 1), (&b, 2)] {
            host.run(&format!("ip addr add 10.99.0.{number}/24 dev eth0"));
            host.run(&format!("ip addr add fd99::{number}/64 dev eth0 nodad"));
        }
        (a, b)
    }

    /// A veth pair with one end in each namespace, both up.
    #[track_caller]
    pub fn wire(&self, one: (&Namespace, &str), other: (&Namespace, &str)) {
        let (here, there) = (one.0, other.0);
        // The peer is named by its pinned path, which `ip` takes as it is.
        here.run(&format!(
            "ip link add dev {} type veth peer name {} netns {}",
            one.1,
            other.1,
            there.path().display()
        ));
        here.run(&format!("ip link set dev {} up", one.1));
        there.run(&format!("ip link set dev {} up", other.1));
    }

    /// Calls `act` with a namespace that is thrown away after it.
    pub fn scratch<T>(&self, act: impl FnOnce(&Namespace) -> T) -> T {
        let number = self.scratches.fetch_add(1, Ordering::Relaxed);
        let name = format!("scratch-{number}");
        let namespace = Namespace::pinned(&name, &Path::new(OWN).join(&name));
        let value = act(&namespace);
        namespace.remove();
        value
    }

    /// All namespaces that still exist, the host first.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Namespace> {
        let known = self.namespaces.lock().expect("no code panics while it holds this lock");
        known.iter().filter(|namespace| namespace.exists()).cloned().collect()
    }

    fn know(&self, namespace: &Namespace) {
        let mut known = self.namespaces.lock().expect("no code panics while it holds this lock");
        known.push(namespace.clone());
    }
}

/// A namespace with an id, as plugins are given it.
#[derive(Debug)]
pub struct Container {
    namespace: Namespace,
    id: String,
    holder: Mutex<Option<Process>>,
}

impl Container {
    /// What a runtime would write into `CNI_CONTAINERID`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Ends it as a runtime that crashed would: the namespace goes, and nobody calls DEL.
    ///
    /// The kernel takes its links away a moment later, see [`Namespace::wait_until_gone`].
    pub fn remove(&self) {
        let holder = self.holder.lock().expect("no code panics while it holds this lock").take();
        match holder {
            Some(process) => drop(process),
            None => self.namespace.remove(),
        }
    }
}

impl Deref for Container {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

/// The folder that `path` is, or is in; by its real name.
fn existing_folder(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    if path.is_dir() { Some(path) } else { path.parent().map(Path::to_owned) }
}

/// Covers `directory` with an empty file system, but for the folders to be `kept`: a checkout may
/// well lie below `/var/lib`.
fn make_private(directory: &str, kept: &[PathBuf]) {
    let within: Vec<(&PathBuf, File)> = kept
        .iter()
        .filter(|path| path.starts_with(directory))
        .filter_map(|path| Some((path, File::open(path).ok()?)))
        .collect();
    let none = None::<&str>;
    let covered =
        mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=755"));
    if let Err(error) = covered {
        panic!("mount a private {directory}: {error}");
    }
    for (path, open) in within {
        create_directory(path);
        let original = format!("/proc/self/fd/{}", open.as_raw_fd());
        if let Err(error) = mount(Some(&*original), path, none, MsFlags::MS_BIND, none) {
            panic!("keep {} within the private {directory}: {error}", path.display());
        }
    }
}

fn create_directory(path: &Path) {
    fs::create_dir_all(path).unwrap_or_else(|error| panic!("create {}: {error}", path.display()));
}
