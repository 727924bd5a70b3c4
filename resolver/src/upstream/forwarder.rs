//! From a client's query to its reply: the cache, else a question already on its way, else a new one.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::Instant;

use super::cache::{Cache, Verdict};
use super::counters::{Counters, increment};
use super::exchange::{Buffer, Exchange, Sent, buffer};
use super::race::{self, Entrant};
use super::set::{Upstream, UpstreamSet};
use super::wire::{self, Outgoing, Query, malformed, rcode};

/// How much a [`Forwarder`] may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the cache, about; 0 keeps nothing.
    pub cache_bytes: usize,
    /// Questions on their way at once; for one more the oldest is given up. Each takes a descriptor
    /// for every server it was put to.
    pub forwards: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cache_bytes: 4 << 20, forwards: 8192 }
    }
}

/// Answers queries with what servers say or said.
///
/// Its questions run as tasks of their own, so a client that goes away costs nobody else the answer.
/// That needs a local runtime.
pub struct Forwarder {
    cache: RefCell<Cache>,
    flights: RefCell<Flights>,
    limits: Limits,
    sent: Rc<Sent>,
    buffer: Buffer,
    /// What was counted so far.
    pub counters: Counters,
}

#[derive(Default)]
struct Flights {
    by_key: HashMap<Rc<[u8]>, Rc<Flight>>,
    /// Keys by age, the oldest first.
    by_number: BTreeMap<u64, Rc<[u8]>>,
    last: u64,
}

/// A question on its way, and those who wait for its answer.
struct Flight {
    number: u64,
    verdict: OnceCell<Rc<Verdict>>,
    landed: Notify,
    task: Cell<Option<AbortHandle>>,
}

impl Flight {
    fn land(&self, verdict: Rc<Verdict>) {
        // Whoever landed it first has the say.
        let _ = self.verdict.set(verdict);
        self.landed.notify_waiters();
    }

    async fn verdict(&self) -> Rc<Verdict> {
        loop {
            let landed = self.landed.notified();
            if let Some(verdict) = self.verdict.get() {
                return Rc::clone(verdict);
            }
            landed.await;
        }
    }
}

/// Room for the key of any question of any set.
const LONGEST_KEY: usize = size_of::<u64>() + wire::LONGEST_KEY;

/// What the same answer is good for, written into `room`.
fn key<'a>(set: &UpstreamSet, query: &Query<'_>, room: &'a mut [u8; LONGEST_KEY]) -> &'a [u8] {
    let (of_set, of_question) = room.split_at_mut(size_of::<u64>());
    of_set.copy_from_slice(&set.id().to_ne_bytes());
    let length = query.write_key(of_question);
    &room[..size_of::<u64>() + length]
}

impl Forwarder {
    /// With an empty cache.
    #[must_use]
    pub fn new(limits: Limits) -> Rc<Self> {
        Rc::new(Self {
            cache: RefCell::new(Cache::new(limits.cache_bytes)),
            flights: RefCell::default(),
            limits,
            sent: Rc::default(),
            buffer: buffer(),
            counters: Counters::default(),
        })
    }

    /// The complete reply to `query`, when what the servers of `set` said about it still holds.
    ///
    /// `query` is one that the caller found valid: opcode QUERY, one question, class IN.
    #[must_use]
    pub fn cached(&self, set: &UpstreamSet, query: &[u8]) -> Option<Vec<u8>> {
        self.look_up(set, &Query::read(query)?)
    }

    fn look_up(&self, set: &UpstreamSet, query: &Query<'_>) -> Option<Vec<u8>> {
        let mut room = [0; LONGEST_KEY];
        let key = key(set, query, &mut room);
        let (verdict, age) = self.cache.borrow_mut().get(key, Instant::now())?;
        increment(&self.counters.hits);
        Some(reply(&verdict, query, age))
    }

    /// The complete reply to `query`, from the cache or from the servers of `set`: within 4.5 s, if
    /// only a SERVFAIL. It may be of any size; [`fit`](super::fit) cuts it to what the client takes.
    ///
    /// `query` is one that the caller found valid: opcode QUERY, one question, class IN. One that
    /// cannot be read gets a FORMERR, and one without even a header an empty reply, which is not to
    /// be sent.
    ///
    /// Cancel-safe: the question goes on for others, and for the cache.
    ///
    /// # Panics
    /// Outside of a local runtime.
    pub async fn resolve(self: &Rc<Self>, set: &Rc<UpstreamSet>, query: &[u8]) -> Vec<u8> {
        let packet = query;
        let Some(query) = Query::read(packet) else {
            return malformed(packet);
        };
        if set.upstreams().is_empty() {
            return query.failed(rcode::SERVFAIL);
        }
        if self.sent.contains(packet) {
            increment(&self.counters.loops);
            return query.failed(rcode::SERVFAIL);
        }
        if let Some(reply) = self.look_up(set, &query) {
            return reply;
        }
        let verdict = self.flight(set, &query).verdict().await;
        reply(&verdict, &query, 0)
    }

