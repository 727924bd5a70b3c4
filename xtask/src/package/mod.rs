//! What is installed from: a Debian package, the list of what is in it, and their checksums.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian::{self, Tool};
use crate::dist::{self, Kind, Shipped, StaticBuild};
use crate::report::Outcome;
use crate::{run, sbom, workspace};

mod proof;

const TOOLS: &[Tool] =
    &[Tool { proof: "dpkg-deb", package: "dpkg", without: "no Debian package is made" }];

/// What it takes to install it in a root directory of its own.
const PROOF_TOOLS: &[Tool] = &[
    Tool { proof: "/bin/busybox", package: "busybox-static", without: "no package is installed" },
    Tool { proof: "nft", package: "nftables", without: "no package is installed" },
    Tool { proof: "unshare", package: "util-linux", without: "no package is installed" },
    Tool { proof: "ip", package: "iproute2", without: "no package is installed" },
];

/// The names of the reference set, whose package ours stands in for.
const REFERENCE: &[&str] = &[
    "bandwidth",
    "bridge",
    "dhcp",
    "dummy",
    "firewall",
    "host-device",
    "host-local",
    "ipvlan",
    "loopback",
    "macvlan",
    "portmap",
    "ptp",
    "sbr",
    "static",
    "tap",
    "tuning",
    "vlan",
    "vrf",
];

/// Files of `packaging/` and where they are installed.
const FILES: &[(&str, &str)] = &[
    ("networkd/90-cais-links.network", "usr/lib/systemd/network"),
    ("networkd/90-cais.conf", "usr/lib/systemd/networkd.conf.d"),
    ("networkmanager/90-cais.conf", "usr/lib/NetworkManager/conf.d"),
    ("kubernetes/install.yaml", "usr/share/doc/cais/kubernetes"),
    ("kubernetes/network.conflist", "usr/share/doc/cais/kubernetes"),
    ("kubernetes/uninstall.yaml", "usr/share/doc/cais/kubernetes"),
    ("apparmor/cais", "usr/share/doc/cais/apparmor"),
];

/// Folders of `packaging/` whose files are all installed.
const FOLDERS: &[(&str, &str)] =
    &[("systemd", "usr/lib/systemd/system"), ("sysusers.d", "usr/lib/sysusers.d")];

/// Scripts of the package.
const SCRIPTS: &[&str] = &["postinst", "prerm", "postrm"];

/// `cargo xtask package [arm64]`.
pub(crate) fn task(arguments: &[String]) -> Result<()> {
    match arguments {
        [] => made(&StaticBuild::choose()),
        [one] if one == "amd64" => made(&StaticBuild::choose()),
        [one] if one == "arm64" => made(&StaticBuild::arm()?),
        _ => bail!("usage: cargo xtask package [amd64|arm64]"),
    }
    .map(drop)
}

/// As CI does: makes the package of what `dist` has built, installs it and removes it again; the image
/// and its manifests likewise.
pub(crate) fn proven() -> Result<Outcome> {
    let build = StaticBuild::choose();
    let package = made(&build)?;
    if let Some(missing) = debian::ensure(PROOF_TOOLS).first() {
        return Ok(Outcome::Skipped(format!("{} is missing", missing.proof)));
    }
    let (root, work) = (build.root(), workspace::target().join("package"));
    proof::package(&package, &work)?;
    proof::manifests(&root.join("bin"), &work)?;
    let check = ["--check", "--quiet", "SHA256SUMS"];
    run::run(Command::new("sha256sum").args(check).current_dir(&root))?;
    dist::empty_directory(&work)?;
    Ok(Outcome::Passed)
}

/// Builds all and packages it; where the package is.
fn made(build: &StaticBuild) -> Result<PathBuf> {
    if !debian::ensure(TOOLS).is_empty() {
        bail!("without dpkg-deb there is no package");
    }
    let root = build.root();
    let files = dist::build_into(build, &root)?;
    let missing: Vec<_> =
        REFERENCE.iter().filter(|name| !files.iter().any(|file| file.name == **name)).collect();
    if !missing.is_empty() {
        bail!("the package stands in for the reference plugins, and lacks {missing:?}");
    }
    let version = workspace::version()?;
    let stage = root.join("deb");
    let sbom = root.join("cais.spdx.json");
    fs::write(&sbom, sbom::spdx(&version)?).with_context(|| format!("write {}", sbom.display()))?;
    lay_out(&stage, &files, &sbom)?;
    control(&stage, &version, build.debian)?;
    let package = root.join(format!("cais_{version}_{}.deb", build.debian));
    let made = ["--root-owner-group", "-Zxz", "--build"];
    run::run(Command::new("dpkg-deb").args(made).arg(&stage).arg(&package))?;
    run::run(Command::new("dpkg-deb").arg("--info").arg(&package))?;
    let sums = sums(&root, &files, &[&package, &sbom])?;
    println!("{}\n{}\n{}", package.display(), sbom.display(), sums.display());
    Ok(package)
}

