//! Which address an attachment gets.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use types::Cidr;

use crate::error::{Account, AllocateError, StoreError};
use crate::lease::{Lease, Life, Owner};
use crate::ledger::{Change, Entry, Ledger};
use crate::range::{RangeSet, RangeSets};
use crate::span::Span;
use crate::table::{Durability, MAX_OWNER_BYTES, Quarantine, nanoseconds};

/// How often the directory may contradict its index before we give up.
const ATTEMPTS: usize = 4;

/// What an attachment asks for: one address of each set.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The sets.
    pub sets: &'a RangeSets,
    /// Who asks.
    pub owner: &'a Owner,
    /// Addresses asked for by value, at most one of each set.
    pub requested: &'a [IpAddr],
    /// Addresses that are handed out only when they are requested.
    pub exclude: &'a [Span],
    /// For so long an address that was given back goes to nobody but its last owner, unless it is
    /// requested. Zero, the default: at once.
    pub quarantine: Duration,
    /// Whether to wait for the disk.
    pub durability: Durability,
    /// What the caller knows of the attachment that holds a lease. Asked only about leases that
    /// are in the way.
    pub life: &'a dyn Fn(&Lease) -> Life,
}

impl<'a> Request<'a> {
    /// One address of each of `sets` for `owner`, nothing else being said.
    #[must_use]
    pub fn new(sets: &'a RangeSets, owner: &'a Owner) -> Self {
        Self {
            sets,
            owner,
            requested: &[],
            exclude: &[],
            quarantine: Duration::ZERO,
            durability: Durability::Lazy,
            life: &|_| Life::Unknown,
        }
    }
}

/// An address that was allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The address with its subnet's prefix length.
    pub address: Cidr,
    /// Its range's gateway.
    pub gateway: IpAddr,
}

/// Why allocation stopped.
enum Stop {
    /// The directory contradicts its index: list it and begin again.
    Again,
    Failed(AllocateError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<AllocateError> for Stop {
    fn from(error: AllocateError) -> Self {
        Self::Failed(error)
    }
}

/// What to do for one set.
struct Choice {
    address: IpAddr,
    /// Leases of dead attachments that end with it.
    ends: Vec<Entry>,
}

/// Takes one address of each set, or none at all.
pub(crate) fn allocate(
    ledger: &mut Ledger<'_>,
    request: &Request<'_>,
    now: i64,
) -> Result<Vec<Grant>, AllocateError> {
    let owner = request.owner;
    let bytes = owner.container.len() + owner.ifname.as_ref().map_or(0, String::len);
    if bytes > MAX_OWNER_BYTES {
        return Err(StoreError::OwnerTooLong { bytes, most: MAX_OWNER_BYTES }.into());
    }
    ledger.remember_since(now.saturating_sub_unsigned(nanoseconds_of(request.quarantine)));
    let mut pool = Pool { ledger, request, now };
    for _ in 0..ATTEMPTS {
        match pool.choose_all().and_then(|choices| pool.take_all(&choices)) {
            Ok(grants) => return Ok(grants),
            Err(Stop::Again) => pool.ledger.relist()?,
            Err(Stop::Failed(error)) => return Err(error),
        }
    }
    Err(pool.ledger.unsettled().into())
}

struct Pool<'p, 'l, 'r> {
    ledger: &'p mut Ledger<'l>,
    request: &'p Request<'r>,
    now: i64,
}

impl Pool<'_, '_, '_> {
    /// Chooses for every set before anything is taken, so that most failures need no undoing.
    fn choose_all(&mut self) -> Result<Vec<Choice>, Stop> {
        let mut left_over = self.request.requested.to_vec();
        let mut choices = Vec::new();
        for (number, set) in self.request.sets.sets().iter().enumerate() {
            let wanted = left_over.iter().position(|ip| set.range_of(*ip).is_some());
            choices.push(match wanted {
                Some(place) => self.choose_requested(number, set, left_over.remove(place))?,
                None => self.choose(number, set)?,
            });
        }
        if left_over.is_empty() {
            Ok(choices)
        } else {
            Err(AllocateError::RequestedLeftOver(left_over).into())
        }
    }

    fn choose_requested(
        &mut self,
        number: usize,
        set: &RangeSet,
        address: IpAddr,
    ) -> Result<Choice, Stop> {
        if set.range_of(address).is_some_and(|range| range.gateway() == address) {
            return Err(AllocateError::RequestedGateway { set: number, address }.into());
        }
        let Some(holder) = self.ledger.holder(address)? else {
            return Ok(Choice { address, ends: Vec::new() });
        };
        if !self.is_dead(&holder) {
            return Err(AllocateError::RequestedTaken {
                set: number,
                address,
                ranges: set.to_string(),
                holder: holder.record.owner,
            }
            .into());
        }
        Ok(Choice { address, ends: vec![holder] })
    }

