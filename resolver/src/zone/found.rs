//! The holders of a name, and the order in which their addresses are given.

use std::cell::Cell;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use smallvec::{Array, SmallVec};

use super::endpoint::Endpoint;

/// The holders of one name on one network; one as a rule.
#[derive(Debug)]
pub(super) struct Rrset {
    first: Rc<Endpoint>,
    more: Vec<Rc<Endpoint>>,
    /// Counts answers: each begins with another holder.
    turn: Cell<u32>,
}

impl Rrset {
    pub(super) fn of(endpoint: &Rc<Endpoint>) -> Self {
        Self { first: Rc::clone(endpoint), more: Vec::new(), turn: Cell::new(0) }
    }

    pub(super) fn add(&mut self, endpoint: &Rc<Endpoint>) {
        self.more.push(Rc::clone(endpoint));
    }

    /// Whether somebody still has the name without this one.
    pub(super) fn remove(&mut self, endpoint: &Rc<Endpoint>) -> bool {
        if !Rc::ptr_eq(&self.first, endpoint) {
            self.more.retain(|other| !Rc::ptr_eq(other, endpoint));
            return true;
        }
        match self.more.pop() {
            None => false,
            Some(other) => {
                self.first = other;
                true
            }
        }
    }

    pub(super) fn collect(&self, found: &mut Found) {
        found.turn = found.turn.wrapping_add(self.turn.get());
        self.turn.set(self.turn.get().wrapping_add(1));
        for endpoint in std::iter::once(&self.first).chain(&self.more) {
            found.v4.extend(endpoint.v4());
            found.v6.extend(endpoint.v6());
        }
    }
}

/// The addresses that a name has; few as a rule.
#[derive(Debug, Default)]
pub struct Found {
    /// IPv4.
    pub v4: SmallVec<[Ipv4Addr; 4]>,
    /// IPv6.
    pub v6: SmallVec<[Ipv6Addr; 2]>,
    turn: u32,
}

impl Found {
    /// Puts each family into the order of this answer: another one comes first each time, the rest
    /// is in no order, and none is there twice.
    pub fn order(&mut self) {
        order(&mut self.v4, self.turn);
        order(&mut self.v6, self.turn);
    }
}

fn order<A: Array<Item: Copy + Ord>>(all: &mut SmallVec<A>, turn: u32) {
    if all.len() < 2 {
        return;
    }
    all.sort_unstable();
    all.dedup();
    let first = turn as usize % all.len();
    all.rotate_left(first);
    // What follows the first is shuffled, so that no two are always neighbours. The numbers need not
    // be hard to guess.
    let mut seed = turn.wrapping_mul(0x9e37_79b9) | 1;
    for at in (2..all.len()).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        all.swap(at, 1 + seed as usize % at);
    }
}
