//! What is inside the guest: init, modules, tools, the Go plugins, ours, and a test binary.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::cpio::Archive;
use super::kernel::Kernel;
use crate::run;

const INIT: &str = include_str!("init.sh");

/// Drivers and filters that cases need. The machine that builds may lack them: that is why there is
/// a guest.
const MODULES: &[&str] = &[
    "bridge",
    "veth",
    "macvlan",
    "ipvlan",
    "8021q",
    "dummy",
    "vrf",
    "vxlan",
    "wireguard",
    "ifb",
    "tun",
    "nf_tables",
    "nft_chain_nat",
    "nft_nat",
    "nft_masq",
    "nft_redir",
    "nft_fib_inet",
    "nft_ct",
    "nft_limit",
    "nft_log",
    "nft_reject_inet",
    "nft_compat",
    "nf_conntrack_netlink",
    "tcp_diag",
    "udp_diag",
    "nft_meta_bridge",
    "xt_comment",
    "xt_addrtype",
    "xt_conntrack",
    "xt_MASQUERADE",
    "xt_mark",
    "xt_multiport",
    "xt_nat",
    "xt_tcpudp",
    "sch_netem",
    "sch_tbf",
    "sch_htb",
    "sch_ingress",
    "sch_fq_codel",
    "cls_u32",
    "cls_matchall",
    "cls_flower",
    "act_mirred",
    "act_police",
    "af_packet",
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "ext4",
];

/// Programs of this machine that cases call, each packed with its libraries.
const PROGRAMS: &[&str] = &[
    "dash",
    "ip",
    "bridge",
    "tc",
    "ss",
    "nft",
    "unshare",
    "nsenter",
    "strace",
    "setpriv",
    "sysctl",
    "conntrack",
    "iperf3",
];

/// The Go plugins, which cases compare us with.
const GO_PLUGINS: &str = "/usr/lib/cni";

/// Where our plugins are in the guest.
pub(super) const PLUGINS: &str = "/opt/cni/bin";

/// What differs from guest to guest.
pub(super) struct Contents<'a> {
    pub(super) kernel: &'a Kernel,
    /// Files of this machine and where they go.
    pub(super) files: &'a [(std::path::PathBuf, String)],
    /// A shell script; its status is the guest's verdict.
    pub(super) job: &'a str,
}

/// Packs an initramfs and writes it to `path`.
pub(super) fn pack(contents: &Contents<'_>, path: &Path) -> Result<()> {
    let mut root = Archive::default();
    root.file("/init", INIT.as_bytes());
    root.file("/job", contents.job.as_bytes());
    for folder in ["/etc", "/var/lib/cni", "/run"] {
        root.folder(folder);
    }
    root.file("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n");
    root.file("/etc/group", b"root:x:0:\n");
    root.symlink("/sbin", "bin");
    add_modules(&mut root, contents.kernel)?;
    let mut libraries = Vec::new();
    add(&mut root, &mut libraries, Path::new("/bin/busybox"), "/bin/busybox")?;
    // Not busybox: its shell prefers its own `ip` to the one in PATH.
    root.symlink("/bin/sh", "dash");
    for program in PROGRAMS {
        match run::find_program(program) {
            Some(found) => add(&mut root, &mut libraries, &found, &format!("/bin/{program}"))?,
            None => println!("no `{program}` here, so none in the guest"),
        }
    }
    for plugin in fs::read_dir(GO_PLUGINS).into_iter().flatten() {
        let plugin = plugin?.path();
        let name = plugin.file_name().unwrap_or_default().to_string_lossy().into_owned();
        add(&mut root, &mut libraries, &plugin, &format!("{GO_PLUGINS}/{name}"))?;
    }
    for (from, to) in contents.files {
        add(&mut root, &mut libraries, from, to)?;
    }
    fs::write(path, root.finish()).with_context(|| format!("write {}", path.display()))
}

fn add_modules(root: &mut Archive, kernel: &Kernel) -> Result<()> {
    let mut order = String::new();
    for (name, content) in kernel.modules(MODULES)? {
        root.file(&format!("/modules/{name}.ko"), &content);
        order.push_str(&format!("{name}.ko\n"));
    }
    root.file("/modules/order", order.as_bytes());
    Ok(())
}

/// Adds a program and those of its libraries that are not in the archive yet.
fn add(root: &mut Archive, libraries: &mut Vec<String>, from: &Path, to: &str) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("read {}", from.display()))?;
    root.file(to, &content);
    for library in libraries_of(from) {
        if !libraries.contains(&library) {
            let content = fs::read(&library).with_context(|| format!("read {library}"))?;
            root.file(&library, &content);
            libraries.push(library);
        }
    }
    Ok(())
}

/// Absolute paths of the loader and the libraries that ldd(1) names; none for a static program.
fn libraries_of(program: &Path) -> Vec<String> {
    let listed = run::output(Command::new("ldd").arg(program)).unwrap_or_default();
    listed
        .split_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_brings_its_loader_and_libc() {
        let libraries = libraries_of(Path::new("/bin/sh"));
        assert!(libraries.iter().any(|library| library.contains("ld-linux")), "{libraries:?}");
        assert!(libraries.iter().any(|library| library.contains("libc.so")), "{libraries:?}");
    }
}
