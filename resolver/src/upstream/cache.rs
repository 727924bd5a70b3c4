//! What servers said, for as long as they said it holds.
//!
//! Two generations: what is put or found goes to the young one, and when that has half of the bytes
//! the old one is thrown away and the young one grows old. What is asked often stays, what is not is
//! gone after at most two turns, and no list has to be kept in order for it.

use std::rc::Rc;
use std::time::Duration;

use foldhash::HashMap;
use tokio::time::Instant;

use super::wire::Reply;

/// How long a failure is remembered, RFC 9520 §3.2.
const FAILURE: Duration = Duration::from_secs(1);
/// What an entry takes beside its key and its reply, in bytes, about.
const OVERHEAD: usize = 128;

/// What came of a question.
#[derive(Debug)]
pub(super) enum Verdict {
    /// A server's answer.
    Reply(Reply),
    /// No server answered: the code to say so with.
    Failed(u8),
}

impl Verdict {
    fn lifetime(&self) -> Option<Duration> {
        match self {
            Self::Reply(reply) => reply.lifetime(),
            Self::Failed(_) => Some(FAILURE),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Reply(reply) => reply.size(),
            Self::Failed(_) => 0,
        }
    }
}

struct Entry {
    verdict: Rc<Verdict>,
    since: Instant,
    until: Instant,
    size: usize,
}

#[derive(Default)]
struct Generation {
    entries: HashMap<Rc<[u8]>, Entry>,
    size: usize,
}

impl Generation {
    fn take(&mut self, key: &[u8]) -> Option<(Rc<[u8]>, Entry)> {
        let (key, entry) = self.entries.remove_entry(key)?;
        self.size -= entry.size;
        Some((key, entry))
    }

    fn put(&mut self, key: Rc<[u8]>, entry: Entry) {
        self.take(&key);
        self.size += entry.size;
        self.entries.insert(key, entry);
    }
}

/// Verdicts by question, at most so many bytes of them.
pub(super) struct Cache {
    young: Generation,
    old: Generation,
    limit: usize,
}

impl Cache {
    /// Of at most `limit` bytes; zero keeps nothing.
    pub(super) fn new(limit: usize) -> Self {
        Self { young: Generation::default(), old: Generation::default(), limit }
    }

    /// What is known of `key` at `now`, and for how many seconds.
    pub(super) fn get(&mut self, key: &[u8], now: Instant) -> Option<(Rc<Verdict>, u32)> {
        let (verdict, since, until) = match self.young.entries.get(key) {
            Some(entry) => (Rc::clone(&entry.verdict), entry.since, entry.until),
            None => {
                let (key, entry) = self.old.take(key)?;
                let found = (Rc::clone(&entry.verdict), entry.since, entry.until);
                if now < entry.until {
                    self.insert(key, entry);
                }
                found
            }
        };
        if now >= until {
            self.young.take(key);
            return None;
        }
        let age = now.duration_since(since).as_secs();
        Some((verdict, u32::try_from(age).unwrap_or(u32::MAX)))
    }

    /// Keeps `verdict` for as long as it may be kept.
    pub(super) fn put(&mut self, key: Rc<[u8]>, verdict: Rc<Verdict>, now: Instant) {
        let Some(lifetime) = verdict.lifetime() else { return };
        let size = OVERHEAD + key.len() + verdict.size();
        self.old.take(&key);
        self.insert(key, Entry { verdict, since: now, until: now + lifetime, size });
    }

    fn insert(&mut self, key: Rc<[u8]>, entry: Entry) {
        if entry.size > self.limit / 2 {
            return;
        }
        self.young.take(&key);
        if self.young.size + entry.size > self.limit / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.put(key, entry);
    }

    /// Forgets everything.
    pub(super) fn flush(&mut self) {
        self.young = Generation::default();
        self.old = Generation::default();
    }

    /// Bytes kept now, and how many entries they are.
    pub(super) fn size(&self) -> (usize, usize) {
        let entries = self.young.entries.len() + self.old.entries.len();
        (self.young.size + self.old.size, entries)
    }
}
