//! Starting the guest and hearing how it ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::kernel::Kernel;
use crate::run;

/// A guest ready to start.
pub(super) struct Guest<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) initramfs: &'a Path,
    /// A raw image that the guest sees as `/dev/vda`.
    pub(super) disk: Option<&'a Path>,
    /// Processors; emulation of several is slower as long as one has all the work.
    pub(super) processors: u8,
    /// After this many seconds the guest is killed, which is a failure.
    pub(super) deadline_seconds: u32,
}

impl Guest<'_> {
    /// Boots, passes the console on and keeps it in `log`.
    ///
    /// # Errors
    /// When the guest's job failed or the guest ended without saying how.
    pub(super) fn run(&self, log: &Path) -> Result<()> {
        let verdict = self.verdict_file();
        let _ = fs::remove_file(&verdict);
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", &self.deadline_seconds.to_string()]);
        let done = run::stream(command.arg("qemu-system-x86_64").args(self.arguments()), |_| true)?;
        fs::write(log, done.kept.join("\n") + "\n")?;
        self.verdict().with_context(|| format!("the console is in {}", log.display()))
    }

    /// Fails unless the guest has said 0.
    pub(super) fn verdict(&self) -> Result<()> {
        let said = fs::read_to_string(self.verdict_file()).unwrap_or_default();
        match said.trim() {
            "0" => Ok(()),
            "" => bail!("the guest ended without a verdict"),
            code => bail!("the guest's job ended with {code}"),
        }
    }

    /// What the guest writes to its second serial line.
    fn verdict_file(&self) -> PathBuf {
        self.initramfs.with_extension("verdict")
    }

    /// Emulation is asked for by name: a machine may have a `/dev/kvm` that hangs the guest.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = [
            "-accel",
            "tcg",
            "-m",
            "1024",
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
            "-append",
            "console=ttyS0 quiet panic=-1",
            "-serial",
            "stdio",
        ]
        .map(str::to_owned)
        .to_vec();
        let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        option("-serial", format!("file:{}", self.verdict_file().display()));
        option("-smp", self.processors.to_string());
        option("-kernel", self.kernel.image.display().to_string());
        option("-initrd", self.initramfs.display().to_string());
        if let Some(disk) = self.disk {
            option("-drive", format!("file={},if=virtio,format=raw", disk.display()));
        }
        arguments
    }
}
