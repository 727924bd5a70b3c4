//! Picking a subnet that nothing of this host overlaps.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use attach::error::refused;
use cni::{Error, code, state};
use kernel::netlink::Socket;
use kernel::route::{self, Filter};
use types::{Cidr, Family, NetworkName, parse_ip, stable_hash};

use crate::subnets::Pool;

/// Largest resolv.conf(5) that is read, in bytes.
const RESOLV_CONF_MAX: u64 = 1 << 20;

/// A /64 of IPv6 is what hosts expect.
const V6_SIZE: u8 = 64;

/// What is taken, and where to look.
#[derive(Debug)]
pub(crate) struct Picker<'a> {
    pools: &'a [Pool],
    taken: Vec<Cidr>,
}

impl<'a> Picker<'a> {
    /// Looks what is taken: by `others`, by routes of `host`, and by its name servers, which may be
    /// behind its default route.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub(crate) fn new(
        host: &Socket,
        pools: &'a [Pool],
        others: &[(Cidr, String)],
    ) -> Result<Self, Error> {
        let mut taken: Vec<Cidr> = others.iter().map(|(subnet, _)| *subnet).collect();
        let routes = route::list(host, Filter::default()).map_err(|e| refused(&e))?;
        taken.extend(routes.iter().map(|route| route.dst).filter(|dst| !dst.is_default()));
        taken.extend(name_servers(&state::root().join("etc/resolv.conf")));
        Ok(Self { pools, taken })
    }

    /// What is not to be overlapped either.
    pub(crate) fn avoid(&mut self, subnet: Cidr) {
        self.taken.push(subnet);
    }

    /// A free subnet, of `size` bits where the pool's size is not to hold.
    ///
    /// # Errors
    /// Code 11 where there is none.
    pub(crate) fn pick(
        &self,
        name: &NetworkName,
        family: Family,
        size: Option<u8>,
    ) -> Result<Cidr, Error> {
        let of_family: Vec<Pool> =
            self.pools.iter().filter(|pool| pool.base.family() == family).copied().collect();
        let found = match of_family.is_empty() && family == Family::V6 {
            true => self.unique_local(name, size.unwrap_or(V6_SIZE)),
            false => of_family.iter().find_map(|pool| {
                let size = size.unwrap_or(pool.size);
                (size >= pool.base.prefix()).then(|| self.free_in(pool.base, size)).flatten()
            }),
        };
        found.ok_or_else(|| {
            let text = format!(
                "pick a subnet of {family} for network {name}: all predefined address pools have \
                 been fully subnetted"
            );
            Error::new(code::TRY_AGAIN, text).with_hint(
                "give \"subnet\" or more \"defaultPools\"; files of networks that are no more may \
                 be removed from /var/lib/cni/cais/networks",
            )
        })
    }

    /// The first free piece of `base`. What is taken is skipped as a whole, so that the number of
    /// steps is that of what is taken.
    fn free_in(&self, base: Cidr, size: u8) -> Option<Cidr> {
        let (bits, last) = (base.family().bits(), number(base.last()));
        let step = 1_u128.checked_shl(u32::from(bits - size))?;
        let mut at = number(base.ip());
        loop {
            let subnet = Cidr::new(address(base.family(), at), size)?;
            let Some(other) = self.taken.iter().find(|other| other.overlaps(subnet)) else {
                return Some(subnet);
            };
            let end = number(other.last()).max(number(subnet.last()));
            // The next piece that begins behind it.
            let next = (end / step).checked_add(1)?.checked_mul(step)?;
            if next > last {
                return None;
            }
            at = next;
        }
    }

    /// A subnet of fd00::/8 that follows from the host and the network's name.
    fn unique_local(&self, name: &NetworkName, size: u8) -> Option<Cidr> {
        let host = host_id();
        (0..1000_u32).find_map(|attempt| {
            let digest = stable_hash(&format!("{host}\0{name}\0{attempt}"));
            let [_, seven @ ..] = digest.to_be_bytes();
            let mut octets = [0; 16];
            octets[0] = 0xfd;
            octets[1..8].copy_from_slice(&seven);
            let subnet = Cidr::new(Ipv6Addr::from(octets).into(), size)?.network();
            self.taken.iter().all(|other| !other.overlaps(subnet)).then_some(subnet)
        })
    }
}

