//! What sysfs knows of devices. It is the host's: the calling thread has to be there.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use types::IfName;

/// Drivers that leave a device to a program.
const DPDK_DRIVERS: &[&str] = &["vfio-pci", "uio_pci_generic", "igb_uio"];

/// A place on the PCI bus, `0000:00:1f.6`: domain, bus, device and function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PciAddress(String);

impl FromStr for PciAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hex = |part: &str, digits: &[usize]| {
            digits.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let is_sound = || {
            let (slot, function) = text.rsplit_once('.')?;
            let mut parts = slot.split(':');
            let (domain, bus, device) = (parts.next()?, parts.next()?, parts.next()?);
            let sound = parts.next().is_none()
                // Five digits and more: domains of VMD.
                && is_hex(domain, &[4, 5, 6, 7, 8])
                && is_hex(bus, &[2])
                && is_hex(device, &[2])
                && matches!(function.as_bytes(), [b'0'..=b'7']);
            sound.then_some(())
        };
        match is_sound() {
            // As the kernel writes it.
            Some(()) => Ok(Self(text.to_ascii_lowercase())),
            None => Err("a PCI address looks like 0000:00:1f.6"),
        }
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name on the auxiliary bus, `mlx5_core.sf.4`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuxiliaryName(String);

impl FromStr for AuxiliaryName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        match !matches!(text, "" | "." | "..") && text.len() <= 255 && text.bytes().all(is_sound) {
            true => Ok(Self(text.to_owned())),
            false => Err("that is neither a PCI address nor the name of an auxiliary device"),
        }
    }
}

impl fmt::Display for AuxiliaryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path below `/sys/devices`, which does not lead out of there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelPath(PathBuf);

impl FromStr for KernelPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(below) = text.strip_prefix("/sys/devices/") else {
            return Err("the path has to begin with /sys/devices/");
        };
        let below = Path::new(below);
        let is_plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        match below.components().all(is_plain) && !text.contains('\0') {
            true => Ok(Self(below.to_owned())),
            false => Err("the path leads out of /sys/devices"),
        }
    }
}

impl fmt::Display for KernelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/sys/devices/{}", self.0.display())
    }
}

/// A sysfs at its place.
#[derive(Clone, Debug)]
pub struct Sysfs {
    root: PathBuf,
}

impl Sysfs {
    /// The one at `root`, which is `/sys`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Names of the links of the device at `path`, or of the link that is there.
    ///
    /// # Errors
    /// When there is no such device, or it has no links.
    pub fn links_at(&self, path: &KernelPath) -> io::Result<Vec<IfName>> {
        let path = self.root.join("devices").join(&path.0);
        match path.parent().and_then(Path::file_name) {
            Some(parent) if parent == "net" && path.is_dir() => {
                Ok(path.file_name().and_then(name).into_iter().collect())
            }
            _ => names_in(&path.join("net")),
        }
    }

    /// Names of the links of a PCI device, or of the virtio device behind it.
    ///
    /// # Errors
    /// When there is no such device, or it has no links.
    pub fn links_of_pci(&self, address: &PciAddress) -> io::Result<Vec<IfName>> {
        let device = self.pci(address);
        let error = match names_in(&device.join("net")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => error,
            other => return other,
        };
        let mut virtio: Vec<PathBuf> = fs::read_dir(&device)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("virtio"))
            })
            .collect();
        virtio.sort();
        virtio.iter().find_map(|path| names_in(&path.join("net")).ok()).ok_or(error)
    }

    /// Names of the links of an auxiliary device.
    ///
    /// # Errors
    /// When there is no such device, or it has no links.
    pub fn links_of_auxiliary(&self, device: &AuxiliaryName) -> io::Result<Vec<IfName>> {
        names_in(&self.root.join("bus/auxiliary/devices").join(&device.0).join("net"))
    }

    /// Whether the driver of a PCI device leaves it to a program.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn is_for_dpdk(&self, address: &PciAddress) -> io::Result<bool> {
        let device = self.pci(address);
        fs::metadata(&device)?;
        Ok(fs::read_link(device.join("driver"))
            .is_ok_and(|driver| DPDK_DRIVERS.iter().any(|name| driver.ends_with(name))))
    }

    /// The place on the PCI bus of the device behind a link, if it is on that.
    #[must_use]
    pub fn pci_of(&self, link: &str) -> Option<PciAddress> {
        let device =
            fs::canonicalize(self.root.join("class/net").join(link).join("device")).ok()?;
        // A virtio device is below its PCI device.
        device.ancestors().take(2).find_map(|path| path.file_name()?.to_str()?.parse().ok())
    }

    fn pci(&self, address: &PciAddress) -> PathBuf {
        self.root.join("bus/pci/devices").join(&address.0)
    }
}

/// Names in a directory `net`, in order.
fn names_in(directory: &Path) -> io::Result<Vec<IfName>> {
    let entries = fs::read_dir(directory)?;
    let mut names: Vec<IfName> =
        entries.filter_map(|entry| name(&entry.ok()?.file_name())).collect();
    names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    Ok(names)
}

fn name(file: &OsStr) -> Option<IfName> {
    file.to_str()?.parse().ok()
}
