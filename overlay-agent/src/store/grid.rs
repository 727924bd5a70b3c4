//! How pools are cut into blocks, and in which order a host tries them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use peers::{HostId, Network};
use sha2::{Digest, Sha256};
use types::Cidr;

use super::chance;

/// Blocks that are not free, as far as we know; they may lie within each other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken {
    /// By first address.
    blocks: BTreeSet<(IpAddr, u8)>,
    /// The prefix lengths there are.
    lengths: BTreeSet<u8>,
}

impl Taken {
    pub(crate) fn insert(&mut self, block: Cidr) {
        self.blocks.insert((block.network().ip(), block.prefix()));
        self.lengths.insert(block.prefix());
    }

    /// One that has addresses of `block`.
    pub(crate) fn overlapping(&self, block: Cidr) -> Option<Cidr> {
        // One that is within the block begins within it …
        let within = self.blocks.range((block.ip(), 0)..=(block.last(), u8::MAX)).next();
        if let Some((ip, prefix)) = within {
            return Cidr::new(*ip, *prefix);
        }
        // … and one around it is its own network of another length.
        let shorter = self.lengths.iter().take_while(|length| **length < block.prefix());
        shorter
            .filter_map(|length| Cidr::new(block.ip(), *length))
            .map(Cidr::network)
            .find(|around| self.blocks.contains(&(around.ip(), around.prefix())))
    }

    pub(crate) fn count(&self, pools: &[Cidr]) -> usize {
        let within = |ip: &IpAddr| pools.iter().any(|pool| pool.contains(*ip));
        self.blocks.iter().filter(|(ip, _)| within(ip)).count()
    }
}

/// The blocks that a pool is cut into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pool: Cidr,
    length: u8,
    /// How many, a power of two.
    count: u64,
}

impl Grid {
    /// `None` for a pool that is smaller than a block.
    pub(crate) fn new(pool: Cidr, length: u8) -> Option<Self> {
        let bits = length.checked_sub(pool.prefix())?;
        // What is beyond could never be reached by counting.
        Some(Self { pool: pool.network(), length, count: 1 << bits.min(62) })
    }

    fn block(&self, index: u64) -> Option<Cidr> {
        let family = self.pool.family();
        let offset = u128::from(index).checked_shl(u32::from(family.bits() - self.length))?;
        let ip = match self.pool.ip() {
            IpAddr::V4(ip) => {
                let offset = u32::try_from(offset).ok()?;
                IpAddr::V4(Ipv4Addr::from(u32::from(ip).checked_add(offset)?))
            }
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from(u128::from(ip).checked_add(offset)?)),
        };
        Cidr::new(ip, self.length)
    }

    /// The index of the first block behind `other`.
    fn behind(&self, other: Cidr) -> u64 {
        let number = |ip| match ip {
            IpAddr::V4(ip) => u128::from(u32::from(ip)),
            IpAddr::V6(ip) => u128::from(ip),
        };
        let last = number(other.last()).saturating_sub(number(self.pool.ip()));
        let index = last >> u32::from(self.pool.family().bits() - self.length);
        u64::try_from(index).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// All blocks in the order in which `id` tries them: hosts begin at different places, and those
    /// that meet go on in different strides. Each comes once, for a stride is odd.
    pub(crate) fn walk(self, id: &HostId, network: &Network) -> impl Iterator<Item = Cidr> {
        let digest = Sha256::digest(format!("{id}|{}", network.name).as_bytes());
        let word = |at: usize| {
            let bytes = digest[at..at + 8].first_chunk().expect("eight bytes were cut out");
            u64::from_be_bytes(*bytes)
        };
        let (start, stride) = (word(0), word(8) | 1);
        (0..self.count).filter_map(move |step| {
            let index = start.wrapping_add(step.wrapping_mul(stride)) & (self.count - 1);
            self.block(index)
        })
    }

    /// A free block, searched from a place chosen at random.
    pub(crate) fn free(&self, taken: &Taken, reserved: &Taken) -> Option<Cidr> {
        let start = chance::below(self.count);
        let search = |mut index: u64, end: u64| {
            while index < end {
                let block = self.block(index)?;
                match taken.overlapping(block).or_else(|| reserved.overlapping(block)) {
                    None => return Some(block),
                    Some(other) => index = self.behind(other).max(index + 1),
                }
            }
            None
        };
        search(start, self.count).or_else(|| search(0, start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn network(pools: &[&str]) -> Network {
        let pools = pools.iter().map(|pool| cidr(pool)).collect();
        Network::new("blue".parse().unwrap(), 4103.try_into().unwrap(), pools)
    }

    #[test]
    fn a_walk_meets_every_block_once() {
        let network = network(&["10.77.0.0/16"]);
        let grid = Grid::new(network.pools[0], 24).unwrap();
        let id: HostId = "7f3c".parse().unwrap();
        let met: BTreeSet<IpAddr> = grid.walk(&id, &network).map(Cidr::ip).collect();
        assert_eq!(met.len(), 256);
        assert!(met.iter().all(|ip| network.pools[0].contains(*ip)));
    }

    #[test]
    fn hosts_begin_at_different_places() {
        let network = network(&["10.77.0.0/16"]);
        let grid = Grid::new(network.pools[0], 24).unwrap();
        let first = |number: u32| {
            let id: HostId = format!("host-{number}").parse().unwrap();
            grid.walk(&id, &network).next().unwrap().ip()
        };
        let places: BTreeSet<IpAddr> = (0..50).map(first).collect();
        assert!(places.len() > 35, "{} places for 50 hosts", places.len());
    }

    #[test]
    fn the_pools_of_ipv6_are_cut_as_well() {
        let grid = Grid::new(cidr("fd77::/48"), 64).unwrap();
        assert_eq!(grid.count, 65536);
        assert_eq!(grid.block(4), Some(cidr("fd77:0:0:4::/64")));
        assert_eq!(Grid::new(cidr("fd00::/8"), 126).unwrap().count, 1 << 62);
        assert!(Grid::new(cidr("fd77::/64"), 48).is_none());
    }

    #[test]
    fn a_search_steps_over_what_is_reserved_and_what_is_taken() {
        let grid = Grid::new(cidr("10.77.0.0/22"), 24).unwrap();
        let (mut taken, mut reserved) = (Taken::default(), Taken::default());
        reserved.insert(cidr("10.77.0.0/23"));
        taken.insert(cidr("10.77.3.128/32"));
        assert_eq!(grid.free(&taken, &reserved), Some(cidr("10.77.2.0/24")));
        taken.insert(cidr("10.77.2.0/24"));
        assert_eq!(grid.free(&taken, &reserved), None);
    }
}
