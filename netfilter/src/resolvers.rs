//! One gateway address leads to one resolver: the last ADD of a network decides for all of it, and
//! networks that share the address have to agree.

use kernel::nft::{self, Batch, Element, FoundElement, Key, Set};
use types::Family;

use crate::claim::{Claim, Claimant, Resolver};
use crate::error::Error;
use crate::filter::{Filter, Removed};
use crate::layout::{DNS_PROTOCOLS, INET, Sets};
use crate::reference::admitting;

/// Those of `followers`, and the claims of the same network beside them, that want another port at a
/// place of `claim`, with that of `claim`: the resolver moved.
///
/// # Errors
/// [`Error::OtherResolver`] where a living claim of another network wants another port.
pub(crate) fn lead_along(
    filter: &Filter,
    claim: &Claim,
    moved: &[Moved<'_>],
    mut followers: Vec<Claim>,
) -> Result<Vec<Claim>, Error> {
    if moved.is_empty() {
        return Ok(followers);
    }
    // Only now is it worth to read what all others want.
    for other in filter.store().all()? {
        let is_same = |one: &Claim| one.key == other.key && one.claimant == other.claimant;
        let place = followers.iter().position(is_same);
        let mut other = place.map_or(other.clone(), |place| followers[place].clone());
        if is_same(claim) || differing(claim, &mut other).is_empty() {
            continue;
        }
        if other.key.network == claim.key.network {
            for (theirs, port) in differing(claim, &mut other) {
                theirs.port = port;
            }
            match place {
                Some(place) => followers[place] = other,
                None => followers.push(other),
            }
        } else if !filter.is_dead(&other) {
            return Err(Error::other_resolver(claim, &other));
        }
    }
    Ok(followers)
}

/// Puts into the batch what keeps the ports open at which resolvers of `claim` listened before.
pub(crate) fn leave_old_ports(
    filter: &Filter,
    batch: &mut Batch,
    moved: &[Moved<'_>],
) -> Result<(), Error> {
    let mut places: Vec<(&Set, Key)> = Vec::new();
    for &(resolver, port) in moved {
        let set = &Sets::of(Family::of(resolver.address)).listening;
        places.extend(
            DNS_PROTOCOLS
                .map(|protocol| (set, place(resolver).l4proto(protocol.number()).port(port))),
        );
    }
    if places.is_empty() {
        return Ok(());
    }
    let wanted: Vec<(&Set, &Key)> = places.iter().map(|(set, key)| (*set, key)).collect();
    let found = nft::element(filter.socket(), &INET, &wanted)?;
    for ((set, key), _) in wanted.into_iter().zip(found).filter(|(_, found)| found.is_some()) {
        batch.del_element(&INET, set, &Element::new(key.clone()));
    }
    Ok(())
}

/// Lets clients through the host's `INPUT`, of either variant of iptables, for what `claims` want.
pub(crate) fn admit(filter: &Filter, claims: &[Claim]) -> Result<(), Error> {
    let families = families(claims);
    if families.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new();
    admitting::add(filter.socket(), &mut batch, &families)?;
    batch.commit(filter.socket())?;
    Ok(admitting::add_legacy(&families)?)
}

/// Takes that back where the last resolver has gone with `removed`.
pub(crate) fn admit_no_more(
    filter: &Filter,
    removed: &Removed,
    claimant: Claimant,
) -> Result<(), Error> {
    let had_resolver = match &removed.claim {
        Some(claim) => !claim.resolvers.is_empty(),
        None => claimant == Claimant::Names,
    };
    if !removed.was_last_of_network || !had_resolver {
        return Ok(());
    }
    let mut unused = Vec::new();
    for family in [Family::V4, Family::V6] {
        if nft::elements(filter.socket(), &INET, &Sets::of(family).listening)?.is_empty() {
            unused.push(family);
        }
    }
    let mut batch = Batch::new();
    admitting::remove(filter.socket(), &mut batch, &unused)?;
    batch.commit_skipping_missing(filter.socket())?;
    Ok(admitting::remove_legacy(&unused)?)
}

/// Compares the host's `INPUT` with what `claim` needs of it.
///
/// # Errors
/// [`Error::Differs`] where it drops and has no rule of ours.
pub(crate) fn check_admitted(filter: &Filter, claim: &Claim) -> Result<(), Error> {
    admitting::check(filter.socket(), &families(std::slice::from_ref(claim)))
}

/// Families of the resolvers of `claims`.
fn families(claims: &[Claim]) -> Vec<Family> {
    let wants = |family: &Family| {
        let resolvers = claims.iter().flat_map(|claim| &claim.resolvers);
        resolvers.map(|one| Family::of(one.address)).any(|of| of == *family)
    };
    [Family::V4, Family::V6].into_iter().filter(wants).collect()
}

/// A resolver whose place leads to another port now, and that port.
pub(crate) type Moved<'a> = (&'a Resolver, u16);

/// Those of `claim`.
pub(crate) fn moved<'a>(filter: &Filter, claim: &'a Claim) -> Result<Vec<Moved<'a>>, Error> {
    let places: Vec<(&Set, Key)> = claim
        .resolvers
        .iter()
        .map(|one| (&Sets::of(Family::of(one.address)).dns, place(one)))
        .collect();
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<(&Set, &Key)> = places.iter().map(|(set, key)| (*set, key)).collect();
    let found = nft::element(filter.socket(), &INET, &places)?;
    let other = |(resolver, found): (&'a Resolver, Option<FoundElement>)| {
        let port = port_of(&found?)?;
        (port != resolver.port).then_some((resolver, port))
    };
    Ok(claim.resolvers.iter().zip(found).filter_map(other).collect())
}

fn place(resolver: &Resolver) -> Key {
    Key::new().ifname(&resolver.link).ip(resolver.address)
}

/// The port in a value of [`Sets::dns`]: padded to a word, behind the address.
fn port_of(found: &FoundElement) -> Option<u16> {
    let word = found.value.last_chunk::<4>()?;
    Some(u16::from_be_bytes([word[0], word[1]]))
}

/// The resolvers of `other` at a place of `claim`, with the port that they are to have.
fn differing<'a>(claim: &Claim, other: &'a mut Claim) -> Vec<(&'a mut Resolver, u16)> {
    let to = |theirs: &Resolver| {
        let same = |ours: &&Resolver| (&ours.link, ours.address) == (&theirs.link, theirs.address);
        claim.resolvers.iter().find(same).map(|ours| ours.port).filter(|port| *port != theirs.port)
    };
    other.resolvers.iter_mut().filter_map(|theirs| to(theirs).map(|port| (theirs, port))).collect()
}