    fn choose(&mut self, number: usize, set: &RangeSet) -> Result<Choice, Stop> {
        let owner = self.request.owner;
        let mut own = self.ledger.of_owner(owner)?;
        own.extend(self.ledger.of_owner(&owner.legacy())?);
        own.retain(|entry| set.range_of(entry.record.address).is_some());
        if let Some(alive) = own.iter().find(|entry| !self.is_dead(entry)) {
            return Err(AllocateError::Duplicate {
                set: number,
                address: alive.record.address,
                owner: alive.record.owner.clone(),
            }
            .into());
        }
        let spans = circle(set, self.ledger.cursor(number), self.request.exclude);
        let may_be_given =
            |entry: &&Entry| spans.iter().any(|span| span.contains(entry.record.address));
        if let Some(old) = own.iter().find(may_be_given) {
            return Ok(Choice { address: old.record.address, ends: own });
        }
        let address = match self.first_free(&spans)? {
            Some(address) => address,
            None => self.make_room(number, set, &spans)?,
        };
        Ok(Choice { address, ends: own })
    }

    /// Looks for an address where none seemed free: in the directory itself, then among the leases
    /// of attachments that are proven dead.
    fn make_room(&mut self, number: usize, set: &RangeSet, spans: &[Span]) -> Result<IpAddr, Stop> {
        if self.ledger.relist_once()? {
            return Err(Stop::Again);
        }
        let mut held: Vec<_> = self.ledger.all()?;
        held.retain(|entry| spans.iter().any(|span| span.contains(entry.record.address)));
        let (dead, alive): (Vec<_>, Vec<_>) =
            held.into_iter().partition(|entry| self.is_dead(entry));
        for entry in &dead {
            self.end(entry)?;
        }
        if let Some(address) = self.first_free(spans)? {
            return Ok(address);
        }
        Err(AllocateError::Exhausted {
            set: number,
            ranges: set.to_string(),
            account: self.account(&alive, dead.len(), spans),
        }
        .into())
    }

    fn account(&self, alive: &[Entry], ended: usize, spans: &[Span]) -> Account {
        let containers: HashSet<_> =
            alive.iter().map(|entry| &entry.record.owner.container).collect();
        let doubtful = alive
            .iter()
            .filter(|entry| (self.request.life)(&self.ledger.lease(&entry.record)) == Life::Unknown)
            .count();
        let all = spans.iter().fold(0_u128, |sum, span| sum.saturating_add(span.count()));
        // What was ended a moment ago is in quarantine as well, or it would have been found.
        debug_assert!(all >= (alive.len() + ended) as u128, "held addresses lie in the spans");
        let quarantined = all.saturating_sub(alive.len() as u128);
        Account {
            held: alive.len() as u64,
            containers: containers.len() as u64,
            doubtful: doubtful as u64,
            quarantined: u64::try_from(quarantined).unwrap_or(u64::MAX),
        }
    }

    /// Takes what was chosen; when that fails, gives back what this call took.
    fn take_all(&mut self, choices: &[Choice]) -> Result<Vec<Grant>, Stop> {
        let mut taken = Vec::new();
        let outcome = self.try_take_all(choices, &mut taken);
        if outcome.is_err() {
            give_back(self.ledger, &taken)?;
        }
        outcome
    }

    fn try_take_all(
        &mut self,
        choices: &[Choice],
        taken: &mut Vec<IpAddr>,
    ) -> Result<Vec<Grant>, Stop> {
        let mut grants = Vec::new();
        for (number, (choice, set)) in choices.iter().zip(self.request.sets.sets()).enumerate() {
            for entry in &choice.ends {
                self.end(entry)?;
            }
            let address = choice.address;
            match self.ledger.take(number, address, self.request.owner)? {
                Change::Made => taken.push(address),
                Change::Contradicted => return Err(Stop::Again),
            }
            let range = set.range_of(address).expect("only addresses of the set are chosen");
            grants.push(Grant {
                address: Cidr::new(address, range.subnet().prefix())
                    .expect("address and subnet are of one family"),
                gateway: range.gateway(),
            });
        }
        Ok(grants)
    }

    fn end(&mut self, entry: &Entry) -> Result<(), Stop> {
        match self.ledger.free(entry)? {
            Change::Made => Ok(()),
            Change::Contradicted => Err(Stop::Again),
        }
    }

    fn first_free(&mut self, spans: &[Span]) -> Result<Option<IpAddr>, StoreError> {
        let quarantine =
            Quarantine { lasts: self.request.quarantine, now: self.now, owner: self.request.owner };
        self.ledger.first_free(spans, quarantine)
    }

