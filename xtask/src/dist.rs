//! What we ship: stripped static binaries under `target/dist/bin`, named as they are installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::elf::Elf;
use crate::{run, workspace};

/// The target we prefer: half a millisecond less start-up in a guest than static glibc.
pub(crate) const MUSL: &str = "x86_64-unknown-linux-musl";
const GNU: &str = "x86_64-unknown-linux-gnu";

/// A plugin may have at most this many bytes.
const PLUGIN_LIMIT: u64 = 1_200_000;

/// How to build static binaries on this machine.
pub(crate) struct StaticBuild {
    pub(crate) target: &'static str,
    rust_flags: &'static str,
}

impl StaticBuild {
    /// musl when its target is installed or can be added to the installed toolchain, else static
    /// glibc, saying so.
    pub(crate) fn choose() -> StaticBuild {
        if musl_installed() || added_musl() {
            // Relative relocations are most of a static PIE's; packed they take 1 KB instead of 40.
            let rust_flags = "-C link-arg=-Wl,-z,pack-relative-relocs";
            return StaticBuild { target: MUSL, rust_flags };
        }
        println!("target {MUSL} cannot be had here: building against static glibc instead");
        StaticBuild { target: GNU, rust_flags: "-C target-feature=+crt-static" }
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
        command
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
    if files.is_empty() {
        println!("there is nothing to ship yet");
        return Ok(());
    }
    let mut too_big = Vec::new();
    println!("\n{:<16} {:>10}  kind", "binary", "bytes");
    for file in &files {
        let bytes = file.path.metadata()?.len();
        Elf::read(&file.path)?
            .must_be_static_and_stripped()
            .with_context(|| format!("{} cannot be shipped", file.name))?;
        println!("{:<16} {bytes:>10}  {}", file.name, file.kind);
        if file.kind == "plugin" && bytes > PLUGIN_LIMIT {
            too_big.push(format!("{} has {bytes} bytes", file.name));
        }
    }
    println!("all are stripped static PIEs in {}", bin().display());
    if !too_big.is_empty() {
        bail!("a plugin may have at most {PLUGIN_LIMIT} bytes: {}", too_big.join(", "));
    }
    Ok(())
}

/// The directory that `dist` fills.
pub(crate) fn bin() -> PathBuf {
    workspace::target().join("dist/bin")
}

/// A binary in [`bin`].
pub(crate) struct Shipped {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    kind: &'static str,
}

/// Builds what we ship and copies it to [`bin`], which afterwards holds nothing else.
pub(crate) fn build() -> Result<Vec<Shipped>> {
    let packages = workspace::packages()?;
    let shipped: Vec<_> = packages.iter().filter_map(|p| kind(p).map(|kind| (p, kind))).collect();
    if shipped.is_empty() {
        return Ok(Vec::new());
    }
    let build = StaticBuild::choose();
    // Apart: cargo gives all packages of one build the features that any of them asks for, and
    // plugins have no use for what the command needs.
    let (plugins, others): (Vec<_>, Vec<_>) =
        shipped.iter().partition(|(_, kind)| *kind == "plugin");
    for group in [plugins, others].iter().filter(|group| !group.is_empty()) {
        let names = group.iter().flat_map(|(package, _)| ["--package", &package.name]);
        run::run(build.cargo("build").args(["--release", "--bins"]).args(names))?;
    }
    empty_directory(&bin())?;
    let mut files = Vec::new();
    for (package, kind) in shipped {
        for name in &package.binaries {
            let path = bin().join(name);
            copy(&build.output("release").join(name), &path)?;
            files.push(Shipped { name: name.clone(), path, kind });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// What kind of shipped thing a package is, `None` for what stays at home.
fn kind(package: &workspace::Package) -> Option<&'static str> {
    match &*package.name {
        "cli" => Some("command"),
        "bundle" => Some("bundle"),
        _ if package.is_plugin() => Some("plugin"),
        _ => None,
    }
}

/// Whether the toolchain in use can build for musl.
pub(crate) fn musl_installed() -> bool {
    run::output(Command::new("rustc").args(["--print", "target-libdir", "--target", MUSL]))
        .is_ok_and(|directory| Path::new(directory.trim()).exists())
}

/// Adds the target to the installed toolchain. This fetches one library, never a toolchain.
fn added_musl() -> bool {
    run::find_program("rustup").is_some()
        && run::run(Command::new("rustup").args(["target", "add", MUSL])).is_ok()
        && musl_installed()
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
