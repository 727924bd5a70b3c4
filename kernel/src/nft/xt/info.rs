//! What an extension keeps of its own (`xt_*.h`), byte by byte. Numbers are in the host's order
//! except the ports and addresses of DNAT. Each is padded to a multiple of eight (`XT_ALIGN`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use types::Family;

use super::{COMMENT_MAX_BYTES, Destination, MULTIPORT_MAX, Match, Target};

/// Name, revision and content of an extension.
pub(super) struct Extension {
    pub(super) name: &'static str,
    pub(super) revision: u32,
    pub(super) info: Vec<u8>,
}

/// `IP_CT_ESTABLISHED` and `IP_CT_RELATED` as bits of `XT_CONNTRACK_STATE_BIT`.
const ESTABLISHED_RELATED: u16 = 0b110;
/// `1 << RTN_LOCAL`
const LOCAL: u16 = 1 << libc::RTN_LOCAL;
/// `NF_NAT_RANGE_*`
const MAP_IPS: u32 = 1;
const PROTO_SPECIFIED: u32 = 2;
const PROTO_OFFSET: u32 = 1 << 5;
/// `XT_SCTP_DEST_PORTS`
const SCTP_DPORTS: u32 = 2;
const SCTP: u8 = libc::IPPROTO_SCTP as u8;
const UDP: u8 = libc::IPPROTO_UDP as u8;
const TCP: u8 = libc::IPPROTO_TCP as u8;

/// Where `xt_conntrack_mtinfo3` has `match_flags`, `invert_flags`, `state_mask`, `status_mask`.
const CT_FLAGS: usize = 146;
const CT_BYTES: usize = 168;
const SCTP_BYTES: usize = 296;
/// Where `xt_sctp_info` has four chunk types, of three bytes each, and then its flags.
const SCTP_CHUNKS: usize = 268;
const SCTP_FLAGS: usize = 284;

/// The extension that `one` is in a rule of the protocol; `None` for ports of one without any.
pub(super) fn of_match(one: &Match, protocol: Option<u8>) -> Option<Extension> {
    let (name, revision, info) = match one {
        Match::Comment(text) => ("comment", 0, comment(text)),
        Match::ToLocal => {
            let mut info = vec![0; 8];
            put(&mut info, 2, &LOCAL.to_ne_bytes());
            ("addrtype", 1, info)
        }
        Match::Known => {
            let mut info = vec![0; CT_BYTES];
            put(&mut info, CT_FLAGS, &1_u16.to_ne_bytes());
            put(&mut info, CT_FLAGS + 4, &ESTABLISHED_RELATED.to_ne_bytes());
            ("conntrack", 3, info)
        }
        Match::DestinationPorts(list) => ("multiport", 1, multiport(list)),
        Match::DestinationPort(first, last) => match protocol? {
            TCP => ("tcp", 0, dports(*first, *last)),
            UDP => ("udp", 0, dports(*first, *last)),
            SCTP => ("sctp", 0, sctp(*first, *last)),
            _ => return None,
        },
        Match::Mark(value, mask) => {
            let mut info = vec![0; 16];
            put(&mut info, 0, &value.to_ne_bytes());
            put(&mut info, 4, &mask.to_ne_bytes());
            ("mark", 1, info)
        }
    };
    Some(Extension { name, revision, info })
}

/// What `info` of a match means; `None` where it is nothing that a [`Match`] can say.
pub(super) fn to_match(
    name: &str,
    revision: u32,
    info: &[u8],
    protocol: Option<u8>,
) -> Option<Match> {
    let one = match (name, revision) {
        ("comment", 0) => {
            let end = info.iter().position(|&byte| byte == 0).unwrap_or(info.len());
            Match::Comment(String::from_utf8_lossy(&info[..end]).into_owned())
        }
        ("addrtype", 1) => Match::ToLocal,
        // Revision 2 is the same without the last ports of ranges.
        ("conntrack", 2 | 3) => Match::Known,
        ("multiport", 1) => Match::DestinationPorts(read_multiport(info)?),
        ("tcp" | "udp", 0) => Match::DestinationPort(u16_at(info, 4)?, u16_at(info, 6)?),
        ("sctp", 0) => Match::DestinationPort(u16_at(info, 0)?, u16_at(info, 2)?),
        ("mark", 1) => Match::Mark(u32_at(info, 0)?, u32_at(info, 4)?),
        _ => return None,
    };
    // Whatever else the extension can say, it must not say.
    same(&of_match(&one, protocol)?, name, info).then_some(one)
}

