//! What we ship: stripped static binaries under `target/dist/bin`, named as they are installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian::Tool;
use crate::elf::Elf;
use crate::workspace::Package;
use crate::{debian, run, workspace};

/// The target we prefer: half a millisecond less start-up in a guest than static glibc.
pub(crate) const MUSL: &str = "x86_64-unknown-linux-musl";
const GNU: &str = "x86_64-unknown-linux-gnu";
const ARM: &str = "aarch64-unknown-linux-musl";

/// The cryptography of the overlay agent, `ring`, has parts in C and assembler.
const MUSL_COMPILER: &[Tool] = &[Tool {
    proof: "musl-gcc",
    package: "musl-tools",
    without: "what has parts in C cannot be built for musl",
}];
const ARM_COMPILER: &[Tool] = &[
    Tool {
        proof: "aarch64-linux-gnu-gcc",
        package: "gcc-aarch64-linux-gnu",
        without: "what has parts in C cannot be built for arm64",
    },
    Tool {
        proof: "/usr/aarch64-linux-gnu/include/stdlib.h",
        package: "libc6-dev-arm64-cross",
        without: "what has parts in C cannot be built for arm64",
    },
];

/// Plugins that know nothing of the packet filter.
const SMALL: &[&str] = &[
    "bandwidth",
    "dhcp",
    "dummy",
    "host-device",
    "ipvlan",
    "macvlan",
    "sbr",
    "tap",
    "vlan",
    "vrf",
];

/// What kind of thing is shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plugin,
    Command,
    /// A process that plugins start.
    Daemon,
    /// The daemon of names, built to be fast, with what confines it.
    Resolver,
    /// The daemon of overlay networks, with a client of etcd and its cryptography.
    Agent,
    /// All plugins in one file.
    Bundle,
}

impl Kind {
    /// The kind of a package, `None` for what stays at home.
    pub(crate) fn of(package: &Package) -> Option<Kind> {
        match &*package.name {
            "cli" => Some(Kind::Command),
            "proxy" => Some(Kind::Daemon),
            "resolver" => Some(Kind::Resolver),
            "overlay-agent" => Some(Kind::Agent),
            "bundle" => Some(Kind::Bundle),
            _ if package.is_plugin() => Some(Kind::Plugin),
            _ => None,
        }
    }

    /// Whether bytes count for more than what they save of the processor's time.
    fn is_to_be_small(self) -> bool {
        !matches!(self, Kind::Resolver | Kind::Agent)
    }

    /// So many bytes the binary `name` may have at most, linked with musl.
    fn limit(self, name: &str) -> Option<u64> {
        match self {
            // Why more than was aimed at: docs/adr/0007-packet-filter.md.
            Kind::Plugin if matches!(name, "user-bridge" | "overlay") => Some(2_350_000),
            Kind::Plugin if SMALL.contains(&name) => Some(1_200_000),
            Kind::Plugin => Some(1_650_000),
            Kind::Daemon => Some(1_200_000),
            Kind::Resolver => Some(1_700_000),
            Kind::Agent => Some(4_500_000),
            // 3 MB are aimed at: docs/adr/0015-allocator-of-plugins.md.
            Kind::Bundle => Some(3_250_000),
            Kind::Command => None,
        }
    }
}

/// How to build static binaries on this machine.
pub(crate) struct StaticBuild {
    pub(crate) target: &'static str,
    /// Debian's name of the processor.
    pub(crate) debian: &'static str,
    rust_flags: &'static str,
    /// What the C library adds to a binary beyond musl's share.
    libc_bytes: u64,
}

