//! firewalld's methods, as in firewalld.dbus(5).

use std::time::{Duration, Instant};

use crate::bus::{Bus, Call, Failure, Message};
use crate::{Action, Cause, Error, Member, Zone};

/// So much time an operation has, however many calls it takes.
pub const DEADLINE: Duration = Duration::from_secs(10);

const NAME: &str = "org.fedoraproject.FirewallD1";
const PATH: &str = "/org/fedoraproject/FirewallD1";
const ZONES: &str = "org.fedoraproject.FirewallD1.zone";

/// A firewalld that runs, reached over the system bus.
#[derive(Debug)]
pub struct Firewalld {
    bus: Bus,
}

/// Whether firewalld runs: whether somebody owns its name on the system bus.
///
/// # Errors
/// When there is a bus and it does not answer. No bus at all is a plain no.
pub fn is_running() -> Result<bool, Error> {
    Firewalld::connect().map(|found| found.is_some())
}

impl Firewalld {
    /// Finds firewalld on the system bus, the one that `DBUS_SYSTEM_BUS_ADDRESS` names or else
    /// `/run/dbus/system_bus_socket`. `None` when it does not run, and also when there is no bus:
    /// without its socket that costs one system call.
    ///
    /// # Errors
    /// When there is a bus and it does not answer.
    pub fn connect() -> Result<Option<Self>, Error> {
        Self::connect_to(&crate::bus::system_address())
    }

    /// As [`Self::connect`], on the bus at `address`, written as in the D-Bus specification:
    /// `unix:path=/run/dbus/system_bus_socket`.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn connect_to(address: &str) -> Result<Option<Self>, Error> {
        find(address).map_err(|cause| Error { action: Action::Find, cause })
    }

    /// Binds `member` to `zone`. Whether this call did it: `false` when it was there already.
    ///
    /// # Errors
    /// When it is bound to another zone, there is no such zone, or firewalld refuses.
    pub fn add(&mut self, zone: &Zone, member: &Member) -> Result<bool, Error> {
        self.try_add(zone, member)
            .map_err(|cause| Error { action: Action::Add(zone.clone(), member.clone()), cause })
    }

    /// Unbinds `member` from `zone`. Whether this call did it: `false` when it was not there, be it
    /// in another zone or in none.
    ///
    /// # Errors
    /// When there is no such zone, or firewalld refuses.
    pub fn remove(&mut self, zone: &Zone, member: &Member) -> Result<bool, Error> {
        let removed = self.of_zone("remove", zone, member, until());
        let not_there = ["UNKNOWN_SOURCE", "UNKNOWN_INTERFACE", "NOT_ENABLED", "ZONE_CONFLICT"];
        match removed {
            Ok(_) => Ok(true),
            Err(cause) if is_refusal(&cause, &not_there) => Ok(false),
            Err(cause) => {
                Err(Error { action: Action::Remove(zone.clone(), member.clone()), cause })
            }
        }
    }

    /// Whether `member` is bound to `zone`.
    ///
    /// # Errors
    /// When there is no such zone, or firewalld refuses.
    pub fn contains(&mut self, zone: &Zone, member: &Member) -> Result<bool, Error> {
        self.of_zone("query", zone, member, until())
            .and_then(|reply| reply.boolean().map_err(Cause::Malformed))
            .map_err(|cause| Error { action: Action::Query(zone.clone(), member.clone()), cause })
    }

    /// The zone that `member` is bound to, if any.
    ///
    /// # Errors
    /// When firewalld refuses.
    pub fn zone_of(&mut self, member: &Member) -> Result<Option<String>, Error> {
        self.ask_zone_of(member, until())
            .map_err(|cause| Error { action: Action::ZoneOf(member.clone()), cause })
    }

    /// Whether there is such a zone.
    ///
    /// # Errors
    /// When firewalld refuses.
    pub fn has_zone(&mut self, zone: &Zone) -> Result<bool, Error> {
        // Every version refuses a question about a zone that is not there, whatever the question.
        let any = Member::Source([127, 0, 0, 1].into());
        match self.of_zone("query", zone, &any, until()) {
            Ok(_) => Ok(true),
            Err(Cause::NoSuchZone) => Ok(false),
            Err(cause) => Err(Error { action: Action::Zone(zone.clone()), cause }),
        }
    }

    /// Makes firewalld read its permanent configuration again and forget everything else: what was
    /// added to zones here is gone.
    ///
    /// # Errors
    /// When firewalld refuses.
    pub fn reload(&mut self) -> Result<(), Error> {
        let call = Call {
            destination: NAME,
            path: PATH,
            interface: NAME,
            member: "reload",
            arguments: &[],
        };
        match self.call(&call, until()) {
            Ok(_) => Ok(()),
            Err(cause) => Err(Error { action: Action::Reload, cause }),
        }
    }

    fn try_add(&mut self, zone: &Zone, member: &Member) -> Result<bool, Cause> {
        let until = until();
        let refused = match self.of_zone("add", zone, member, until) {
            Ok(_) => return Ok(true),
            Err(cause) => cause,
        };
        if !is_refusal(&refused, &["ZONE_ALREADY_SET", "ALREADY_ENABLED", "ZONE_CONFLICT"]) {
            return Err(refused);
        }
        // The refusal does not name the zone, and which code it has depends on the version.
        match self.ask_zone_of(member, until)? {
            Some(found) if found == zone.as_str() => Ok(false),
            Some(found) => Err(Cause::OtherZone(found)),
            // Somebody removed it in between.
            None => Err(refused),
        }
    }

    fn ask_zone_of(&mut self, member: &Member, until: Instant) -> Result<Option<String>, Cause> {
        let method = format!("getZoneOf{}", member.kind());
        let argument = member.argument();
        let call = Call {
            destination: NAME,
            path: PATH,
            interface: ZONES,
            member: &method,
            arguments: &[&argument],
        };
        let zone = self.call(&call, until)?.text().map_err(Cause::Malformed)?;
        Ok((!zone.is_empty()).then_some(zone))
    }

    /// Calls `<verb>Source` or `<verb>Interface`.
    fn of_zone(
        &mut self,
        verb: &str,
        zone: &Zone,
        member: &Member,
        until: Instant,
    ) -> Result<Message, Cause> {
        let method = format!("{verb}{}", member.kind());
        let argument = member.argument();
        let call = Call {
            destination: NAME,
            path: PATH,
            interface: ZONES,
            member: &method,
            arguments: &[zone.as_str(), &argument],
        };
        self.call(&call, until)
    }

    fn call(&mut self, call: &Call<'_>, until: Instant) -> Result<Message, Cause> {
        self.bus.call(call, until).map_err(|failure| match failure {
            Failure::Refused { name, text } => refusal(name, text),
            failure => transport(failure),
        })
    }
}

