//! Who is asked when, and whose answer counts.
//!
//! The order of servers is meaning: the first may be the one that knows a company's names. So the
//! next is asked only when one fails or stays silent for long, and its "there is no such name" waits
//! a little for who comes before. The sockets are elsewhere; here is only time.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use super::wire::{Reply, rcode};

/// How long all servers together may take. Stubs give up after 5 s.
pub(super) const TOTAL: Duration = Duration::from_millis(4500);
/// How long a later server's "nothing there" waits for an earlier server.
const HELD: Duration = Duration::from_millis(500);
/// How long those before a last resort may stay silent: a resolver of the host may have to ask far.
const LAST_RESORT: Duration = Duration::from_secs(2);

/// One who may be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entrant {
    /// How long it may be silent before that is held against it.
    pub(super) patience: Duration,
    /// How long it may be silent before the next is asked beside it.
    pub(super) head_start: Duration,
    /// Whether it is asked only when all before it are silent or out of reach.
    pub(super) last_resort: bool,
}

/// What came of asking one.
#[derive(Debug)]
pub(super) enum Outcome {
    /// NOERROR or NXDOMAIN.
    Answer(Reply),
    /// It answered, with a code that says it cannot tell.
    Failed(u8),
    /// An error of the network.
    Unreachable,
    /// Nothing, and no more is to be waited for.
    Silent,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Finish {
    /// The answer, or the code to fail with.
    pub(super) verdict: Result<Reply, u8>,
    /// Those that had not answered although their patience was over.
    pub(super) silent: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Waiting,
    Asked(Instant),
    Answered,
    Failed(u8),
    Unreachable,
    Silent,
}

struct Race<'a, A> {
    entrants: &'a [Entrant],
    states: Vec<State>,
    ask: A,
    /// When the next one is asked beside those that are silent.
    next_at: Option<Instant>,
    held: Option<(usize, Reply, Instant)>,
}

/// Calls `ask` with the place of each entrant whose turn has come, and takes from `outcomes` what
/// came of it, until there is an answer or no hope of one; at most [`TOTAL`].
pub(super) async fn run(
    entrants: &[Entrant],
    outcomes: &mut UnboundedReceiver<(usize, Outcome)>,
    ask: impl FnMut(usize),
) -> Finish {
    let states = vec![State::Waiting; entrants.len()];
    let mut race = Race { entrants, states, ask, next_at: None, held: None };
    let end = Instant::now() + TOTAL;
    race.ask_next();
    loop {
        if !race.is_anyone_asked() {
            return race.finish();
        }
        tokio::select! {
            biased;
            outcome = outcomes.recv() => match outcome {
                Some((place, outcome)) => {
                    if let Some(reply) = race.take(place, outcome) {
                        return race.won(reply);
                    }
                }
                None => return race.finish(),
            },
            () = sleep_until(race.wakes_at(end)) => {
                let now = Instant::now();
                if now >= end || race.held.as_ref().is_some_and(|(.., until)| now >= *until) {
                    return race.finish();
                }
                race.ask_next();
            }
        }
    }
}

impl<A: FnMut(usize)> Race<'_, A> {
    fn is_anyone_asked(&self) -> bool {
        self.states.iter().any(|state| matches!(state, State::Asked(_)))
    }

    fn wakes_at(&self, end: Instant) -> Instant {
        let held = self.held.as_ref().map(|(.., until)| *until);
        [held, self.next_at].into_iter().flatten().fold(end, Instant::min)
    }

    /// Who may be asked next; nobody while an answer is held.
    fn next(&self) -> Option<usize> {
        let next = self.states.iter().position(|state| *state == State::Waiting)?;
        let told = self.states.iter().any(|state| matches!(state, State::Failed(_)));
        (self.held.is_none() && !(self.entrants[next].last_resort && told)).then_some(next)
    }

    fn ask_next(&mut self) {
        self.next_at = None;
        let Some(place) = self.next() else { return };
        let now = Instant::now();
        self.states[place] = State::Asked(now);
        (self.ask)(place);
        let alone = self.entrants[place].head_start;
        self.next_at = self.next().map(|next| {
            let last_resort = self.entrants[next].last_resort;
            now + if last_resort { alone.max(LAST_RESORT) } else { alone }
        });
    }

    /// Notes what came of asking the one at `place`; gives the answer if that decides it.
    fn take(&mut self, place: usize, outcome: Outcome) -> Option<Reply> {
        self.states[place] = match outcome {
            Outcome::Answer(reply) => {
                self.states[place] = State::Answered;
                return self.take_answer(place, reply);
            }
            Outcome::Failed(code) => State::Failed(code),
            Outcome::Unreachable => State::Unreachable,
            Outcome::Silent => State::Silent,
        };
        if let Some((held, ..)) = &self.held {
            let decided = !self.is_earlier_asked(*held);
            return self.held.take_if(|_| decided).map(|(_, reply, _)| reply);
        }
        // Where a later one was asked for this one's silence already, that is the next.
        let newest = self.states.iter().rposition(|state| *state != State::Waiting);
        if newest == Some(place) || !self.is_anyone_asked() {
            self.ask_next();
        }
        None
    }

    fn take_answer(&mut self, place: usize, reply: Reply) -> Option<Reply> {
        let since = match &self.held {
            Some((held, ..)) if *held < place => return None,
            Some((.., until)) => *until,
            None => Instant::now() + HELD,
        };
        if reply.is_positive() || !self.is_earlier_asked(place) {
            return Some(reply);
        }
        self.held = Some((place, reply, since));
        self.next_at = None;
        None
    }

    fn is_earlier_asked(&self, place: usize) -> bool {
        self.states[..place].iter().any(|state| matches!(state, State::Asked(_)))
    }

    fn won(self, reply: Reply) -> Finish {
        Finish { silent: self.silent(), verdict: Ok(reply) }
    }

    fn finish(mut self) -> Finish {
        let silent = self.silent();
        let verdict = self.held.take().map(|(_, reply, _)| reply).ok_or_else(|| self.failure());
        Finish { verdict, silent }
    }

    /// REFUSED only when nobody had anything else to say.
    fn failure(&self) -> u8 {
        let asked = || self.states.iter().filter(|state| **state != State::Waiting);
        let refused = |state: &State| *state == State::Failed(rcode::REFUSED);
        if asked().count() > 0 && asked().all(refused) { rcode::REFUSED } else { rcode::SERVFAIL }
    }

    fn silent(&self) -> Vec<usize> {
        let now = Instant::now();
        let is_silent = |place: &usize| match self.states[*place] {
            State::Silent => true,
            State::Asked(at) => now >= at + self.entrants[*place].patience,
            _ => false,
        };
        (0..self.states.len()).filter(is_silent).collect()
    }
}
