//! The table: sets that hold everything, and a constant number of rules that read them.

use kernel::nft::{
    BaseChain, Batch, Element, Field, Hook, Key, Kind, Meta, Op, Payload, Reg, Rule, Set, Table,
    TypeOf, Verdict,
};
use types::Family;

/// Where it all is.
pub const TABLE: Table = Table::inet("cais-overlay");

/// Its presence says which layout the table has.
pub(super) const LAYOUT: Set = Set::new("layout_1", &[Field::Mark]);
/// Port and number of networks whose packets are looked at; others on the port are not ours.
pub(super) const NETWORKS: Set =
    Set::new("networks", &[Field::Port, VNI]).type_of(&[TypeOf::UdpDport, OF_VNI]);
/// Their ports.
pub(super) const PORTS: Set = Set::new("ports", &[Field::Port]);
/// Bridges and devices.
pub(super) const LINKS: Set = Set::new("links", &[Field::IfName]);

/// Who may send addresses of which block: number, underlay address, address.
const SENDERS: [Set; 4] = [
    Set::new("senders44", &[VNI, Field::Ipv4, Field::Number(4)]).of_ranges().type_of(&[
        OF_VNI,
        TypeOf::IpSaddr,
        OF_IP_SADDR,
    ]),
    Set::new("senders46", &[VNI, Field::Ipv4, Field::Number(16)]).of_ranges().type_of(&[
        OF_VNI,
        TypeOf::IpSaddr,
        OF_IP6_SADDR,
    ]),
    Set::new("senders64", &[VNI, Field::Ipv6, Field::Number(4)]).of_ranges().type_of(&[
        OF_VNI,
        TypeOf::Ip6Saddr,
        OF_IP_SADDR,
    ]),
    Set::new("senders66", &[VNI, Field::Ipv6, Field::Number(16)]).of_ranges().type_of(&[
        OF_VNI,
        TypeOf::Ip6Saddr,
        OF_IP6_SADDR,
    ]),
];
/// Underlay addresses of peers, with port and number of their network.
const HOSTS: [Set; 2] = [
    Set::new("hosts4", &[Field::Ipv4, Field::Port, VNI]).type_of(&[
        TypeOf::IpDaddr,
        TypeOf::UdpDport,
        OF_VNI,
    ]),
    Set::new("hosts6", &[Field::Ipv6, Field::Port, VNI]).type_of(&[
        TypeOf::Ip6Daddr,
        TypeOf::UdpDport,
        OF_VNI,
    ]),
];
/// Gateways with the links that may reach them.
const OWN_GATEWAYS: [Set; 2] = [
    Set::new("own_gateways4", &[Field::IfName, Field::Ipv4]),
    Set::new("own_gateways6", &[Field::IfName, Field::Ipv6]),
];
/// All gateways.
const GATEWAYS: [Set; 2] =
    [Set::new("gateways4", &[Field::Ipv4]), Set::new("gateways6", &[Field::Ipv6])];

/// A network's number.
const VNI: Field = Field::Number(3);
const OF_VNI: TypeOf = TypeOf::Transport { offset: 96, bits: 24 };
const OF_IP_SADDR: TypeOf = TypeOf::Transport { offset: 336, bits: 32 };
const OF_IP6_SADDR: TypeOf = TypeOf::Transport { offset: 304, bits: 128 };

fn place(family: Family) -> usize {
    match family {
        Family::V4 => 0,
        Family::V6 => 1,
    }
}

pub(super) fn senders(underlay: Family, within: Family) -> &'static Set {
    const ALL: &[Set; 4] = &SENDERS;
    &ALL[2 * place(underlay) + place(within)]
}

pub(super) fn hosts(family: Family) -> &'static Set {
    const ALL: &[Set; 2] = &HOSTS;
    &ALL[place(family)]
}

pub(super) fn own_gateways(family: Family) -> &'static Set {
    const ALL: &[Set; 2] = &OWN_GATEWAYS;
    &ALL[place(family)]
}