impl StaticBuild {
    /// musl when its target is installed or can be added to the installed toolchain, else static
    /// glibc, saying so.
    pub(crate) fn choose() -> StaticBuild {
        if musl_installed() || added(MUSL) {
            debian::ensure(MUSL_COMPILER);
            // Relative relocations are most of a static PIE's; packed they take 1 KB instead of 40.
            let rust_flags = "-C link-arg=-Wl,-z,pack-relative-relocs";
            return StaticBuild { target: MUSL, debian: "amd64", rust_flags, libc_bytes: 0 };
        }
        println!("target {MUSL} cannot be had here: building against static glibc instead");
        let rust_flags = "-C target-feature=+crt-static";
        StaticBuild { target: GNU, debian: "amd64", rust_flags, libc_bytes: 900_000 }
    }

    /// For 64-bit ARM, by the linker that comes with Rust; what has parts in C, by Debian's compiler.
    /// Its headers are glibc's, and those parts use nothing that musl has otherwise.
    pub(crate) fn arm() -> Result<StaticBuild> {
        if !(installed(ARM) || added(ARM)) {
            bail!("target {ARM} cannot be had here");
        }
        debian::ensure(ARM_COMPILER);
        let rust_flags = "-C linker=rust-lld -C linker-flavor=ld.lld";
        Ok(StaticBuild { target: ARM, debian: "arm64", rust_flags, libc_bytes: 0 })
    }

    /// Where what is shipped for it is put.
    pub(crate) fn root(&self) -> PathBuf {
        match self.target {
            ARM => workspace::target().join("dist-arm64"),
            _ => workspace::target().join("dist"),
        }
    }

    /// `cargo <verb>` for this target, in a target directory of its own: other flags in the usual
    /// one would rebuild everything on each change between them.
    pub(crate) fn cargo(&self, verb: &str) -> Command {
        let mut command = run::cargo();
        command.args([verb, "--locked", "--target", self.target, "--target-dir"]);
        command.arg(self.directory()).current_dir(workspace::root());
        if !self.rust_flags.is_empty() {
            command.env("RUSTFLAGS", self.rust_flags);
        }
        if self.target == ARM {
            command.env("CC_aarch64_unknown_linux_musl", "aarch64-linux-gnu-gcc");
        }
        command
    }

    /// Lets `cargo` build what is to be small: whatever is started for each call.
    fn for_size(&self, cargo: &mut Command) -> Result<()> {
        let mut flags = self.rust_flags.to_owned();
        // With them the tables for unwinding are a third smaller: they need not follow each push.
        flags.push_str(" -C force-frame-pointers=yes");
        flags.push_str(" --cfg sha2_backend=\"soft\" --cfg sha2_backend_soft=\"compact\"");
        if self.target == MUSL {
            // The linker that comes with Rust makes functions that are the same one.
            let sysroot = run::output(Command::new("rustc").args(["--print", "sysroot"]))?;
            let linker = Path::new(sysroot.trim()).join("lib/rustlib").join(GNU).join("bin/gcc-ld");
            let found = format!("-C link-arg=-B{} -C link-arg=-fuse-ld=lld", linker.display());
            flags.push_str(&format!(" {found} -C link-arg=-Wl,--icf=all"));
        }
        cargo.env("RUSTFLAGS", flags);
        Ok(())
    }

    /// Where binaries of `profile` (`release` or `debug`) are left.
    pub(crate) fn output(&self, profile: &str) -> PathBuf {
        self.directory().join(self.target).join(profile)
    }

    fn directory(&self) -> PathBuf {
        workspace::target().join("dist/build")
    }
}

/// `cargo xtask dist`.
pub(crate) fn task(_: &[String]) -> Result<()> {
    let files = build()?;
    let mut too_big = Vec::new();
    println!("\n{:<16} {:>10}  kind", "binary", "bytes");
    for file in &files {
        let bytes = file.path.metadata()?.len();
        Elf::read(&file.path)?
            .must_be_static_and_stripped()
            .with_context(|| format!("{} cannot be shipped", file.name))?;
        println!("{:<16} {bytes:>10}  {:?}", file.name, file.kind);
        if let Some(limit) = file.limit.filter(|limit| bytes > *limit) {
            too_big.push(format!("{} has {bytes} bytes, {limit} are allowed", file.name));
        }
    }
    println!("all are stripped static PIEs, below {}", workspace::target().join("dist").display());
    if !too_big.is_empty() {
        bail!(too_big.join("; "));
    }
    Ok(())
}