/// Puts everything where it is to be on a machine.
fn lay_out(stage: &Path, files: &[Shipped], sbom: &Path) -> Result<()> {
    dist::empty_directory(stage)?;
    for file in files {
        let folder = match file.kind {
            // Plugins one by one: each call maps what it needs and no more.
            Kind::Bundle => continue,
            Kind::Command => "usr/bin",
            // Debian's own has the name, in the directory of Podman's helpers.
            Kind::Resolver if file.name == "aardvark-dns" => "usr/libexec/cais",
            _ => "usr/lib/cni",
        };
        put(&file.path, &stage.join(folder), &file.name, 0o755)?;
    }
    let packaging = workspace::root().join("packaging");
    for (file, folder) in FILES {
        let path = packaging.join(file);
        put(&path, &stage.join(folder), &name_of(&path), 0o644)?;
    }
    for (from, folder) in FOLDERS {
        let from = packaging.join(from);
        for entry in fs::read_dir(&from).with_context(|| format!("read {}", from.display()))? {
            let path = entry?.path();
            put(&path, &stage.join(folder), &name_of(&path), 0o644)?;
        }
    }
    let docs = stage.join("usr/share/doc/cais");
    let root = workspace::root();
    put(&root.join("LICENSE"), &docs, "copyright", 0o644)?;
    put(&root.join("CHANGELOG.md"), &docs, "CHANGELOG.md", 0o644)?;
    put(sbom, &docs, "cais.spdx.json", 0o644)?;
    generated(stage)
}

/// Man pages and completions, by the command as it is built for this machine.
fn generated(stage: &Path) -> Result<()> {
    let cais = |arguments: &[&str]| {
        let mut command = run::cargo();
        command.args(["run", "--quiet", "--package", "cli", "--bin", "cais", "--"]);
        command.args(arguments).current_dir(workspace::root());
        command
    };
    let pages = stage.join("usr/share/man/man1");
    fs::create_dir_all(&pages)?;
    run::run(&mut cais(&["man", &pages.display().to_string()]))?;
    for page in fs::read_dir(&pages)? {
        run::run(Command::new("gzip").args(["-9n"]).arg(page?.path()))?;
    }
    for (shell, file) in [
        ("bash", "usr/share/bash-completion/completions/cais"),
        ("zsh", "usr/share/zsh/vendor-completions/_cais"),
        ("fish", "usr/share/fish/vendor_completions.d/cais.fish"),
    ] {
        let script = run::output(&mut cais(&["completions", shell]))?;
        let file = stage.join(file);
        fs::create_dir_all(file.parent().unwrap_or(stage))?;
        fs::write(&file, script).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

fn control(stage: &Path, version: &str, architecture: &str) -> Result<()> {
    let (folder, from) = (stage.join("DEBIAN"), workspace::root().join("packaging/deb"));
    let text = fs::read_to_string(from.join("control"))?
        .replace("@VERSION@", version)
        .replace("@ARCHITECTURE@", architecture)
        .replace("@KILOBYTES@", &(bytes_below(stage)? / 1024).to_string());
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("control"), text)?;
    for script in SCRIPTS {
        put(&from.join(script), &folder, script, 0o755)?;
    }
    Ok(())
}

/// A file with the digests of all that is shipped, as sha256sum(1) checks it.
fn sums(root: &Path, files: &[Shipped], more: &[&Path]) -> Result<PathBuf> {
    let mut command = Command::new("sha256sum");
    command.current_dir(root);
    for path in files.iter().map(|file| &*file.path).chain(more.iter().copied()) {
        command.arg(path.strip_prefix(root).unwrap_or(path));
    }
    let path = root.join("SHA256SUMS");
    fs::write(&path, run::output(&mut command)?)
        .with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

fn put(from: &Path, folder: &Path, name: &str, mode: u32) -> Result<()> {
    let to = folder.join(name);
    dist::copy(from, &to)?;
    fs::set_permissions(&to, fs::Permissions::from_mode(mode))
        .with_context(|| format!("set the mode of {}", to.display()))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn bytes_below(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
