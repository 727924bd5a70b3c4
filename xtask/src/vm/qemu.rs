//! Starting the guest and hearing how it ended.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::kernel::Kernel;
use crate::run;

/// A guest ready to start.
pub(super) struct Guest<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) initramfs: &'a Path,
    /// A raw image that the guest sees as `/dev/vda`.
    pub(super) disk: Option<&'a Path>,
    /// Whether it has a network card, for cases that give one away.
    pub(super) spare_nic: bool,
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

    /// Boots, pulls the plug when `lines` lines of the console have begun with `mark`, and returns
    /// all such lines that were complete by then.
    ///
    /// # Errors
    /// When the guest ends by itself or the lines do not come in time.
    pub(super) fn run_until(&self, mark: &str, lines: usize) -> Result<Vec<String>> {
        let mut child = Command::new("qemu-system-x86_64")
            .args(self.arguments())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start qemu-system-x86_64")?;
        let console = child.stdout.take().context("qemu has no stdout")?;
        let (send, received) = mpsc::channel();
        let reader = std::thread::spawn(move || pass_lines(console, &send));
        let deadline = Instant::now() + Duration::from_secs(self.deadline_seconds.into());
        let mut marked = Vec::new();
        while marked.len() < lines {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = received.recv_timeout(left) else { break };
            match line.starts_with(mark) {
                true => marked.push(line),
                false => println!("{line}"),
            }
        }
        child.kill().context("pull the plug")?;
        child.wait()?;
        let _ = reader.join();
        if marked.len() < lines {
            bail!("the guest ended or hung after {} of {lines} lines of progress", marked.len());
        }
        marked.extend(received.try_iter().filter(|line| line.starts_with(mark)));
        Ok(marked)
    }

    /// Fails unless the guest has said 0.
    fn verdict(&self) -> Result<()> {
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
    fn arguments(&self) -> Vec<String> {
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
        if self.spare_nic {
            // At a port of a hub that has no other: it leads nowhere.
            option("-netdev", "hubport,id=spare,hubid=0".to_owned());
            option("-device", "virtio-net-pci,netdev=spare,addr=0x1e,romfile=".to_owned());
        }
        if let Some(disk) = self.disk {
            option("-drive", format!("file={},if=virtio,format=raw", disk.display()));
        }
        arguments
    }
}

/// Passes on complete lines, to the end of the stream.
fn pass_lines(stream: impl Read, to: &mpsc::Sender<String>) {
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) && line.ends_with(b"\n") {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if to.send(text).is_err() {
            return;
        }
        line.clear();
    }
}