/// The extension that `target` is in a table of the family; `None` for a verdict.
pub(super) fn of_target(target: &Target, family: Family) -> Option<Extension> {
    let (name, revision, info) = match target {
        Target::Mark(value, mask) => {
            let mut info = vec![0; 8];
            put(&mut info, 0, &value.to_ne_bytes());
            put(&mut info, 4, &mask.to_ne_bytes());
            ("MARK", 2, info)
        }
        Target::Masquerade => match family {
            // `nf_nat_ipv4_multi_range_compat` of one range
            Family::V4 => {
                let mut info = vec![0; 24];
                put(&mut info, 0, &1_u32.to_ne_bytes());
                ("MASQUERADE", 0, info)
            }
            Family::V6 => ("MASQUERADE", 0, vec![0; 40]),
        },
        Target::Dnat(to) => ("DNAT", 2, dnat(to)),
        Target::Accept | Target::Drop | Target::Return | Target::Jump(_) => return None,
    };
    Some(Extension { name, revision, info })
}

/// What `info` of a target means; `None` where it is nothing that a [`Target`] can say.
pub(super) fn to_target(name: &str, revision: u32, info: &[u8], family: Family) -> Option<Target> {
    let target = match (name, revision) {
        ("MARK", 2) => Target::Mark(u32_at(info, 0)?, u32_at(info, 4)?),
        ("MASQUERADE", 0) => Target::Masquerade,
        ("DNAT", 2) => Target::Dnat(read_dnat(info, family)?),
        // `nf_nat_ipv4_multi_range_compat`, of iptables without base ports
        ("DNAT", 0) if family == Family::V4 => {
            let plain = u32_at(info, 0)? == 1 && u32_at(info, 4)? == MAP_IPS | PROTO_SPECIFIED;
            let ip = Ipv4Addr::from(*info.get(8..)?.first_chunk()?);
            let (first, last) = (port_at(info, 16)?, port_at(info, 18)?);
            let to = Destination { ip: ip.into(), first, last, base: None };
            return plain.then_some(Target::Dnat(to));
        }
        _ => return None,
    };
    same(&of_target(&target, family)?, name, info).then_some(target)
}

/// Whether a content that was read is the one that we would write.
fn same(ours: &Extension, name: &str, info: &[u8]) -> bool {
    let (shorter, longer) =
        if info.len() < ours.info.len() { (info, &*ours.info) } else { (&*ours.info, info) };
    let (head, rest) = longer.split_at(shorter.len());
    ours.name == name && head == shorter && rest.iter().all(|&byte| byte == 0)
}

fn comment(text: &str) -> Vec<u8> {
    let mut info = vec![0; COMMENT_MAX_BYTES + 1];
    let length = text.len().min(COMMENT_MAX_BYTES);
    put(&mut info, 0, &text.as_bytes()[..length]);
    info
}

/// `xt_multiport_v1`: flags, count, ports, which of them begin a range, inverted.
fn multiport(list: &[(u16, u16)]) -> Vec<u8> {
    const DESTINATION: u8 = 1;
    let mut info = vec![0; 48];
    let mut count = 0;
    for &(first, last) in list {
        let numbers: &[u16] = if first == last { &[first] } else { &[first, last] };
        if count + numbers.len() > MULTIPORT_MAX {
            break;
        }
        if first != last {
            info[32 + count] = 1;
        }
        for number in numbers {
            put(&mut info, 2 + 2 * count, &number.to_ne_bytes());
            count += 1;
        }
    }
    info[0] = DESTINATION;
    info[1] = count as u8;
    info
}

fn read_multiport(info: &[u8]) -> Option<Vec<(u16, u16)>> {
    let count = usize::from(*info.get(1)?);
    let mut list = Vec::new();
    let mut at = 0;
    while at < count {
        let first = u16_at(info, 2 + 2 * at)?;
        let ranged = *info.get(32 + at)? != 0;
        at += usize::from(ranged);
        list.push((first, u16_at(info, 2 + 2 * at)?));
        at += 1;
    }
    Some(list)
}

/// `xt_tcp` and `xt_udp`: source ports, destination ports.
fn dports(first: u16, last: u16) -> Vec<u8> {
    let mut info = vec![0; 16];
    put(&mut info, 2, &u16::MAX.to_ne_bytes());
    put(&mut info, 4, &first.to_ne_bytes());
    put(&mut info, 6, &last.to_ne_bytes());
    info
}

