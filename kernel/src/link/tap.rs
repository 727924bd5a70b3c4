use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use types::IfName;

use crate::netns::{Netns, NetnsError};
use crate::sys::{self, TapParts, TapStep};

/// A tap to make: what is sent on it a program reads, and what the program writes it receives. It
/// stays without a program.
///
/// Taps are made by a device file and not by netlink; address, MTU and master are set afterwards.
/// See `drivers/net/tun.c`.
#[derive(Clone, Debug)]
pub struct Tap {
    name: IfName,
    flags: libc::c_int,
    owner: Option<u32>,
    group: Option<u32>,
    context: Option<String>,
}

/// Why a tap was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TapError {
    /// Its namespace cannot be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The name is taken.
    #[error("create tap {name} in {place}: interface name {name} already exists")]
    Exists {
        /// Its name.
        name: IfName,
        /// The namespace, as its user knows it.
        place: String,
    },
    /// The security context cannot be changed to.
    #[error("create tap {name} in {place}: write {context} to {CONTEXT}: {source}")]
    Context {
        /// Its name.
        name: IfName,
        /// The namespace, as its user knows it.
        place: String,
        /// The context.
        context: String,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused a step.
    #[error("create tap {name} in {place}: {step}: {source}")]
    Refused {
        /// Its name.
        name: IfName,
        /// The namespace, as its user knows it.
        place: String,
        /// What was tried.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl Tap {
    /// A tap with one queue that anybody may open who may open `/dev/net/tun`.
    ///
    /// Its frames begin with a `virtio_net_hdr`, without `tun_pi`, until a program opens it and asks
    /// for something else.
    #[must_use]
    pub fn new(name: IfName) -> Self {
        let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_TUN_EXCL;
        Self { name, flags, owner: None, group: None, context: None }
    }

    /// Lets programs open it several times, each for a queue of its own.
    #[must_use]
    pub fn multi_queue(mut self) -> Self {
        self.flags |= libc::IFF_MULTI_QUEUE;
        self
    }

    /// Lets this user open it, and others with `CAP_NET_ADMIN` alone.
    #[must_use]
    pub fn owner(mut self, user: u32) -> Self {
        self.owner = Some(user);
        self
    }

    /// Lets members of this group open it, and others with `CAP_NET_ADMIN` alone.
    #[must_use]
    pub fn group(mut self, group: u32) -> Self {
        self.group = Some(group);
        self
    }

    /// Gives it this SELinux context. A child of the calling process changes to it and makes the tap:
    /// the kernel labels a tap by who makes it.
    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.context = Some(context.into());
        self
    }

    /// Makes it in `netns`, down.
    ///
    /// # Errors
    /// [`TapError`]; [`TapError::Exists`] when the name is taken.
    pub fn create(&self, netns: &Netns) -> Result<(), TapError> {
        let parts = TapParts {
            name: self.name.as_str(),
            flags: self.flags,
            owner: self.owner,
            group: self.group,
        };
        let made = netns.run(|| match &self.context {
            None => sys::make_tap(&parts),
            Some(context) => sys::make_tap_as(context.as_bytes(), &parts),
        })?;
        made.map_err(|failure| self.not_made(netns, failure))
    }

    fn not_made(&self, netns: &Netns, (step, errno): (TapStep, Errno)) -> TapError {
        let (name, place) = (self.name.clone(), netns.path().display().to_string());
        // That is the word for it with `IFF_TUN_EXCL`.
        if (step, errno) == (TapStep::Claim, Errno::EBUSY) {
            return TapError::Exists { name, place };
        }
        let source = errno.into();
        let step = match step {
            TapStep::Context => {
                let context = self.context.clone().unwrap_or_default();
                return TapError::Context { name, place, context, source };
            }
            TapStep::Child => "start a child",
            TapStep::Open => "open /dev/net/tun",
            TapStep::Claim => "TUNSETIFF",
            TapStep::Owner => "TUNSETOWNER",
            TapStep::Group => "TUNSETGROUP",
            TapStep::Persist => "TUNSETPERSIST",
        };
        TapError::Refused { name, place, step, source }
    }
}

impl TapError {
    /// What the reader can do about it, where we know.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Context { .. } => Some(
                "SELinux has to be on (`getenforce`), its policy has to know the context, and to let \
                 this program change to it (`dyntransition`)",
            ),
            Self::Refused { step: "open /dev/net/tun", .. } => Some(
                "load the kernel module `tun`; where it is loaded, this program may not open that file",
            ),
            _ => None,
        }
    }
}

/// Where a process changes its security context: see proc(5).
const CONTEXT: &str = "/proc/thread-self/attr/current";

/// Whether taps can be made here.
///
/// # Errors
/// What opening `/dev/net/tun` says.
pub fn taps_are_there() -> io::Result<()> {
    Ok(sys::open_tun().map(drop)?)
}

/// Opens a queue of the tap `name` in the calling thread's namespace: one read is one frame that was
/// sent on it, one write is one that it receives. Frames have nothing before their Ethernet header.
///
/// # Errors
/// What the kernel says. Where there is no such tap it makes one, which goes with the file.
pub fn open_tap(name: &IfName) -> io::Result<File> {
    let file = sys::open_tun()?;
    sys::claim_tap(file.as_fd(), name.as_str(), libc::IFF_TAP | libc::IFF_NO_PI)?;
    Ok(File::from(file))
}