fn until() -> Instant {
    Instant::now() + DEADLINE
}

fn find(address: &str) -> Result<Option<Firewalld>, Cause> {
    let until = until();
    let Some(mut bus) = Bus::connect(address, until).map_err(transport)? else { return Ok(None) };
    let is_owned = bus.has_owner(NAME, until).map_err(transport)?;
    Ok(is_owned.then_some(Firewalld { bus }))
}

/// Whether firewalld refused with one of `codes`.
fn is_refusal(cause: &Cause, codes: &[&str]) -> bool {
    matches!(cause, Cause::Refused { code, .. } if codes.contains(&code.as_str()))
}

/// What stands between us and an answer.
fn transport(failure: Failure) -> Cause {
    match failure {
        Failure::System { call, source } => Cause::System { call, source },
        Failure::Timeout => Cause::Timeout(DEADLINE),
        Failure::Address(address) => Cause::Address(address),
        Failure::Auth(words) => Cause::Auth(words),
        Failure::Malformed(what) => Cause::Malformed(what),
        Failure::Refused { name, text } => Cause::Refused { code: name, text },
    }
}

/// An error that came as an answer. firewalld's own have one name for all, and a code in the text:
/// `INVALID_ZONE: nozone`.
fn refusal(name: String, text: String) -> Cause {
    let short = name.strip_prefix("org.freedesktop.DBus.Error.");
    if let Some("ServiceUnknown" | "NameHasNoOwner" | "NoReply") = short {
        return Cause::Gone(name);
    }
    let Some(own) = name.strip_prefix(NAME) else { return Cause::Refused { code: name, text } };
    let (code, rest) = text.split_once(": ").unwrap_or((&text, ""));
    let is_code = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if code.is_empty() || !code.chars().all(is_code) {
        return Cause::Refused { code: own.trim_start_matches('.').to_owned(), text };
    }
    match code {
        "INVALID_ZONE" => Cause::NoSuchZone,
        _ => Cause::Refused { code: code.to_owned(), text: rest.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_taken_from_the_texts_of_firewalld_alone() {
        let told = |name: &str, text: &str| refusal(name.into(), text.into()).to_string();
        let own = "org.fedoraproject.FirewallD1.Exception";
        assert_eq!(told(own, "INVALID_ZONE: nozone"), "there is no such zone");
        assert_eq!(told(own, "PANIC_MODE"), "PANIC_MODE");
        assert_eq!(told(own, "INVALID_ADDR: 10.0.0.0/99"), "INVALID_ADDR: 10.0.0.0/99");
        assert_eq!(told(own, "'NoneType' has no x"), "Exception: 'NoneType' has no x");
        let other = "org.freedesktop.DBus.Error.AccessDenied";
        assert_eq!(told(other, "INVALID_ZONE: x"), format!("{other}: INVALID_ZONE: x"));
        assert!(told("org.freedesktop.DBus.Error.NoReply", "").contains("not running any more"));
    }
}
