//! What can go wrong, in words for the operator.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::{Member, Zone};

/// An operation that failed: what was tried, on which zone, and why.
///
/// Reads `add source 10.1.0.2/32 to firewalld zone trusted: it is in zone public`.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {cause}")]
pub struct Error {
    /// What was tried.
    pub action: Action,
    /// Why it failed.
    pub cause: Cause,
}

/// What was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// To find out whether firewalld runs.
    Find,
    /// To bind something to a zone.
    Add(Zone, Member),
    /// To unbind something from a zone.
    Remove(Zone, Member),
    /// To ask whether something is bound to a zone.
    Query(Zone, Member),
    /// To ask which zone something is bound to.
    ZoneOf(Member),
    /// To ask whether there is such a zone.
    Zone(Zone),
    /// To make firewalld forget what is not permanent.
    Reload,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Find => f.write_str("ask the system bus for firewalld"),
            Self::Add(zone, member) => write!(f, "add {member} to firewalld zone {zone}"),
            Self::Remove(zone, member) => write!(f, "remove {member} from firewalld zone {zone}"),
            Self::Query(zone, member) => write!(f, "look for {member} in firewalld zone {zone}"),
            Self::ZoneOf(member) => write!(f, "ask firewalld for the zone of {member}"),
            Self::Zone(zone) => write!(f, "look for firewalld zone {zone}"),
            Self::Reload => f.write_str("reload firewalld"),
        }
    }
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// A system call on the bus's socket failed.
    #[error("{call} on the system bus: {source}")]
    System {
        /// Name of the call: `connect`, `read`, …
        call: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// No answer within so much time.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// `DBUS_SYSTEM_BUS_ADDRESS` names no socket that we can reach.
    #[error("{0:?} is not the address of a local bus (unix:path=… or unix:abstract=…)")]
    Address(String),
    /// The bus did not let us in; its own words.
    #[error("the system bus refused us: {0}")]
    Auth(String),
    /// The other side does not follow the protocol.
    #[error("unreadable answer from the system bus: {0}")]
    Malformed(&'static str),
    /// firewalld has gone since it was found.
    #[error("firewalld is not running any more ({0})")]
    Gone(String),
    /// There is no zone of that name (`INVALID_ZONE`).
    #[error("there is no such zone")]
    NoSuchZone,
    /// It is bound to another zone, this one.
    #[error("it is in zone {0}")]
    OtherZone(String),
    /// firewalld or the bus refused: the code or the name of the error, and its text.
    #[error("{code}{}{text}", if text.is_empty() { "" } else { ": " })]
    Refused {
        /// Such as `PANIC_MODE` (firewalld's own, in `errors.py`), or `org.freedesktop.DBus.Error.AccessDenied`.
        code: String,
        /// For people; may be empty.
        text: String,
    },
}

impl Error {
    /// Whether it may work a moment later: nobody answered in time, or firewalld is being restarted.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self.cause, Cause::Timeout(_) | Cause::Gone(_))
    }

    /// What the reader can do about it, where we know.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match &self.cause {
            Cause::NoSuchZone => Some(
                "`firewall-cmd --get-zones` lists the zones; a new permanent one exists after a reload"
                    .into(),
            ),
            Cause::OtherZone(other) => self.other_zone_hint(other),
            Cause::Timeout(_) => {
                Some("`systemctl status firewalld dbus` tells whether they are stuck; try again".into())
            }
            Cause::Gone(_) => Some("firewalld stopped or restarts; try again".into()),
            Cause::Address(_) => {
                Some("unset DBUS_SYSTEM_BUS_ADDRESS, or give it a socket of this host".into())
            }
            Cause::Refused { code, .. } => refusal_hint(code).map(str::to_owned),
            Cause::System { .. } | Cause::Auth(_) | Cause::Malformed(_) => None,
        }
    }

    fn other_zone_hint(&self, other: &str) -> Option<String> {
        let Action::Add(_, member) = &self.action else { return None };
        let option = member.kind().to_lowercase();
        let argument = member.argument();
        Some(format!(
            "set firewalldZone to {other}, or free it: \
             firewall-cmd --zone={other} --remove-{option}={argument}"
        ))
    }
}

/// What helps against a refusal that is none of the zone's.
fn refusal_hint(code: &str) -> Option<&'static str> {
    match code {
        "PANIC_MODE" => Some("`firewall-cmd --panic-off` ends the panic mode"),
        "ACCESS_DENIED" => Some("firewalld is locked down; see firewalld.lockdown-whitelist(5)"),
        "COMMAND_FAILED" => Some("firewalld's log tells which of its rules the kernel refused"),
        "NotAuthorizedException" | "org.freedesktop.DBus.Error.AccessDenied" => {
            Some("firewalld takes changes from root, or from whom polkit allows it")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_was_tried_where_and_why_and_what_to_do() {
        let member = Member::Source("10.1.0.2".parse().unwrap());
        let action = Action::Add("trusted".parse().unwrap(), member);
        let error = Error { action: action.clone(), cause: Cause::OtherZone("public".into()) };
        assert_eq!(
            error.to_string(),
            "add source 10.1.0.2/32 to firewalld zone trusted: it is in zone public"
        );
        assert_eq!(
            error.hint().unwrap(),
            "set firewalldZone to public, or free it: \
             firewall-cmd --zone=public --remove-source=10.1.0.2/32"
        );
        let late = Error { action, cause: Cause::Timeout(Duration::from_secs(10)) };
        assert!(late.is_temporary() && late.to_string().ends_with("no answer within 10 s"));
    }
}