/// What tells this host from others; a random text where nothing does.
fn host_id() -> String {
    let file = state::root().join("etc/machine-id");
    match std::fs::read_to_string(file) {
        Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => format!("{:016x}", RandomState::new().hash_one(std::process::id())),
    }
}

/// The addresses in lines `nameserver` of resolv.conf(5); none where it cannot be read.
fn name_servers(file: &Path) -> Vec<Cidr> {
    let mut text = Vec::new();
    // A pipe would keep us waiting.
    let is_file = std::fs::metadata(file).is_ok_and(|meta| meta.is_file());
    let opened = is_file.then(|| File::open(file).ok()).flatten();
    if let Some(opened) = opened {
        let _ = opened.take(RESOLV_CONF_MAX).read_to_end(&mut text);
    }
    let text = String::from_utf8_lossy(&text);
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()).flatten()
    });
    servers.filter_map(parse_ip).map(Cidr::host).collect()
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

/// Of IPv4 the low 32 bits count.
fn address(family: Family, number: u128) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(((number & u128::from(u32::MAX)) as u32).into()),
        Family::V6 => IpAddr::V6(number.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn picked(pools: &[(&str, u8)], taken: &[&str], size: Option<u8>) -> Option<String> {
        let pools: Vec<Pool> =
            pools.iter().map(|(base, size)| Pool { base: cidr(base), size: *size }).collect();
        let taken = taken.iter().map(|text| cidr(text)).collect();
        let family = pools[0].base.family();
        let picker = Picker { pools: &pools, taken };
        picker.pick(&"web".parse().unwrap(), family, size).ok().map(|subnet| subnet.to_string())
    }

    #[test]
    fn the_first_piece_that_nothing_overlaps_is_picked() {
        let pools = [("10.0.0.0/14", 16), ("10.9.0.0/16", 24)];
        let cases: [(&[&str], Option<u8>, Option<&str>); 7] = [
            (&[], None, Some("10.0.0.0/16")),
            (&["10.0.5.0/24", "10.1.0.1/32"], None, Some("10.2.0.0/16")),
            (&["10.0.0.0/15", "10.2.255.255/32"], None, Some("10.3.0.0/16")),
            (&["10.0.0.0/14"], None, Some("10.9.0.0/24")),
            (&["10.0.0.0/14", "10.9.0.0/17"], None, Some("10.9.128.0/24")),
            (&["10.0.0.0/8"], None, None),
            (&["10.0.0.0/25"], Some(26), Some("10.0.0.128/26")),
        ];
        for (taken, size, expected) in cases {
            assert_eq!(picked(&pools, taken, size).as_deref(), expected, "{taken:?}");
        }
    }

    #[test]
    fn the_last_piece_of_all_addresses_is_one_as_well() {
        let taken = ["255.255.0.0/17"];
        assert_eq!(
            picked(&[("255.255.0.0/16", 17)], &taken, None).as_deref(),
            Some("255.255.128.0/17")
        );
        assert_eq!(picked(&[("255.255.0.0/16", 17)], &["255.255.0.0/16"], None), None);
        let all = ["ff00::/8"];
        assert_eq!(picked(&[("ff00::/8", 64)], &all, None), None);
    }

    #[test]
    fn a_network_has_an_ipv6_subnet_of_its_own_that_follows_from_its_name() {
        let picker = Picker { pools: &[], taken: Vec::new() };
        let pick = |name: &str| picker.unique_local(&name.parse().unwrap(), 64).unwrap();
        assert!(cidr("fd00::/8").contains(pick("a").ip()));
        assert_ne!(pick("a"), pick("b"));
    }
}
