use std::fmt;
use std::time::Duration;

use nix::errno::Errno;

use super::Action;

/// Why a netlink exchange gave no good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The kernel refused the request.
    Kernel {
        /// Its error number.
        errno: Errno,
        /// What it said beside the number (extended acknowledgement, Linux 4.12).
        text: Option<Box<str>>,
    },
    /// A system call on the socket failed.
    System {
        /// Name of the call: `socket`, `send`, `recv`, …
        call: &'static str,
        /// Its error number.
        errno: Errno,
    },
    /// No answer, or no such event, within the deadline.
    Timeout(Duration),
    /// A listing changed under our hands every time it was read.
    Interrupted {
        /// How often it was read.
        attempts: u32,
    },
    /// More replies were waiting than the socket can hold (`ENOBUFS`): some are lost.
    Overrun,
    /// An answer that does not follow the protocol.
    Malformed(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel { errno, text: Some(text) } => write!(f, "{text} ({errno})"),
            Self::Kernel { errno, text: None } => write!(f, "{errno}"),
            Self::System { call, errno } => write!(f, "{call} on netlink socket: {errno}"),
            Self::Timeout(limit) => write!(f, "no answer within {}", Limit(*limit)),
            Self::Interrupted { attempts } => {
                write!(f, "the list changed while it was read, {attempts} times in a row")
            }
            Self::Overrun => f.write_str("netlink replies were lost, the socket was full"),
            Self::Malformed(what) => write!(f, "unreadable netlink reply: {what}"),
        }
    }
}

impl std::error::Error for Error {}

/// In whole seconds, or else in milliseconds: writing fractions would cost each plugin 25 KB.
struct Limit(Duration);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_nanos() {
            0 => write!(f, "{} s", self.0.as_secs()),
            _ => write!(f, "{} ms", self.0.as_millis()),
        }
    }
}

impl Error {
    /// The kernel's error number, when the kernel refused.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}

/// A request that failed: what was tried, on which object, in which namespace, and why.
///
/// Reads `create veth veth3f2a in /run/netns/c1: EEXIST: File exists`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{action} in {place}: {source}")]
pub struct RequestError {
    /// What was tried.
    pub action: Box<Action>,
    /// The namespace, as its user knows it.
    pub place: Box<str>,
    /// Why it failed.
    pub source: Error,
}

impl RequestError {
    /// Whether what we wanted to make is already there (`EEXIST`).
    #[must_use]
    pub fn is_exists(&self) -> bool {
        self.source.errno() == Some(Errno::EEXIST)
    }

    /// Whether something else still needs what we wanted to take away (`EBUSY`).
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.source.errno() == Some(Errno::EBUSY)
    }

    /// Whether the kernel takes what we asked for as impossible (`EINVAL`).
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        self.source.errno() == Some(Errno::EINVAL)
    }

    /// Whether a bridge has no room for another port (`EXFULL`): the kernel gives one 1023.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.source.errno() == Some(Errno::EXFULL)
    }

    /// Whether what we named is not there.
    ///
    /// The kernel's word for it depends on the object: `ENODEV` for links (`ENXIO` in a few
    /// drivers), `ESRCH` for routes, `EADDRNOTAVAIL` for addresses, `ENOENT` for the rest.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(
            self.source.errno(),
            Some(
                Errno::ENODEV | Errno::ENXIO | Errno::ENOENT | Errno::ESRCH | Errno::EADDRNOTAVAIL
            )
        )
    }

    /// Whether there is no route to where we asked for.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self.source.errno(),
            Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EACCES | Errno::EINVAL)
        ) || self.is_missing()
    }

    /// Whether this kernel lacks a driver or option for it (`EOPNOTSUPP`).
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self.source.errno(),
            Some(Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT)
        )
    }

    /// What the reader can do about it, where we know.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match (&self.source, &*self.action) {
            (Error::Kernel { errno: Errno::EPERM, .. }, _) => {
                Some("CAP_NET_ADMIN over this network namespace is needed".into())
            }
            (Error::Kernel { errno: Errno::EOPNOTSUPP, .. }, Action::Create { kind, .. }) => {
                let module = if *kind == "vlan" { "8021q" } else { kind };
                Some(format!("this kernel has no {kind} driver; load the module `{module}`"))
            }
            (Error::Kernel { errno: Errno::EEXIST, .. }, Action::Create { name, .. }) => {
                Some(format!("`ip link show {name}` tells what the existing link is"))
            }
            (Error::Kernel { errno: Errno::EADDRINUSE, .. }, Action::Change { .. }) => Some(
                "another link on the same master has its Ethernet address; give it one of its own"
                    .into(),
            ),
            (Error::Kernel { errno: Errno::EADDRINUSE, .. }, Action::Addr { .. }) => Some(
                "another link on the same master has this address; find its owner, or exclude the \
                 address from the range"
                    .into(),
            ),
            (Error::Kernel { errno: Errno::EINVAL, .. }, Action::Conntrack { verb: "count" }) => {
                Some("load the kernel module `nf_conntrack_netlink`".into())
            }
            (Error::Kernel { errno: Errno::ENOENT, .. }, Action::Listeners { protocol, .. }) => {
                Some(format!("load the kernel module `{protocol}_diag`"))
            }
            (
                Error::Kernel { errno: Errno::ENOENT, .. },
                Action::Qdisc { verb: "add", kind, .. },
            ) => Some(format!("load the kernel module `sch_{kind}`")),
            (Error::Kernel { errno: Errno::ENOENT, .. }, Action::Filter { verb: "add", .. }) => {
                Some("load the kernel modules `cls_u32` and `act_mirred`".into())
            }
            (Error::Timeout(_), _) => {
                Some("the kernel's network lock is held by something else; try again".into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_told_in_whole_seconds_or_milliseconds() {
        let text = |millis| Error::Timeout(Duration::from_millis(millis)).to_string();
        assert_eq!(text(10_000), "no answer within 10 s");
        assert_eq!(text(300), "no answer within 300 ms");
        assert_eq!(text(1500), "no answer within 1500 ms");
        assert_eq!(text(0), "no answer within 0 s");
    }

    #[test]
    fn what_is_missing_or_taken_is_named() {
        let refused = |errno, action| RequestError {
            action: Box::new(action),
            place: "the host".into(),
            source: Error::Kernel { errno, text: None },
        };
        let error = refused(Errno::EINVAL, Action::Conntrack { verb: "count" });
        let text = "count tracked connections in the host: EINVAL: Invalid argument";
        assert_eq!(error.to_string(), text);
        assert!(error.hint().unwrap().contains("`nf_conntrack_netlink`"));
        for (kind, module) in [("ipvlan", "`ipvlan`"), ("vlan", "`8021q`")] {
            let action = Action::Create { kind, name: "eth0".into() };
            let hint = refused(Errno::EOPNOTSUPP, action).hint().unwrap();
            assert!(hint.contains(kind) && hint.contains(module), "{hint}");
        }
        let action = Action::Addr { verb: "add", addr: "10.1.0.5/24".into(), link: "eth0".into() };
        let hint = refused(Errno::EADDRINUSE, action).hint().unwrap();
        assert!(hint.contains("same master"), "{hint}");
        let action = Action::Listeners { protocol: "udp", family: types::Family::V6 };
        let error = refused(Errno::ENOENT, action);
        let text = "list listeners of udp over IPv6 in the host: ENOENT: No such file or directory";
        assert_eq!(error.to_string(), text);
        assert!(error.hint().unwrap().contains("`udp_diag`"));
    }
}
