//! Getting blocks of addresses, and making sure that they are still ours.

use std::rc::Rc;
use std::time::{Duration, Instant};

use cni::{Error, code};
use ipam::Host;
use peers::{Block, Network, State as BlockState};
use types::{Cidr, Family, NetworkName};

use super::Daemon;
use super::network::Active;
use crate::store::{State, StoreError};

/// After a claim that failed the next one waits.
const PAUSE: Duration = Duration::from_secs(5);

/// A further block is claimed when this share of the addresses is in use, in percent.
const FULL: u128 = 80;

impl Daemon {
    /// Begins to get what `network` lacks: itself, a first block of each family, another one.
    pub(super) fn get_what_lacks(
        self: &Rc<Self>,
        network: &Network,
        active: &mut Active,
        own: &[Block],
    ) {
        let Some(followed) = self.followed.borrow().clone() else { return };
        let is_ready = matches!(&*followed.store.state().borrow(), State::Ready { .. });
        let paused = active.refused.as_ref().is_some_and(|(_, at)| at.elapsed() < PAUSE);
        for family in network.families() {
            let lacks = !own.iter().any(|block| block.cidr.family() == family);
            let more = active.more.contains(&family);
            if (lacks || more) && !paused && is_ready && active.claiming.insert(family) {
                active.more.remove(&family);
                self.begin_claim(network.clone(), family);
            }
        }
        for block in own.iter().filter(|block| is_ready && active.kept.insert(block.cidr)) {
            self.begin_keeping(network.clone(), block.cidr);
        }
    }

    fn begin_claim(self: &Rc<Self>, network: Network, family: Family) {
        let (daemon, followed) = (Rc::clone(self), self.followed.borrow().clone());
        super::beside(async move {
            let Some(followed) = followed else { return };
            let claimed = followed.store.claim(&network, family).await;
            let mut all = daemon.active.borrow_mut();
            let Some(active) = all.get_mut(&network.name) else { return };
            active.claiming.remove(&family);
            active.settled = false;
            match claimed {
                Ok(claimed) => {
                    active.kept.insert(claimed.block.cidr);
                    active.claimed.push(claimed.block);
                    active.refused = None;
                }
                Err(error) => {
                    eprintln!("cais-overlayd: {error}");
                    active.refused = Some((of_store(&error), Instant::now()));
                }
            }
            drop(all);
            daemon.want_round();
        });
    }

    /// Makes sure that a block is ours in the store, and writes it again where it is not there.
    fn begin_keeping(self: &Rc<Self>, network: Network, block: Cidr) {
        let (daemon, followed) = (Rc::clone(self), self.followed.borrow().clone());
        super::beside(async move {
            let Some(followed) = followed else { return };
            let kept = followed.store.adopt(&network, block).await;
            let mut all = daemon.active.borrow_mut();
            let Some(active) = all.get_mut(&network.name) else { return };
            let before = active.lost.len();
            active.lost.retain(|(lost, _)| *lost != block);
            match kept {
                Ok(_) => {}
                Err(error @ StoreError::NotOurs { .. }) => {
                    eprintln!("cais-overlayd: {error}");
                    active.lost.push((block, error.to_string()));
                }
                // The next session asks again.
                Err(_) => drop(active.kept.remove(&block)),
            }
            let changed = before != active.lost.len();
            active.settled &= !changed;
            drop(all);
            if changed {
                daemon.want_round();
            }
        });
    }

    /// Begins to create a network that was asked for and is not there.
    pub(super) fn begin_creating(self: &Rc<Self>, name: &NetworkName, active: &mut Active) {
        let Some((network, number)) = active.create.clone() else { return };
        let paused = active.refused.as_ref().is_some_and(|(_, at)| at.elapsed() < PAUSE);
        if active.creating || paused {
            return;
        }
        active.creating = true;
        let (daemon, name, followed) =
            (Rc::clone(self), name.clone(), self.followed.borrow().clone());
        super::beside(async move {
            let Some(followed) = followed else { return };
            let created = followed.store.create_network(&network, number).await;
            let mut all = daemon.active.borrow_mut();
            let Some(active) = all.get_mut(&name) else { return };
            active.creating = false;
            active.settled = false;
            if let Err(error) = created {
                active.refused = Some((of_store(&error), Instant::now()));
            }
            drop(all);
            daemon.want_round();
        });
    }

    /// Whether another block of some family is to be had.
    pub(super) fn is_filling(&self, name: &NetworkName, active: &Active) -> bool {
        let Some(node) = &active.node else { return true };
        let families: Vec<Family> = node.pools.iter().map(|pool| pool.family()).collect();
        let blocks: Vec<_> = node.blocks.iter().map(|block| (block.cidr, block.state)).collect();
        !self.filling(name, &families, &blocks).is_empty()
    }

    /// Families of which most of the addresses are in use.
    pub(super) fn filling(
        &self,
        name: &NetworkName,
        families: &[Family],
        blocks: &[(Cidr, BlockState)],
    ) -> Vec<Family> {
        let leases = ipam_cni::network::store_below(&self.paths.lib, name);
        let Ok(held) = leases.held(&Host::current()) else { return Vec::new() };
        // Each container has one address of each family.
        let each = (held / families.len().max(1)) as u128;
        let is_filling = |family: &Family| {
            let of = blocks.iter().filter(|(cidr, _)| cidr.family() == *family);
            let usable = of.filter(|(_, state)| *state == BlockState::Active);
            let room: u128 = usable.map(|(cidr, _)| room(*cidr)).sum();
            room > 0 && each * 100 >= room * FULL
        };
        families.iter().copied().filter(is_filling).collect()
    }
}

/// How many containers a block has addresses for.
fn room(block: Cidr) -> u128 {
    let bits = u32::from(match block.family() {
        Family::V4 => 32 - block.prefix(),
        Family::V6 => 128 - block.prefix(),
    });
    // Its own, the gateway's and the last one are nobody's.
    1_u128.checked_shl(bits).unwrap_or(u128::MAX).saturating_sub(3)
}

/// As the plugin tells it.
pub(super) fn of_store(error: &StoreError) -> Error {
    let code = match error {
        StoreError::NoNetwork(_)
        | StoreError::BadNetwork { .. }
        | StoreError::NetworkDiffers { .. }
        | StoreError::PoolsOverlap { .. }
        | StoreError::VniTaken { .. }
        | StoreError::NoVni { .. } => code::INVALID_CONFIG,
        StoreError::DuplicateHost { .. } | StoreError::UnderlayTaken { .. } => code::NOT_AVAILABLE,
        _ => code::TRY_AGAIN,
    };
    let text = error.to_string();
    let (text, hint) = match text.split_once("\nhint: ") {
        Some((text, hint)) => (text, Some(hint)),
        None => (&*text, None),
    };
    Error::new(code, text).with_hint_if_any(hint)
}
