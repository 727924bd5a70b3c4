//! Kernels to boot: Debian's cloud packages, unpacked and never installed.
//!
//! apt-get works here with lists, cache and sources of its own below `target/vm`, so that no source
//! line has to be added to the machine and an ordinary user can do it too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run;

/// A kernel series and the Debian suites that carry it, the best first.
pub(super) struct Series {
    pub(super) name: &'static str,
    suites: &'static [&'static str],
}

/// The kernels that the guest boots: what people run (docs/kernels.md).
pub(super) const SERIES: &[Series] = &[
    Series { name: "6.1", suites: &["bookworm"] },
    Series { name: "6.12", suites: &["trixie", "bookworm-backports"] },
];

/// Depends on the newest kernel package of its suite.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// An unpacked kernel package.
pub(super) struct Kernel {
    /// As `uname -r` prints it.
    pub(super) release: String,
    pub(super) image: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    /// The unpacked kernel of `series` below `folder`, fetched when it is not there yet.
    pub(super) fn obtain(series: &Series, folder: &Path) -> Result<Kernel> {
        let unpacked = folder.join(series.name);
        if !unpacked.join("complete").exists() {
            fetch(series, folder, &unpacked)?;
            fs::write(unpacked.join("complete"), "")?;
        }
        Kernel::unpacked(&unpacked)
    }

    fn unpacked(folder: &Path) -> Result<Kernel> {
        let release = fs::read_dir(folder.join("lib/modules"))?
            .next()
            .context("the kernel package holds no modules")??
            .file_name()
            .to_string_lossy()
            .into_owned();
        let modules = folder.join("lib/modules").join(&release);
        let image = folder.join(format!("boot/vmlinuz-{release}"));
        Ok(Kernel { release, image, modules })
    }

    /// The files of `wanted` modules with all they need, in load order, and the content of each.
    ///
    /// What is built in needs no loading; a module that this kernel does not have is told.
    pub(super) fn modules(&self, wanted: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
        let known = fs::read_to_string(self.modules.join("modules.dep"))?;
        let built_in = fs::read_to_string(self.modules.join("modules.builtin"))?;
        let mut files: Vec<&str> = Vec::new();
        for module in wanted {
            match load_order(&known, module) {
                Some(order) => {
                    let new: Vec<_> = order.into_iter().filter(|f| !files.contains(f)).collect();
                    files.extend(new);
                }
                None if built_in.lines().any(|file| module_name(file) == *module) => {}
                None => println!("Linux {} has no module {module}", self.release),
            }
        }
        files.into_iter().map(|file| Ok((module_name(file), self.module(file)?))).collect()
    }

    /// A module's content; newer packages compress it.
    fn module(&self, file: &str) -> Result<Vec<u8>> {
        let path = self.modules.join(file);
        if !file.ends_with(".xz") {
            return fs::read(&path).with_context(|| format!("read {}", path.display()));
        }
        let out = Command::new("xz").args(["--decompress", "--stdout"]).arg(&path).output()?;
        if !out.status.success() {
            bail!("decompress {}: {}", path.display(), String::from_utf8_lossy(&out.stderr));
        }
        Ok(out.stdout)
    }
}

/// What to load for `module`, itself last. A line of `modules.dep` names a file and after the
/// colon what it needs, the deepest last.
fn load_order<'a>(known: &'a str, module: &str) -> Option<Vec<&'a str>> {
    let (file, needs) = known
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(file, _)| module_name(file) == module)?;
    let mut order: Vec<&str> = needs.split_whitespace().rev().collect();
    order.push(file);
    Some(order)
}

/// The name under which the kernel knows the module in `file`.
fn module_name(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split('.').next().unwrap_or(name).replace('-', "_")
}

fn fetch(series: &Series, folder: &Path, unpacked: &Path) -> Result<()> {
    let mut errors = Vec::new();
    for suite in series.suites {
        match fetch_from(suite, series, folder, unpacked) {
            Ok(()) => return Ok(()),
            Err(error) => errors.push(format!("from {suite}: {error:#}")),
        }
    }
    bail!("fetch Linux {}: {}", series.name, errors.join("; "))
}