pub(super) fn gateways(family: Family) -> &'static Set {
    const ALL: &[Set; 2] = &GATEWAYS;
    &ALL[place(family)]
}

/// All sets that hold something of networks.
pub(super) fn sets() -> impl Iterator<Item = &'static Set> {
    const BOTH: [Family; 2] = [Family::V4, Family::V6];
    let of_senders = BOTH.into_iter().flat_map(|outer| BOTH.map(|inner| senders(outer, inner)));
    let rest = BOTH.into_iter().flat_map(|one| [hosts(one), own_gateways(one), gateways(one)]);
    [&NETWORKS, &LINKS].into_iter().chain(of_senders).chain(rest)
}

/// A network's number as keys have it.
pub(super) fn number(vni: u32) -> [u8; 3] {
    let [_, a, b, c] = vni.to_be_bytes();
    [a, b, c]
}

/// Packets of tunnels, before anything else looks at them.
const ARRIVING: &str = "arriving";
/// Those at a port of ours.
const TUNNELLED: &str = "tunnelled";
/// Those of networks of ours over IPv4.
const OVER_4: &str = "over4";
/// The same over IPv6.
const OVER_6: &str = "over6";
/// What is sent to the host itself.
const TO_HOST: &str = "to_host";
/// What the host passes on.
const PASSED_ON: &str = "passed_on";

const RAW: i32 = -300;
const FILTER: i32 = 0;

const BASES: [(&str, Hook, i32); 3] = [
    (ARRIVING, Hook::Prerouting, RAW),
    (TO_HOST, Hook::Input, FILTER),
    (PASSED_ON, Hook::Forward, FILTER),
];

const CHAINS: [&str; 6] = [ARRIVING, TUNNELLED, OVER_4, OVER_6, TO_HOST, PASSED_ON];

/// How many rules each chain has.
pub(super) fn counts() -> Vec<(&'static str, usize)> {
    let all = all();
    let count = |chain: &str| all.iter().filter(|(of, _)| *of == chain).count();
    CHAINS.map(|chain| (chain, count(chain))).into()
}

/// Makes the table anew, but for what its sets hold.
pub(super) fn write(batch: &mut Batch) {
    batch.add_table(&TABLE, "made and kept by cais");
    for set in sets() {
        batch.add_set(&TABLE, set);
    }
    batch.add_set(&TABLE, &PORTS);
    batch.add_set(&TABLE, &LAYOUT);
    for (name, hook, priority) in BASES {
        batch.add_base_chain(&TABLE, name, BaseChain { kind: Kind::Filter, hook, priority });
    }
    for chain in [TUNNELLED, OVER_4, OVER_6] {
        batch.add_chain(&TABLE, chain);
    }
    for chain in CHAINS {
        batch.flush_chain(&TABLE, chain);
    }
    for (chain, rule) in all() {
        batch.add_rule(&TABLE, chain, &rule);
    }
    batch.add_element(&TABLE, &LAYOUT, &Element::new(Key::new().mark(1)));
}

