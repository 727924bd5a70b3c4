//! Kernel switches under `/proc/sys/net`, as in sysctl(8) and the kernel's `ip-sysctl`.
//!
//! These files show the network namespace of the *calling thread*: enter it first, or use
//! [`Netns::run`](crate::netns::Netns::run).

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use types::{Family, IfName};

/// One switch. Made of path components, so that links with dots in their names are safe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// A switch that cannot be read or set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SysctlError {
    /// It cannot be read.
    #[error("read sysctl {key}: {source}")]
    Read {
        /// The switch.
        key: Key,
        /// Why; `NotFound` when this kernel or namespace does not have it.
        source: io::Error,
    },
    /// It cannot be set.
    #[error("set sysctl {key} to {value}: {source}")]
    Write {
        /// The switch.
        key: Key,
        /// What it was to be.
        value: String,
        /// Why.
        source: io::Error,
    },
    /// It was set and reads otherwise.
    #[error("set sysctl {key} to {value}: it reads {read} afterwards")]
    Refused {
        /// The switch.
        key: Key,
        /// What it was to be.
        value: String,
        /// What it is.
        read: String,
    },
}

impl SysctlError {
    /// Whether this kernel or namespace does not have the switch, for instance IPv6 ones on a
    /// kernel that was started with `ipv6.disable=1`.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } => {
                source.kind() == io::ErrorKind::NotFound
            }
            Self::Refused { .. } => false,
        }
    }
}

impl Key {
    /// Whether the namespace forwards IPv4 packets.
    #[must_use]
    pub fn ip_forward() -> Self {
        Self("ipv4/ip_forward".into())
    }

    /// Whether the namespace forwards IPv6 packets. It then ignores router advertisements on
    /// links whose `accept_ra` is not 2.
    #[must_use]
    pub fn ipv6_forwarding() -> Self {
        Self("ipv6/conf/all/forwarding".into())
    }

    /// The forwarding switch of a family.
    #[must_use]
    pub fn forwarding(family: Family) -> Self {
        match family {
            Family::V4 => Self::ip_forward(),
            Family::V6 => Self::ipv6_forwarding(),
        }
    }

    /// IPv4 switch `name` (one path component, as `arp_notify`) of a link.
    #[must_use]
    pub fn conf_v4(link: &IfName, name: &'static str) -> Self {
        Self(format!("ipv4/conf/{link}/{name}"))
    }

    /// IPv6 switch `name` of a link.
    #[must_use]
    pub fn conf_v6(link: &IfName, name: &'static str) -> Self {
        Self(format!("ipv6/conf/{link}/{name}"))
    }

    /// Any switch below `net/`, from a path with `/` between its components. `None` when a
    /// component is empty, `.` or `..`, or holds a NUL: it would lead elsewhere.
    #[must_use]
    pub fn net(path: &str) -> Option<Self> {
        let sound = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        path.split('/').all(sound).then(|| Self(path.to_owned()))
    }

    /// Its present value, without the newline.
    ///
    /// # Errors
    /// [`SysctlError::Read`].
    pub fn read(&self) -> Result<String, SysctlError> {
        let value = self.open(OFlag::O_RDONLY).and_then(|mut file| first_line(&mut file));
        value.map_err(|source| SysctlError::Read { key: self.clone(), source })
    }

    /// Sets it.
    ///
    /// # Errors
    /// [`SysctlError::Write`].
    pub fn write(&self, value: &str) -> Result<(), SysctlError> {
        let written =
            self.open(OFlag::O_WRONLY).and_then(|mut file| file.write_all(value.as_bytes()));
        written.map_err(|source| SysctlError::Write {
            key: self.clone(),
            value: value.to_owned(),
            source,
        })
    }

    /// Sets it and reads it back.
    ///
    /// # Errors
    /// Any [`SysctlError`].
    pub fn write_checked(&self, value: &str) -> Result<(), SysctlError> {
        self.write(value)?;
        let read = self.read()?;
        if read == value {
            return Ok(());
        }
        Err(SysctlError::Refused { key: self.clone(), value: value.to_owned(), read })
    }

    /// Makes it `value`, writing only when it is not; what it was, when it had to be changed.
    ///
    /// # Errors
    /// Any [`SysctlError`].
    pub fn ensure(&self, value: &str) -> Result<Option<String>, SysctlError> {
        let before = self.read()?;
        if before == value {
            return Ok(None);
        }
        self.write_checked(value).map(|()| Some(before))
    }

    /// The path below `net/`, as [`Key::net`] takes it.
    #[must_use]
    pub fn as_path(&self) -> &str {
        &self.0
    }

    /// Whether the calling thread's namespace has it, be it to read or to write.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.path().is_file()
    }

    /// Follows no link on the way: the kernel has none there, so one would lead elsewhere. Before
    /// Linux 5.6, which cannot say that, the components alone have to do. See openat2(2).
    fn open(&self, access: OFlag) -> io::Result<File> {
        let path = self.path();
        let how = OpenHow::new()
            .flags(access | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        match openat2(AT_FDCWD, &path, how) {
            Ok(file) => Ok(file.into()),
            Err(Errno::ENOSYS) if access == OFlag::O_RDONLY => File::open(path),
            Err(Errno::ENOSYS) => File::options().write(true).open(path),
            Err(errno) => Err(errno.into()),
        }
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/proc/sys/net").join(&self.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net/{}", self.0)
    }
}

/// The value in a file of procfs, which gives all of it to the first read.
fn first_line(file: &mut File) -> io::Result<String> {
    let mut buffer = [0; 4096];
    let length = file.read(&mut buffer)?;
    let text = str::from_utf8(&buffer[..length]).map_err(io::Error::other)?;
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_leads_out_of_the_network_switches() {
        for path in ["", "/", "../kernel/pid_max", "ipv4/../../kernel/x", "ipv4//x", "a/.", "a\0b"]
        {
            assert_eq!(Key::net(path), None, "{path:?}");
        }
        let dotted = Key::net("ipv4/conf/eth0.100/arp_notify");
        assert_eq!(dotted, Some(Key::conf_v4(&"eth0.100".parse().unwrap(), "arp_notify")));
    }
}
