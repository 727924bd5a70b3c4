//! Power loss: a guest is killed while eight processes take and give back leases, its disk is
//! mounted again by a second guest, and what is left is verified.
//!
//! What the killed guest had not written to its disk yet is lost, as with a plug pulled. The
//! kernel is told to write back all the time and in pieces, so that each round leaves another
//! mixture of new, old and torn files. The disk stays the same over all rounds.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::kernel::{Kernel, Series};
use super::qemu::Guest;
use super::root::{self, Contents};
use crate::debian::{self, Tool};
use crate::dist::{self, StaticBuild};
use crate::{run, workspace};

const TOOLS: &[Tool] = &[Tool {
    proof: "mkfs.ext4",
    package: "e2fsprogs",
    without: "the guest has no disk that could lose anything",
}];

/// Each round: how the disk is mounted, and after how many lines of progress the plug is pulled.
/// With `data=writeback` a file can have its new length and old or no content.
const ROUNDS: &[(&str, usize)] = &[
    ("commit=1,data=ordered", 30),
    ("commit=1,data=writeback", 55),
    ("commit=1,data=ordered", 90),
    ("commit=1,data=writeback", 130),
];

const WRITERS: u32 = 8;
/// How a line begins by which a writer promises something.
const PROGRESS: &str = "storm: ";
const DISK_BYTES: u64 = 256 << 20;
const DEADLINE_SECONDS: u32 = 300;

/// Runs all rounds on one kernel.
pub(super) fn run(series: &Series, folder: &Path) -> Result<()> {
    if let Some(missing) = debian::ensure(TOOLS).first() {
        bail!("{} is missing", missing.proof);
    }
    let kernel = Kernel::obtain(series, folder)?;
    let disk = empty_disk(folder)?;
    let evidence = folder.join("storm-lost.ext4");
    let storm = storm()?;
    for (round, (options, lines)) in (1..).zip(ROUNDS) {
        println!("round {round}: mounted with {options}, plug pulled after {lines} lines");
        let guest = |name: &str, files: &[(PathBuf, String)], job: &str| -> Result<PathBuf> {
            let initramfs = folder.join(format!("storm-{name}.initramfs"));
            root::pack(&Contents { kernel: &kernel, files, job }, &initramfs)?;
            Ok(initramfs)
        };
        let mut files = vec![(storm.clone(), "/storm".to_owned())];
        let initramfs = guest("write", &files, &write_job(options))?;
        let said = with_disk(&kernel, &initramfs, &disk).run_until(PROGRESS, *lines)?;
        let said_file = folder.join("storm-said");
        fs::write(&said_file, said.join("\n") + "\n")?;
        files.push((said_file, "/said".to_owned()));
        let initramfs = guest("verify", &files, &verify_job())?;
        fs::copy(&disk, &evidence)?;
        with_disk(&kernel, &initramfs, &disk).run(&folder.join("storm-verify.log")).with_context(
            || format!("round {round}, the disk as it was: {}", evidence.display()),
        )?;
    }
    fs::remove_file(&disk)?;
    fs::remove_file(&evidence)?;
    println!("power lost {} times under {WRITERS} writers: every store was sound", ROUNDS.len());
    Ok(())
}

fn with_disk<'a>(kernel: &'a Kernel, initramfs: &'a Path, disk: &'a Path) -> Guest<'a> {
    let deadline_seconds = DEADLINE_SECONDS;
    Guest { kernel, initramfs, disk: Some(disk), spare_nic: false, processors: 2, deadline_seconds }
}

fn write_job(options: &str) -> String {
    format!(
        "set -e\n\
         mkdir -p /disk && mount -t ext4 -o {options} /dev/vda /disk\n\
         echo 10 >/proc/sys/vm/dirty_writeback_centisecs\n\
         echo 10 >/proc/sys/vm/dirty_expire_centisecs\n\
         for writer in $(seq {WRITERS}); do /storm write /disk & done\n\
         while :; do sync; sleep 1; done\n"
    )
}

fn verify_job() -> String {
    "set -e\nmkdir -p /disk && mount -t ext4 /dev/vda /disk\n/storm verify /disk /said\numount /disk\n"
        .to_owned()
}

fn empty_disk(folder: &Path) -> Result<PathBuf> {
    let disk = folder.join("storm.ext4");
    let _ = fs::remove_file(&disk);
    File::create(&disk)?.set_len(DISK_BYTES)?;
    let mkfs = run::find_program("mkfs.ext4").context("mkfs.ext4 is missing")?;
    run::run(Command::new(mkfs).args(["-q", "-F"]).arg(&disk))?;
    Ok(disk)
}

/// The program that writes and verifies: an example of `ipam`, so that it uses the very store.
fn storm() -> Result<PathBuf> {
    let manifest = workspace::root().join("ipam/examples/lease_storm.rs");
    if !manifest.exists() {
        bail!("{} is not written yet", manifest.display());
    }
    let build = StaticBuild::choose();
    run::run(build.cargo("build").args(["--package", "ipam", "--example", "lease_storm"]))?;
    let built = build.output("debug").join("examples/lease_storm");
    let kept = workspace::target().join("vm/lease_storm");
    dist::copy(&built, &kept)?;
    Ok(kept)
}