    /// The flight that asks what `query` asks; a new one if there is none.
    fn flight(self: &Rc<Self>, set: &Rc<UpstreamSet>, query: &Query<'_>) -> Rc<Flight> {
        let mut room = [0; LONGEST_KEY];
        let key = key(set, query, &mut room);
        if let Some(flight) = self.flights.borrow().by_key.get(key) {
            increment(&self.counters.coalesced);
            return Rc::clone(flight);
        }
        self.make_room();
        increment(&self.counters.forwards);
        let key: Rc<[u8]> = key.into();
        let flight = self.flights.borrow_mut().add(&key);
        let fly =
            Rc::clone(self).fly(Rc::clone(set), Rc::new(query.outgoing()), key, Rc::clone(&flight));
        flight.task.set(Some(spawn_local(fly).abort_handle()));
        flight
    }

    /// Gives up the oldest questions until there is room for one more.
    fn make_room(&self) {
        while self.in_flight() >= self.limits.forwards.max(1) {
            let Some(oldest) = self.flights.borrow_mut().take_oldest() else { return };
            increment(&self.counters.shed);
            if let Some(task) = oldest.task.take() {
                task.abort();
            }
            oldest.land(Rc::new(Verdict::Failed(rcode::SERVFAIL)));
        }
    }

    async fn fly(
        self: Rc<Self>,
        set: Rc<UpstreamSet>,
        outgoing: Rc<Outgoing>,
        key: Rc<[u8]>,
        flight: Rc<Flight>,
    ) {
        let verdict = Rc::new(self.ask(&set, &outgoing).await);
        self.flights.borrow_mut().remove(flight.number);
        self.cache.borrow_mut().put(key, Rc::clone(&verdict), Instant::now());
        flight.land(verdict);
    }

    async fn ask(&self, set: &UpstreamSet, outgoing: &Rc<Outgoing>) -> Verdict {
        let now = Instant::now();
        let order = set.order(now);
        let (report, mut outcomes) = unbounded_channel();
        let exchange = |upstream: &Rc<Upstream>| Exchange {
            upstream: Rc::clone(upstream),
            outgoing: Rc::clone(outgoing),
            options: set.options(),
            sent: Rc::clone(&self.sent),
            buffer: Rc::clone(&self.buffer),
        };
        for demoted in order.iter().skip(1).filter(|upstream| upstream.is_due_for_probe(now)) {
            // Nobody waits for what it says; that it speaks ends its demotion.
            spawn_local(exchange(demoted).run(0, unbounded_channel().0));
        }
        let parallel = set.options().parallel;
        let entrant = |upstream: &Rc<Upstream>| Entrant {
            patience: upstream.patience(),
            head_start: if parallel { Duration::ZERO } else { upstream.patience() },
            last_resort: upstream.server().last_resort,
        };
        let entrants: Vec<Entrant> = order.iter().map(entrant).collect();
        let finish = race::run(&entrants, &mut outcomes, |place| {
            spawn_local(exchange(&order[place]).run(place, report.clone()));
        });
        let finish = finish.await;
        let now = Instant::now();
        for place in finish.silent {
            order[place].silent(now);
        }
        finish.verdict.map_or_else(
            |code| {
                increment(&self.counters.failed);
                Verdict::Failed(code)
            },
            Verdict::Reply,
        )
    }

    /// Forgets what servers said. Questions on their way are not touched.
    pub fn flush(&self) {
        self.cache.borrow_mut().flush();
    }

    /// How many questions are on their way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flights.borrow().by_key.len()
    }

    /// Bytes that the cache takes, about, and how many answers it keeps.
    #[must_use]
    pub fn cache_size(&self) -> (usize, usize) {
        self.cache.borrow().size()
    }
}

impl Flights {
    fn add(&mut self, key: &Rc<[u8]>) -> Rc<Flight> {
        self.last += 1;
        let flight = Rc::new(Flight {
            number: self.last,
            verdict: OnceCell::new(),
            landed: Notify::new(),
            task: Cell::new(None),
        });
        self.by_key.insert(Rc::clone(key), Rc::clone(&flight));
        self.by_number.insert(flight.number, Rc::clone(key));
        flight
    }

    fn take_oldest(&mut self) -> Option<Rc<Flight>> {
        let (_, key) = self.by_number.pop_first()?;
        self.by_key.remove(&key)
    }

    /// One that was given up is gone already, and another may have its key.
    fn remove(&mut self, number: u64) {
        if let Some(key) = self.by_number.remove(&number) {
            self.by_key.remove(&key);
        }
    }
}

fn reply(verdict: &Verdict, query: &Query<'_>, age: u32) -> Vec<u8> {
    match verdict {
        Verdict::Reply(reply) => reply.for_client(query, age),
        Verdict::Failed(code) => query.failed(*code),
    }
}
