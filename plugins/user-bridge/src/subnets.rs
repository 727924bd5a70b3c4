//! The subnets that a network is to have: given, or to be picked.

use std::net::{IpAddr, Ipv4Addr};

use cni::json::{Object, Value};
use cni::{Error, code};
use ipam::{Range, RangeSpec, Span};
use types::{Cidr, Family};

use crate::given::Given;

/// One subnet as the configuration has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub place: Place,
    /// The bridge's address in it; `None`: the first.
    pub gateway: Option<IpAddr>,
    /// Addresses that are handed out unasked; `None`: all.
    pub ip_range: Option<Span>,
}

/// Which subnet it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// This one.
    Given(Cidr),
    /// One that is picked: of a family, and of a size where that is not the pool's.
    Picked(Family, Option<u8>),
}

/// Where subnets are picked from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Network that is cut up.
    pub base: Cidr,
    /// Prefix length of the pieces.
    pub size: u8,
}

impl Place {
    /// The family of its addresses.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::Given(subnet) => subnet.family(),
            Self::Picked(family, _) => family,
        }
    }
}

/// Reads the subnets: the single one, those of the list, and one to pick of each family that is
/// wanted and has none.
///
/// # Errors
/// Codes 6 and 7, the key named.
pub(crate) fn read(given: &Given<'_>) -> Result<Vec<Wanted>, Error> {
    let mut wanted = Vec::new();
    wanted.extend(one(&given.keys)?);
    for element in given.keys.list("subnets")? {
        wanted.push(element_of_list(&element)?);
    }
    for (key, family, usual) in [("ipv6", Family::V6, false), ("ipv4", Family::V4, true)] {
        let has = wanted.iter().any(|wanted| wanted.place.family() == family);
        match given.flag(key)? {
            Some(false) if has => {
                let text = format!("key \"{key}\": it is false, and there is a subnet of {family}");
                return Err(
                    Error::new(code::INVALID_CONFIG, text).with_hint("leave one of them out")
                );
            }
            asked if !has && asked.unwrap_or(usual) => {
                let place = Place::Picked(family, None);
                let place = Wanted { place, gateway: None, ip_range: None };
                // Results have IPv4 first, as everybody expects.
                match family {
                    Family::V4 => wanted.insert(0, place),
                    Family::V6 => wanted.push(place),
                }
            }
            _ => {}
        }
    }
    if wanted.is_empty() {
        return Err(Error::new(code::INVALID_CONFIG, "key \"ipv4\": the network has no addresses")
            .with_hint("set \"ipv6\" to true, or leave \"ipv4\" out"));
    }
    refuse_overlaps(&wanted)?;
    Ok(wanted)
}

fn element_of_list(element: &Value<'_>) -> Result<Wanted, Error> {
    one(&element.object()?)?.ok_or_else(|| element.invalid("it needs a subnet"))
}

fn one(keys: &Object<'_>) -> Result<Option<Wanted>, Error> {
    // All of them are read: a wrong one is an error also where nothing needs it.
    let (subnet, gateway) = (keys.parsed::<Cidr>("subnet")?, keys.ip("gateway")?);
    let ip_range = keys.parsed::<Span>("ipRange")?;
    let Some(subnet) = subnet else {
        let needy = [("gateway", gateway.is_some()), ("ipRange", ip_range.is_some())];
        return match needy.into_iter().find(|(_, given)| *given) {
            None => Ok(None),
            Some((key, _)) => Err(invalid(keys, key, "it needs a subnet")
                .with_hint("a subnet that is picked has its first address as gateway")),
        };
    };
    let place = place(keys, subnet)?;
    if let Some(gateway) = gateway {
        let fits = match place {
            Place::Given(subnet) => is_usable(subnet, gateway),
            Place::Picked(..) => false,
        };
        if !fits {
            let why = format!("{gateway} is no address for a gateway in {subnet}");
            return Err(invalid(keys, "gateway", &why));
        }
    }
    if let Some(range) = ip_range {
        let within = |subnet: Cidr| subnet.contains(range.first()) && subnet.contains(range.last());
        if !matches!(place, Place::Given(subnet) if within(subnet)) {
            return Err(invalid(keys, "ipRange", &format!("{range} is not within {subnet}")));
        }
    }
    Ok(Some(Wanted { place, gateway, ip_range }))
}