/// All rules, in their order.
fn all() -> Vec<(&'static str, Rule)> {
    let mut rules = Vec::new();
    let at_port = dport(Rule::new().l4proto(Op::Eq, libc::IPPROTO_UDP as u8));
    let at_port = at_port.in_set(&PORTS).verdict(&Verdict::Goto(TUNNELLED.into()));
    rules.push((ARRIVING, at_port));
    for (family, chain) in [(Family::V4, OVER_4), (Family::V6, OVER_6)] {
        // A network of ours.
        let ours = vni_at(dport(udp(family)), 1).in_set(&NETWORKS);
        rules.push((TUNNELLED, ours.verdict(&Verdict::Goto(chain.into()))));
        // Of its hosts, with addresses of their own: nothing but IP, so no ARP either.
        for within in [Family::V4, Family::V6] {
            let known = vni_at(ethertype(family, within), 0);
            let known = load_saddr(known, family, 1);
            let inner = match within {
                Family::V4 => Payload::VXLAN_IP_SADDR,
                Family::V6 => Payload::VXLAN_IP6_SADDR,
            };
            let known = known.load(inner, Reg::word(1 + words(family)));
            let known = known.in_set(senders(family, within));
            rules.push((chain, known.verdict(&Verdict::Accept)));
        }
        rules.push((chain, Rule::new().counter().verdict(&Verdict::Drop)));
    }
    // Somebody else's network on the same port.
    for op in [Op::Eq, Op::Ne] {
        // In two rules, which nft(8) reads as they are: any number, as long as there is one.
        let any = Rule::new().load(Payload::VXLAN_VNI, Reg::FIRST).cmp(Reg::FIRST, op, &[0; 3]);
        rules.push((TUNNELLED, any.verdict(&Verdict::Return)));
    }
    // The number is cut off: it would come in another fragment, which has no header to look at.
    rules.push((TUNNELLED, Rule::new().counter().verdict(&Verdict::Drop)));
    rules.extend(of_host());
    rules
}

/// What those behind the links may reach of the host, and what nobody may send through it.
fn of_host() -> Vec<(&'static str, Rule)> {
    let mut rules = Vec::new();
    for family in [Family::V4, Family::V6] {
        let link = Rule::new().nfproto(proto(family)).load_meta(Meta::IifName, Reg::FIRST);
        let own = link.load(daddr(family), Reg::word(4)).in_set(own_gateways(family));
        rules.push((TO_HOST, own.verdict(&Verdict::Return)));
        let other = Rule::new().load_meta(Meta::IifName, Reg::FIRST).in_set(&LINKS);
        let other = other.nfproto(proto(family)).load(daddr(family), Reg::FIRST);
        let other = other.in_set(gateways(family)).counter();
        rules.push((TO_HOST, other.verdict(&Verdict::Drop)));
        // A container's own VXLAN packet would have this host's address when it leaves.
        let next = words(family);
        let packet = udp(family).load(daddr(family), Reg::FIRST);
        let packet = packet.load(Payload::DPORT, Reg::word(next));
        let packet = vni_at(packet, next + 1).in_set(hosts(family)).counter();
        rules.push((PASSED_ON, packet.verdict(&Verdict::Drop)));
    }
    rules
}

fn proto(family: Family) -> u8 {
    (match family {
        Family::V4 => libc::NFPROTO_IPV4,
        Family::V6 => libc::NFPROTO_IPV6,
    }) as u8
}

fn udp(family: Family) -> Rule {
    Rule::new().nfproto(proto(family)).l4proto(Op::Eq, libc::IPPROTO_UDP as u8)
}

fn dport(rule: Rule) -> Rule {
    rule.load(Payload::DPORT, Reg::FIRST)
}

/// Loads the network's number into the register `word`.
fn vni_at(rule: Rule, word: u32) -> Rule {
    rule.load(Payload::VXLAN_VNI, Reg::word(word))
}

/// Goes on where the frame within is one of `family`.
fn ethertype(underlay: Family, family: Family) -> Rule {
    let kind: u16 = match family {
        Family::V4 => 0x0800,
        Family::V6 => 0x86dd,
    };
    // Said again, so that nft(8) knows whose header it is that addresses are loaded from.
    let rule = Rule::new().nfproto(proto(underlay)).load(Payload::VXLAN_ETHERTYPE, Reg::FIRST);
    rule.cmp(Reg::FIRST, Op::Eq, &kind.to_be_bytes())
}

fn words(family: Family) -> u32 {
    u32::from(family.bits()) / 32
}

fn load_saddr(rule: Rule, family: Family, word: u32) -> Rule {
    let field = match family {
        Family::V4 => Payload::IP_SADDR,
        Family::V6 => Payload::IP6_SADDR,
    };
    rule.load(field, Reg::word(word))
}

fn daddr(family: Family) -> Payload {
    match family {
        Family::V4 => Payload::IP_DADDR,
        Family::V6 => Payload::IP6_DADDR,
    }
}