/// `xt_sctp_info`: destination ports, source ports, chunks.
fn sctp(first: u16, last: u16) -> Vec<u8> {
    let mut info = vec![0; SCTP_BYTES];
    put(&mut info, 0, &first.to_ne_bytes());
    put(&mut info, 2, &last.to_ne_bytes());
    for chunk in 0..4 {
        info[SCTP_CHUNKS + 3 * chunk] = 0xff; // of no type
    }
    put(&mut info, SCTP_FLAGS, &SCTP_DPORTS.to_ne_bytes());
    info
}

/// `nf_nat_range2`: flags, addresses from and to, ports from and to, base port.
fn dnat(to: &Destination) -> Vec<u8> {
    let mut info = vec![0; 48];
    let offset = if to.base.is_some() { PROTO_OFFSET } else { 0 };
    put(&mut info, 0, &(MAP_IPS | PROTO_SPECIFIED | offset).to_ne_bytes());
    for at in [4, 20] {
        match to.ip {
            IpAddr::V4(ip) => put(&mut info, at, &ip.octets()),
            IpAddr::V6(ip) => put(&mut info, at, &ip.octets()),
        }
    }
    put(&mut info, 36, &to.first.to_be_bytes());
    put(&mut info, 38, &to.last.to_be_bytes());
    put(&mut info, 40, &to.base.unwrap_or_default().to_be_bytes());
    info
}

fn read_dnat(info: &[u8], family: Family) -> Option<Destination> {
    let octets: [u8; 16] = *info.get(4..)?.first_chunk()?;
    let ip = match family {
        Family::V4 => Ipv4Addr::from(*octets.first_chunk::<4>()?).into(),
        Family::V6 => Ipv6Addr::from(octets).into(),
    };
    let base = (u32_at(info, 0)? & PROTO_OFFSET != 0).then(|| port_at(info, 40)).flatten();
    Some(Destination { ip, first: port_at(info, 36)?, last: port_at(info, 38)?, base })
}

fn put(info: &mut [u8], at: usize, value: &[u8]) {
    info[at..at + value.len()].copy_from_slice(value);
}

fn u16_at(info: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*info.get(at..)?.first_chunk()?))
}

fn u32_at(info: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*info.get(at..)?.first_chunk()?))
}

fn port_at(info: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*info.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is() {
        let matches = [
            (Match::Comment("dnat name: \"n\" id: \"i\"".into()), None),
            (Match::ToLocal, None),
            (Match::Known, None),
            (Match::DestinationPorts(vec![(80, 80), (1000, 1999), (443, 443)]), Some(6)),
            (Match::DestinationPort(8080, 8080), Some(6)),
            (Match::DestinationPort(53, 54), Some(17)),
            (Match::DestinationPort(9, 9), Some(132)),
            (Match::Mark(0x2000, 0x2000), None),
        ];
        for (one, protocol) in matches {
            let found = of_match(&one, protocol).unwrap();
            let read = |info: &[u8]| to_match(found.name, found.revision, info, protocol);
            assert_eq!(read(&found.info), Some(one.clone()));
            assert_eq!(found.info.len() % 8, 0, "{one:?}");
            for end in 0..found.info.len() {
                let _ = read(&found.info[..end]); // no panic
            }
            if !matches!(one, Match::Comment(_)) {
                for at in 0..found.info.len() {
                    let mut other = found.info.clone();
                    other[at] ^= 1;
                    assert_ne!(read(&other), Some(one.clone()), "byte {at} of {one:?}");
                }
            }
        }
    }

    #[test]
    fn targets_are_read_back_in_both_families() {
        for (family, ip) in [(Family::V4, "10.1.0.2"), (Family::V6, "fd00::2")] {
            let ip = ip.parse().unwrap();
            for target in [
                Target::Mark(0x2000, 0x2000),
                Target::Masquerade,
                Target::Dnat(Destination { ip, first: 80, last: 80, base: None }),
                Target::Dnat(Destination { ip, first: 80, last: 99, base: Some(1000) }),
            ] {
                let found = of_target(&target, family).unwrap();
                let read = to_target(found.name, found.revision, &found.info, family);
                assert_eq!(read, Some(target));
            }
        }
    }
}
