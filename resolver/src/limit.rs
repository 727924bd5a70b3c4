//! What one asker may have, so that others get something as well.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use foldhash::HashMap;

use crate::pipeline::Door;

/// Most bounds that are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Queries of one asker in a second while others ask as well. Who is alone takes nothing from
    /// anybody.
    pub queries: u32,
    /// What an asker may have at once of what others are asked.
    pub forwards: u32,
    /// Connections of one asker.
    pub connections: u32,
    /// Connections of all.
    pub all_connections: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { queries: 4000, forwards: 500, connections: 64, all_connections: 1024 }
    }
}

/// Who asks, as far as bounds are concerned.
type Key = (Door, IpAddr);

#[derive(Debug, Default)]
struct Use {
    queries: u32,
    forwards: u32,
    connections: u32,
}

/// What every asker has just now.
#[derive(Debug, Default)]
pub struct Limits {
    bounds: Bounds,
    all: RefCell<All>,
}

#[derive(Debug, Default)]
struct All {
    askers: HashMap<Key, Use>,
    /// How many asked in this second.
    busy: u32,
    connections: u32,
    forwards: u32,
}

/// What of an asker's share is in use until it is dropped.
#[derive(Debug)]
pub struct Held {
    limits: Rc<Limits>,
    key: Key,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Forward,
    Connection,
}

impl Limits {
    /// With these bounds.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, all: RefCell::default() }
    }

    /// Whether another query of this asker is looked at in this second.
    pub fn admits(&self, door: &Door, source: IpAddr) -> bool {
        let mut all = self.all.borrow_mut();
        let busy = all.busy;
        // A door's name is copied once a second.
        let queries = match all.askers.get_mut(&(door.clone(), source)) {
            Some(asker) => &mut asker.queries,
            None => &mut all.askers.entry((door.clone(), source)).or_default().queries,
        };
        *queries += 1;
        let (first, within) = (*queries == 1, *queries <= self.bounds.queries);
        if first {
            all.busy += 1;
        }
        within || busy <= 1
    }

    /// Begins another second.
    pub fn tick(&self) {
        let mut all = self.all.borrow_mut();
        all.busy = 0;
        all.askers.retain(|_, asker| {
            asker.queries = 0;
            asker.forwards > 0 || asker.connections > 0
        });
    }

    /// Takes room for asking others on behalf of this asker.
    pub fn forward(self: &Rc<Self>, door: &Door, source: IpAddr) -> Option<Held> {
        self.take((door.clone(), source), What::Forward)
    }

    /// Takes room for a connection.
    pub fn connection(self: &Rc<Self>, door: &Door, source: IpAddr) -> Option<Held> {
        self.take((door.clone(), source), What::Connection)
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.all.borrow().connections
    }

    /// How many questions to others are on their way.
    #[must_use]
    pub fn forwards(&self) -> u32 {
        self.all.borrow().forwards
    }

    fn take(self: &Rc<Self>, key: Key, what: What) -> Option<Held> {
        let mut all = self.all.borrow_mut();
        let others = all.connections;
        let asker = all.askers.entry(key.clone()).or_default();
        match what {
            What::Forward if asker.forwards >= self.bounds.forwards => return None,
            What::Forward => {
                asker.forwards += 1;
                all.forwards += 1;
            }
            What::Connection
                if asker.connections >= self.bounds.connections
                    || others >= self.bounds.all_connections =>
            {
                return None;
            }
            What::Connection => {
                asker.connections += 1;
                all.connections += 1;
            }
        }
        Some(Held { limits: Rc::clone(self), key, what })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = self.limits.all.borrow_mut();
        match self.what {
            What::Forward => all.forwards -= 1,
            What::Connection => all.connections -= 1,
        }
        if let Some(asker) = all.askers.get_mut(&self.key) {
            match self.what {
                What::Forward => asker.forwards -= 1,
                What::Connection => asker.connections -= 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Door {
        Door::Network("web".into())
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn one_of_several_is_bounded_and_who_is_alone_is_not() {
        let limits = Limits::new(Bounds { queries: 10, ..Bounds::default() });
        assert!((0..100).all(|_| limits.admits(&door(), ip(1))));
        assert!(limits.admits(&door(), ip(2)));
        assert!(!limits.admits(&door(), ip(1)));
        assert!((0..9).all(|_| limits.admits(&door(), ip(2))));
        assert!(!limits.admits(&door(), ip(2)));
        limits.tick();
        assert!(limits.admits(&door(), ip(1)) && limits.admits(&door(), ip(2)));
    }

    #[test]
    fn room_is_given_back_when_what_took_it_is_dropped() {
        let bounds =
            Bounds { forwards: 2, connections: 2, all_connections: 3, ..Bounds::default() };
        let limits = Rc::new(Limits::new(bounds));
        let one = limits.forward(&door(), ip(1)).unwrap();
        let _two = limits.forward(&door(), ip(1)).unwrap();
        assert!(limits.forward(&door(), ip(1)).is_none());
        limits.tick();
        assert!(limits.forward(&door(), ip(1)).is_none());
        drop(one);
        assert!(limits.forward(&door(), ip(1)).is_some());
        let held: Vec<_> = [1, 1, 2].map(|n| limits.connection(&door(), ip(n)).unwrap()).into();
        assert!(limits.connection(&door(), ip(1)).is_none());
        assert!(limits.connection(&door(), ip(3)).is_none());
        assert_eq!(limits.connections(), 3);
        drop(held);
        assert_eq!(limits.connections(), 0);
        assert!(limits.connection(&door(), ip(1)).is_some());
    }
}