    fn is_dead(&self, entry: &Entry) -> bool {
        let lease = self.ledger.lease(&entry.record);
        lease.is_dead((self.request.life)(&lease))
    }
}

/// Gives back addresses that were taken a moment ago.
pub(crate) fn give_back(ledger: &mut Ledger<'_>, taken: &[IpAddr]) -> Result<(), StoreError> {
    for address in taken {
        if let Some(entry) = ledger.holder(*address)? {
            // Somebody who ignores the lock has changed the file: then it is theirs.
            let (Change::Made | Change::Contradicted) = ledger.free(&entry)?;
        }
    }
    Ok(())
}

/// The addresses of `set` in the order in which they are tried: after the one handed out last,
/// then round, without gateways and `exclude`. With no usable last one, from the start.
pub(crate) fn circle(set: &RangeSet, last: Option<IpAddr>, exclude: &[Span]) -> Vec<Span> {
    let ranges = set.ranges();
    let mut cuts: Vec<Span> = exclude.to_vec();
    cuts.extend(ranges.iter().map(|range| Span::from(range.gateway())));
    let start = last.and_then(|last| {
        let at = ranges.iter().position(|range| range.contains(last))?;
        Some((at, crate::span::number(last)))
    });
    let Some((at, last)) = start else {
        return ranges.iter().flat_map(|range| range.span().without(&cuts)).collect();
    };
    let (first, end) = ranges[at].span().bounds();
    // `last` lies in a range of the set, so only the end of all addresses has no successor.
    let after = last.checked_add(1).and_then(|next| ranges[at].span().part(next, end));
    let before = ranges[at].span().part(first, last);
    let others = ranges[at + 1..].iter().chain(&ranges[..at]).map(super::range::Range::span);
    after.into_iter().chain(others).chain(before).flat_map(|span| span.without(&cuts)).collect()
}

fn nanoseconds_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The present of a host in the store's own unit.
pub(crate) fn now_of(host: &crate::lease::Host) -> i64 {
    nanoseconds(host.now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::{Range, RangeSpec};

    fn set(ranges: &[&str]) -> RangeSet {
        let range = |text: &&str| {
            let mut words = text.split(' ');
            let subnet = words.next().unwrap().parse().unwrap();
            let mut next = || words.next().map(|word| word.parse().unwrap());
            Range::new(RangeSpec { subnet, start: next(), end: next(), gateway: next() }).unwrap()
        };
        RangeSet::new(ranges.iter().map(range).collect()).unwrap()
    }

    #[test]
    fn the_circle_begins_after_the_last_address_and_meets_each_once() {
        let set = set(&["10.0.0.0/29", "10.0.1.0/24 10.0.1.7 10.0.1.9 10.0.1.8"]);
        let cases: &[(Option<&str>, &[&str], &str)] = &[
            (None, &[], "[10.0.0.2-10.0.0.6, 10.0.1.7, 10.0.1.9]"),
            (Some("10.0.0.1"), &[], "[10.0.0.2-10.0.0.6, 10.0.1.7, 10.0.1.9]"),
            (Some("10.0.0.4"), &[], "[10.0.0.5-10.0.0.6, 10.0.1.7, 10.0.1.9, 10.0.0.2-10.0.0.4]"),
            (Some("10.0.0.6"), &[], "[10.0.1.7, 10.0.1.9, 10.0.0.2-10.0.0.6]"),
            (Some("10.0.1.9"), &[], "[10.0.0.2-10.0.0.6, 10.0.1.7, 10.0.1.9]"),
            (Some("10.9.9.9"), &[], "[10.0.0.2-10.0.0.6, 10.0.1.7, 10.0.1.9]"),
            (Some("fd00::1"), &[], "[10.0.0.2-10.0.0.6, 10.0.1.7, 10.0.1.9]"),
            (
                Some("10.0.0.4"),
                &["10.0.0.4-10.0.0.5", "10.0.1.0/24"],
                "[10.0.0.6, 10.0.0.2-10.0.0.3]",
            ),
            (None, &["0.0.0.0/0"], "[]"),
        ];
        for (last, exclude, order) in cases {
            let exclude: Vec<Span> = exclude.iter().map(|text| text.parse().unwrap()).collect();
            let spans = circle(&set, last.map(|text| text.parse().unwrap()), &exclude);
            assert_eq!(format!("{spans:?}"), *order, "{last:?} {exclude:?}");
        }
    }

    #[test]
    fn the_last_of_all_addresses_has_no_successor() {
        let set = set(&["::/0"]);
        let spans =
            circle(&set, Some("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap()), &[]);
        assert_eq!(spans.len(), 1);
    }
}
