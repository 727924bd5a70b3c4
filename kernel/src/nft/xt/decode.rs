//! From the expressions of a rule to the rule-specification that iptables would show for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use types::{Cidr, Family};

use super::{Match, Not, Spec, Target, info, link, net};
use crate::netlink::attributes::{Attribute, Attributes};
use crate::nft::FoundRule;
use crate::nft::element::{NFTA_DATA_VALUE, NFTA_DATA_VERDICT};

impl Spec {
    /// What iptables would show for a rule of a table of `family`; `None` where it says something
    /// that a [`Spec`] cannot.
    #[must_use]
    pub fn of(rule: &FoundRule, family: Family) -> Option<Self> {
        let mut reader = Reader::new(family);
        for expression in Attributes::after(0, &rule.expressions) {
            reader.take(expression)?;
        }
        let mut spec = reader.spec;
        spec.target = reader.target?;
        Some(spec)
    }
}

/// What the register holds.
enum Loaded {
    /// `NFT_META_*`
    Meta(u32),
    /// Base, offset, length.
    Payload(u32, u32, u32),
}

struct Reader {
    family: Family,
    spec: Spec,
    target: Option<Target>,
    loaded: Option<Loaded>,
    mask: Option<Vec<u8>>,
}

/// `NFT_META_*`
const MARK: u32 = 3;
const IIFNAME: u32 = 6;
const OIFNAME: u32 = 7;
const L4PROTO: u32 = 16;
/// `NFT_PAYLOAD_*`
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;

impl Reader {
    fn new(family: Family) -> Self {
        let spec = Spec::new(Target::Accept);
        Self { family, spec, target: None, loaded: None, mask: None }
    }

    /// Takes one expression; `None` where it is beyond a [`Spec`].
    fn take(&mut self, expression: Attribute<'_>) -> Option<()> {
        if self.target.is_some() {
            return None; // nothing runs after it
        }
        let part = |number| expression.nested().find(move |a| a.kind == number);
        let name = part(1)?.text();
        let data = |number| part(2)?.nested().find(move |a| a.kind == number);
        let number = |kind| data(kind)?.u32_be();
        let value = |kind| Some(data(kind)?.nested().find(|a| a.kind == NFTA_DATA_VALUE)?.value);
        match name.as_str() {
            "counter" => {}
            "meta" => self.load(Loaded::Meta(number(2)?)),
            "payload" => self.load(Loaded::Payload(number(2)?, number(3)?, number(4)?)),
            "bitwise" => {
                if value(5)?.iter().any(|&byte| byte != 0) {
                    return None;
                }
                self.mask = Some(value(4)?.to_vec());
            }
            "cmp" => {
                let inverted = match number(2)? {
                    0 => false,
                    1 => true,
                    _ => return None,
                };
                self.compare(inverted, value(3)?)?;
            }
            "range" if number(2)? == 0 => self.range(value(3)?, value(4)?)?,
            "match" => {
                let protocol = self.protocol();
                let one = info::to_match(&data(1)?.text(), number(2)?, data(3)?.value, protocol)?;
                self.spec.matches.push(one);
            }
            "target" => {
                let name = data(1)?.text();
                let family = self.family;
                self.target = Some(info::to_target(&name, number(2)?, data(3)?.value, family)?);
            }
            "immediate" => self.target = Some(verdict(data(2)?)?),
            _ => return None,
        }
        Some(())
    }

    fn load(&mut self, what: Loaded) {
        self.loaded = Some(what);
        self.mask = None;
    }

    fn protocol(&self) -> Option<u8> {
        self.spec.protocol.as_ref().filter(|one| !one.inverted).map(|one| one.value)
    }