fn fetch_from(suite: &str, series: &Series, folder: &Path, unpacked: &Path) -> Result<()> {
    let apt = PrivateApt::new(folder.join("apt").join(suite), suite)?;
    run::run(&mut apt.command("apt-get", &["-qq", "update"]))?;
    let depends = run::output(&mut apt.command("apt-cache", &["depends", META_PACKAGE]))?;
    let package = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|package| package.contains(&format!("-{}.", series.name)))
        .with_context(|| format!("{META_PACKAGE} is of another series"))?;
    super::empty_directory(unpacked)?;
    run::run(apt.command("apt-get", &["-qq", "download", package]).current_dir(unpacked))?;
    let archive = fs::read_dir(unpacked)?.next().context("apt-get left no file")??.path();
    run::run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(unpacked))?;
    fs::remove_file(archive)?;
    // Since usr-merge packages hold usr/lib, where depmod does not look.
    if unpacked.join("usr/lib/modules").exists() {
        fs::rename(unpacked.join("usr/lib"), unpacked.join("lib"))?;
    }
    let kernel = Kernel::unpacked(unpacked)?;
    let depmod = run::find_program("depmod").context("depmod (package kmod) is missing")?;
    run::run(Command::new(depmod).arg("-b").arg(unpacked).arg(&kernel.release))
}

/// apt with everything it reads and writes in a folder of its own.
struct PrivateApt {
    folder: PathBuf,
}

impl PrivateApt {
    fn new(folder: PathBuf, suite: &str) -> Result<PrivateApt> {
        fs::create_dir_all(folder.join("lists/partial"))?;
        fs::create_dir_all(folder.join("cache/archives/partial"))?;
        fs::write(folder.join("status"), "")?;
        let mirror = mirror();
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let source = format!("deb [arch=amd64 signed-by={keyring}] {mirror} {suite} main\n");
        fs::write(folder.join("sources.list"), source)?;
        Ok(PrivateApt { folder })
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        for (option, file) in [
            ("Dir::State", ""),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
            ("Dir::Etc::sourcelist", "sources.list"),
        ] {
            command.arg("-o").arg(format!("{option}={}", self.folder.join(file).display()));
        }
        // No sources of the machine, no user of its own that could not enter our folder, and of
        // the indexes only the packages.
        command.args(["-o", "Dir::Etc::sourceparts=-", "-o", "APT::Sandbox::User="]);
        command.args(["-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"]);
        command.args(["-o", "Acquire::Languages=none"]);
        command.args(arguments);
        command
    }
}

/// The Debian mirror that this machine uses.
fn mirror() -> String {
    run::output(Command::new("apt-get").args(["indextargets", "--format", "$(SITE)"]))
        .unwrap_or_default()
        .lines()
        .find(|site| site.trim_end_matches('/').ends_with("/debian"))
        .unwrap_or("http://deb.debian.org/debian")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "kernel/net/8021q/8021q.ko: kernel/net/802/mrp.ko kernel/net/llc/llc.ko\n\
                         kernel/net/802/mrp.ko:\n\
                         kernel/drivers/net/ip-vlan.ko.xz:\n";

    #[test]
    fn what_a_module_needs_is_loaded_before_it_the_deepest_first() {
        let order = load_order(KNOWN, "8021q").unwrap();
        let expected =
            ["kernel/net/llc/llc.ko", "kernel/net/802/mrp.ko", "kernel/net/8021q/8021q.ko"];
        assert_eq!(order, expected);
        assert!(load_order(KNOWN, "wireguard").is_none());
    }

    #[test]
    fn dashes_and_compression_do_not_hide_a_module() {
        assert_eq!(load_order(KNOWN, "ip_vlan").unwrap(), ["kernel/drivers/net/ip-vlan.ko.xz"]);
    }
}
