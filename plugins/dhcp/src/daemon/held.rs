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

    /// When to try again after a conversation that led nowhere: in half of the time that is left of
    /// this phase.
    pub(super) fn next_attempt(&self, now: Duration, pause: Duration) -> Duration {
        let Some(lease) = &self.entry.what.lease else { return now + pause };
        let ends = [lease.rebind_at(), lease.ends_at()];
        let Some(end) = ends.into_iter().find(|end| now < *end) else { return now };
        end.min(now + PAUSE.max((end - now) / 2))
    }

    /// The lease, while it may be used.
    pub(super) fn valid_lease(&self, now: Duration) -> Option<&Lease> {
        self.entry.what.lease.as_ref().filter(|lease| now < lease.ends_at())
    }
}