/// The directory with plugins, daemons and command, ready to be installed.
pub(crate) fn bin() -> PathBuf {
    workspace::target().join("dist/bin")
}

/// A binary that is shipped.
pub(crate) struct Shipped {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    /// So many bytes it may have at most.
    limit: Option<u64>,
}

/// Builds what we ship and copies it to [`bin`], and the bundle beside it.
pub(crate) fn build() -> Result<Vec<Shipped>> {
    let build = StaticBuild::choose();
    build_into(&build, &build.root())
}

/// Builds what we ship and copies it to `bin` and `bundle` of `root`, which then hold nothing else.
pub(crate) fn build_into(build: &StaticBuild, root: &Path) -> Result<Vec<Shipped>> {
    let packages = workspace::packages()?;
    let mut files = Vec::new();
    let (bin, bundle) = (root.join("bin"), root.join("bundle"));
    empty_directory(&bin)?;
    empty_directory(&bundle)?;
    // Apart: cargo gives all packages of one build the features that any of them asks for, and
    // plugins have no use for what the command needs.
    let kinds =
        [Kind::Plugin, Kind::Daemon, Kind::Resolver, Kind::Agent, Kind::Command, Kind::Bundle];
    for kind in kinds {
        let group: Vec<_> = packages.iter().filter(|p| Kind::of(p) == Some(kind)).collect();
        if group.is_empty() {
            continue;
        }
        let names = group.iter().flat_map(|package| ["--package", &package.name]);
        let mut cargo = build.cargo("build");
        if kind.is_to_be_small() {
            build.for_size(&mut cargo)?;
        }
        if kind == Kind::Bundle {
            // Its users count bytes and not microseconds.
            cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "z");
        }
        run::run(cargo.args(["--release", "--bins"]).args(names))?;
        let folder = if kind == Kind::Bundle { &bundle } else { &bin };
        for name in group.iter().flat_map(|package| &package.binaries) {
            let path = folder.join(name);
            copy(&build.output("release").join(name), &path)?;
            let limit = kind.limit(name).map(|limit| limit + build.libc_bytes);
            files.push(Shipped { name: name.clone(), path, kind, limit });
        }
    }
    link_bundle(&bundle, &files)?;
    Ok(files)
}

/// Gives the bundle the names of the plugins, by which it is called.
fn link_bundle(folder: &Path, files: &[Shipped]) -> Result<()> {
    let Some(bundled) = files.iter().find(|file| file.kind == Kind::Bundle) else { return Ok(()) };
    for plugin in files.iter().filter(|file| file.kind == Kind::Plugin) {
        let name = folder.join(&plugin.name);
        std::fs::hard_link(&bundled.path, &name)
            .with_context(|| format!("link {}", name.display()))?;
    }
    Ok(())
}

/// Whether the toolchain in use can build for musl.
pub(crate) fn musl_installed() -> bool {
    installed(MUSL)
}

fn installed(target: &str) -> bool {
    run::output(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))
        .is_ok_and(|directory| Path::new(directory.trim()).exists())
}

/// Adds a target to the installed toolchain. This fetches one library, never a toolchain.
fn added(target: &str) -> bool {
    run::find_program("rustup").is_some()
        && run::run(Command::new("rustup").args(["target", "add", target])).is_ok()
        && installed(target)
}

pub(crate) fn empty_directory(directory: &Path) -> Result<()> {
    if directory.exists() {
        std::fs::remove_dir_all(directory)
            .with_context(|| format!("empty {}", directory.display()))?;
    }
    std::fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    std::fs::copy(from, to)
        .with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
