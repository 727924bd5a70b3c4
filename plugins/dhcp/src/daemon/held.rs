//! One attachment as the daemon holds it.

use std::time::Duration;

use crate::exchange::{Client, Exchange};
use crate::lease::Lease;
use crate::place::Place;
use crate::store::Entry;

pub(super) struct Held {
    pub(super) entry: Entry,
    /// The conversation that goes on.
    pub(super) talk: Option<Talk>,
    /// The peer that is to be told of the lease.
    pub(super) waiting: Option<u64>,
    /// When something is to be done while nobody talks; `None`: never.
    pub(super) due: Option<Duration>,
}

pub(super) struct Talk {
    pub(super) place: Place,
    pub(super) client: Client,
    pub(super) exchange: Exchange,
    /// When it is given up.
    pub(super) until: Duration,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Wait,
    Send,
    GiveUp,
    Prolong,
    Expire,
    Discover,
}

/// RFC 2131 §4.4.5: servers are not asked more often, unless the time is shorter.
const PAUSE: Duration = Duration::from_secs(60);

impl Held {
    /// When [`step`](Self::step) has something to say.
    pub(super) fn next(&self) -> Option<Duration> {
        match &self.talk {
            Some(talk) => Some(talk.exchange.due().min(talk.until)),
            None => self.due,
        }
    }

    pub(super) fn step(&self, now: Duration) -> Next {
        match (&self.talk, self.entry.what.lease.as_ref()) {
            (Some(talk), _) if now >= talk.until => Next::GiveUp,
            (Some(talk), _) if now >= talk.exchange.due() => Next::Send,
            (Some(_), _) => Next::Wait,
            (None, _) if self.due.is_none_or(|due| now < due) => Next::Wait,
            (None, None) => Next::Discover,
            (None, Some(lease)) if now >= lease.ends_at() => Next::Expire,
            (None, Some(_)) => Next::Prolong,
        }
    }

    /// When to try again after a conversation that led nowhere and was to end at `until`: in half of
    /// the time that is left of this phase, or at once when its end has ended the conversation.
    pub(super) fn next_attempt(&self, until: Duration, now: Duration, pause: Duration) -> Duration {
        let Some(lease) = &self.entry.what.lease else { return now + pause };
        let ends = [lease.rebind_at(), lease.ends_at()];
        if ends.contains(&until) && now >= until {
            return now;
        }
        let Some(end) = ends.into_iter().find(|end| now < *end) else { return now };
        end.min(now + PAUSE.max((end - now) / 2))
    }

    /// The lease, while it may be used.
    pub(super) fn valid_lease(&self, now: Duration) -> Option<&Lease> {
        self.entry.what.lease.as_ref().filter(|lease| now < lease.ends_at())
    }
}

#[cfg(test)]
mod tests {
    use cni::record::NetnsId;

    use super::*;
    use crate::config::Spec;
    use crate::store::What;
    use crate::wire::{Kind, Message, option};

    /// A lease of 1000 s, taken at 100 s: T1 at 600, T2 at 975, its end at 1100.
    fn held(due: u64) -> Held {
        let mac = types::MacAddr::from_bytes([2, 0, 0, 0, 0, 1]);
        let mut message = Message::new(Kind::Ack, 7, mac);
        message.options.set(option::LEASE_TIME, 1000_u32.to_be_bytes());
        let NetnsId { inode, boot } = NetnsId::default();
        let what = What {
            netns: String::new(),
            inode,
            boot,
            mac: mac.bytes(),
            mtu: 1500,
            priority: 0,
            spec: Spec { provide: Vec::new(), request: Vec::new() },
            lease: Some(Lease::of(&message, mac, Duration::from_secs(100))),
        };
        let key = types::Attachment {
            network: "lan".parse().unwrap(),
            container: "c1".parse().unwrap(),
            ifname: "eth0".parse().unwrap(),
        };
        let due = Some(Duration::from_secs(due));
        Held { entry: Entry { key, what }, talk: None, waiting: None, due }
    }

    #[test]
    fn a_lease_is_prolonged_while_it_lasts_and_looked_for_when_it_has_ended() {
        let step = |held: &Held, now| held.step(Duration::from_secs(now));
        let mut held = held(600);
        assert_eq!(step(&held, 599), Next::Wait);
        assert_eq!(step(&held, 600), Next::Prolong);
        assert_eq!(step(&held, 1100), Next::Expire);
        assert!(held.valid_lease(Duration::from_secs(1100)).is_none());
        held.entry.what.lease = None;
        assert_eq!(step(&held, 1100), Next::Discover);
        held.due = None;
        assert_eq!(step(&held, 5000), Next::Wait);
    }

    #[test]
    fn servers_are_asked_less_often_than_each_minute_and_at_once_when_a_phase_begins() {
        let held = held(600);
        let next = |until, now| {
            let [until, now] = [until, now].map(Duration::from_secs);
            held.next_attempt(until, now, Duration::from_secs(62)).as_secs()
        };
        assert_eq!(next(610, 610), 610 + (975 - 610) / 2);
        assert_eq!(next(890, 890), 950);
        assert_eq!(next(960, 960), 975);
        assert_eq!(next(975, 975), 975);
        assert_eq!(next(985, 985), 1045);
        assert_eq!(next(1100, 1100), 1100);
    }
}