    fn compare(&mut self, inverted: bool, value: &[u8]) -> Option<()> {
        let mask = self.mask.take();
        let source = match self.family {
            Family::V4 => 12,
            Family::V6 => 8,
        };
        let destination = source + u32::from(self.family.bits() / 8);
        let next_header = match self.family {
            Family::V4 => 9,
            Family::V6 => 6,
        };
        match *self.loaded.as_ref()? {
            Loaded::Meta(IIFNAME) => self.spec.iif = link(&ifname(value)?, inverted),
            Loaded::Meta(OIFNAME) => self.spec.oif = link(&ifname(value)?, inverted),
            Loaded::Meta(L4PROTO) => self.set_protocol(*value.first()?, inverted),
            Loaded::Meta(MARK) if !inverted => {
                let number = |bytes: &[u8]| Some(u32::from_ne_bytes(bytes.try_into().ok()?));
                let mask = mask.map_or(Some(u32::MAX), |mask| number(&mask))?;
                self.spec.matches.push(Match::Mark(number(value)?, mask));
            }
            // Versions before 1.8.3 looked at the header's own field.
            Loaded::Payload(NETWORK, at, 1) if at == next_header => {
                self.set_protocol(*value.first()?, inverted);
            }
            Loaded::Payload(NETWORK, at, _) if at == source => {
                self.spec.source = net(self.network(value, mask.as_deref())?, inverted);
            }
            Loaded::Payload(NETWORK, at, _) if at == destination => {
                self.spec.destination = net(self.network(value, mask.as_deref())?, inverted);
            }
            Loaded::Payload(TRANSPORT, 2, 2) if !inverted => self.range(value, value)?,
            _ => return None,
        }
        Some(())
    }

    fn set_protocol(&mut self, value: u8, inverted: bool) {
        self.spec.protocol = Some(Not { inverted, value });
    }

    /// A destination port between two, both included.
    fn range(&mut self, first: &[u8], last: &[u8]) -> Option<()> {
        self.protocol()?;
        let Loaded::Payload(TRANSPORT, 2, 2) = self.loaded.as_ref()? else { return None };
        let port = |bytes: &[u8]| Some(u16::from_be_bytes(bytes.try_into().ok()?));
        self.spec.matches.push(Match::DestinationPort(port(first)?, port(last)?));
        Some(())
    }

    /// A network whose prefix is either the length of `value` or what `mask` says.
    fn network(&self, value: &[u8], mask: Option<&[u8]>) -> Option<Cidr> {
        let prefix = match mask {
            None => value.len() as u32 * 8,
            Some(mask) => {
                let ones = mask.iter().map(|byte| byte.count_ones()).sum::<u32>();
                let zeros = mask.iter().rev().map(|byte| byte.trailing_zeros());
                let trailing = run(zeros);
                if ones + trailing != mask.len() as u32 * 8 {
                    return None; // not a prefix
                }
                ones
            }
        };
        let mut octets = [0; 16];
        octets.get_mut(..value.len())?.copy_from_slice(value);
        let ip: IpAddr = match self.family {
            Family::V4 => Ipv4Addr::from(*octets.first_chunk::<4>()?).into(),
            Family::V6 => Ipv6Addr::from(octets).into(),
        };
        Cidr::new(ip, prefix.try_into().ok()?)
    }
}

/// The sum of counts up to the first byte that is not zero throughout.
fn run(zeros: impl Iterator<Item = u32>) -> u32 {
    let mut sum = 0;
    for count in zeros {
        sum += count;
        if count < 8 {
            break;
        }
    }
    sum
}

/// A name with its NUL, or the beginning of one.
fn ifname(value: &[u8]) -> Option<String> {
    let end = value.iter().position(|&byte| byte == 0);
    let text = std::str::from_utf8(&value[..end.unwrap_or(value.len())]).ok()?;
    Some(if end.is_some() || value.len() >= 16 { text.to_owned() } else { format!("{text}+") })
}

/// `NFT_DATA_VERDICT` as a target.
fn verdict(data: Attribute<'_>) -> Option<Target> {
    let verdict = data.nested().find(|a| a.kind == NFTA_DATA_VERDICT)?;
    let part = |number| verdict.nested().find(move |a| a.kind == number);
    Some(match part(1)?.u32_be()?.cast_signed() {
        0 => Target::Drop,
        1 => Target::Accept,
        -3 => Target::Jump(part(2)?.text()),
        -5 => Target::Return,
        _ => return None,
    })
}