/// Whether `address` may be a host's in `subnet`.
fn is_usable(subnet: Cidr, address: IpAddr) -> bool {
    subnet.contains(address)
        && address != subnet.ip()
        && subnet.broadcast().is_none_or(|last| IpAddr::V4(last) != address)
}

fn place(keys: &Object<'_>, subnet: Cidr) -> Result<Place, Error> {
    if subnet.ip().is_unspecified() && subnet.prefix() > 0 {
        let family = subnet.family();
        if subnet.prefix() + 2 > family.bits() {
            return Err(invalid(keys, "subnet", &format!("{subnet} has no room for containers")));
        }
        return Ok(Place::Picked(family, Some(subnet.prefix())));
    }
    let spec = RangeSpec { subnet, start: None, end: None, gateway: None };
    Range::new(spec).map_err(|why| invalid(keys, "subnet", &why.to_string()))?;
    let nobodys = ["127.0.0.0/8", "224.0.0.0/3", "fe80::/10", "ff00::/8", "::/8"];
    let nobodys = nobodys.iter().filter_map(|text| text.parse::<Cidr>().ok());
    match nobodys.into_iter().find(|other| other.overlaps(subnet)) {
        None => Ok(Place::Given(subnet)),
        Some(other) => {
            let why = format!("{subnet} overlaps {other}, which no container can have");
            Err(invalid(keys, "subnet", &why))
        }
    }
}

fn refuse_overlaps(wanted: &[Wanted]) -> Result<(), Error> {
    let mut seen: Vec<Cidr> = Vec::new();
    for wanted in wanted {
        let Place::Given(subnet) = wanted.place else { continue };
        if let Some(other) = seen.iter().find(|other| other.overlaps(subnet)) {
            let text = format!("key \"subnets\": {subnet} overlaps {other}");
            return Err(Error::new(code::INVALID_CONFIG, text).with_hint("leave one of them out"));
        }
        seen.push(subnet);
    }
    Ok(())
}

fn invalid(keys: &Object<'_>, key: &str, why: &str) -> Error {
    let path = match keys.path() {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    Error::new(code::INVALID_CONFIG, format!("key \"{path}\": {why}"))
}

/// Reads `defaultPools`; without them the usual ones.
///
/// # Errors
/// Codes 6 and 7, the key named.
pub(crate) fn pools(keys: &Object<'_>) -> Result<Vec<Pool>, Error> {
    let mut pools = Vec::new();
    for element in keys.list("defaultPools")? {
        let pool = element.object()?;
        let base: Option<Cidr> = pool.parsed("base")?;
        let size = pool.integer("size", 1..=126)?.and_then(|size| u8::try_from(size).ok());
        let (Some(base), Some(size)) = (base, size) else {
            return Err(element.invalid("a pool needs a base and a size"));
        };
        if base != base.network() {
            return Err(invalid(
                &pool,
                "base",
                &format!("{base} is {} written so", base.network()),
            ));
        }
        if size < base.prefix() || size + 2 > base.family().bits() {
            let why = format!("{size} is outside {}..{}", base.prefix(), base.family().bits() - 2);
            return Err(invalid(&pool, "size", &why));
        }
        pools.push(Pool { base, size });
    }
    if pools.is_empty() {
        return Ok(usual_pools());
    }
    Ok(pools)
}

/// Docker's for IPv4, without the one of its default bridge, then Podman's.
fn usual_pools() -> Vec<Pool> {
    let of = |[a, b]: [u8; 2], prefix, size| Pool {
        base: Cidr::new(Ipv4Addr::new(a, b, 0, 0).into(), prefix).expect("at most 32 bits"),
        size,
    };
    vec![
        of([172, 18], 16, 16),
        of([172, 19], 16, 16),
        of([172, 20], 14, 16),
        of([172, 24], 14, 16),
        of([172, 28], 14, 16),
        of([192, 168], 16, 20),
        of([10, 89], 16, 24),
        of([10, 90], 15, 24),
        of([10, 92], 14, 24),
        of([10, 96], 11, 24),
        of([10, 128], 9, 24),
    ]
}
