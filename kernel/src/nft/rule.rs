use super::element::{NFTA_DATA_VALUE, Verdict, ifname_bytes};
use super::object::Set;
use super::{COMMENT, comment};
use crate::netlink::encoder::Encoder;

/// A rule under construction: expressions that run one after the other until one does not match.
///
/// Each method appends one expression, or the few that nft(8) makes of one phrase.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    expressions: Encoder,
    comment: Option<String>,
    compat: Option<(u32, u32)>,
}

/// A register of four bytes; longer values take the following ones, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reg(u32);

impl Reg {
    /// The first one.
    pub const FIRST: Self = Self::word(0);

    /// Number `n`, up to 15 (`NFT_REG32_00` and on).
    #[must_use]
    pub const fn word(n: u32) -> Self {
        Self(8 + n)
    }
}

/// What is known of a packet beside its bytes (`NFT_META_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meta {
    /// The packet's mark.
    Mark = 3,
    /// Name of the link by which it came; 16 bytes.
    IifName = 6,
    /// Name of the link by which it leaves; 16 bytes.
    OifName = 7,
    /// Its family, for tables of both (`NFPROTO_*`).
    NfProto = 15,
    /// Its transport protocol (`IPPROTO_*`).
    L4Proto = 16,
}

/// Bytes of a packet: base (`NFT_PAYLOAD_*`), offset and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload(u32, u32, u32);

impl Payload {
    /// Source address of the Ethernet frame.
    pub const ETHER_SADDR: Self = Self(0, 6, 6);
    /// Source address of an IPv4 packet.
    pub const IP_SADDR: Self = Self(1, 12, 4);
    /// Destination address of an IPv4 packet.
    pub const IP_DADDR: Self = Self(1, 16, 4);
    /// Source address of an IPv6 packet.
    pub const IP6_SADDR: Self = Self(1, 8, 16);
    /// Destination address of an IPv6 packet.
    pub const IP6_DADDR: Self = Self(1, 24, 16);
    /// Source port of TCP, UDP and SCTP.
    pub const SPORT: Self = Self(2, 0, 2);
    /// Destination port of TCP, UDP and SCTP.
    pub const DPORT: Self = Self(2, 2, 2);

    /// Network of a VXLAN packet (24 bits), counted from its UDP header.
    pub const VXLAN_VNI: Self = Self(2, 12, 3);
    /// Ethertype of the frame in a VXLAN packet.
    pub const VXLAN_ETHERTYPE: Self = Self(2, 28, 2);
    /// Source address of the IPv4 packet in a VXLAN packet.
    pub const VXLAN_IP_SADDR: Self = Self(2, 42, 4);
    /// Source address of the IPv6 packet in a VXLAN packet.
    pub const VXLAN_IP6_SADDR: Self = Self(2, 38, 16);
    /// The first `bytes` of it: enough for a prefix of whole bytes.
    #[must_use]
    pub const fn first(self, bytes: u32) -> Self {
        Self(self.0, self.1, bytes)
    }
}

/// What connection tracking knows (`NFT_CT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ct {
    /// Bits of [`Rule::ct_bits`] with `STATE_*`.
    State = 0,
    /// Bits of [`Rule::ct_bits`] with `STATUS_*`.
    Status = 2,
}

impl Ct {
    /// `NF_CT_STATE_INVALID_BIT`
    pub const STATE_INVALID: u32 = 1;
    /// Of a known connection.
    pub const STATE_ESTABLISHED: u32 = 2;
    /// Belongs to a known connection, such as an ICMP error.
    pub const STATE_RELATED: u32 = 4;
    /// `IPS_DST_NAT`: its destination was changed.
    pub const STATUS_DNAT: u32 = 1 << 5;
}

/// How two values are compared (`NFT_CMP_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Equal.
    Eq = 0,
    /// Different.
    Ne = 1,
}

impl Rule {
    /// A rule that matches everything and does nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a comment.
    #[must_use]
    pub fn comment(self, text: impl Into<String>) -> Self {
        Self { comment: Some(text.into()), ..self }
    }

    /// Says to iptables-nft for which transport protocol its extensions are (`NFTA_RULE_COMPAT`);
    /// `inverted` where for all but that one.
    #[must_use]
    pub fn compat(self, l4proto: u8, inverted: bool) -> Self {
        Self { compat: Some((l4proto.into(), if inverted { 2 } else { 0 })), ..self }
    }

    /// Appends an expression of any kind.
    #[must_use]
    pub(crate) fn expression(mut self, name: &str, fill: impl FnOnce(&mut Encoder)) -> Self {
        self.expressions.nested(NFTA_LIST_ELEM, |element| {
            element.text(1, name);
            element.nested(2, fill);
        });
        self
    }

    /// Loads `what` into a register.
    #[must_use]
    pub fn load_meta(self, what: Meta, to: Reg) -> Self {
        self.expression("meta", |e| {
            e.u32_be(1, to.0);
            e.u32_be(2, what as u32);
        })
    }

    /// Loads bytes of the packet into a register.
    #[must_use]
    pub fn load(self, what: Payload, to: Reg) -> Self {
        self.expression("payload", |e| {
            e.u32_be(1, to.0);
            e.u32_be(2, what.0);
            e.u32_be(3, what.1);
            e.u32_be(4, what.2);
        })
    }

    /// Goes on where the register compares so with `value`.
    #[must_use]
    pub fn cmp(self, reg: Reg, op: Op, value: &[u8]) -> Self {
        self.expression("cmp", |e| {
            e.u32_be(1, reg.0);
            e.u32_be(2, op as u32);
            e.nested(3, |data| data.bytes(NFTA_DATA_VALUE, value));
        })
    }

    /// Masks a register: `reg & mask`.
    #[must_use]
    pub fn mask(self, reg: Reg, mask: &[u8]) -> Self {
        let zero = vec![0; mask.len()];
        self.expression("bitwise", |e| {
            e.u32_be(1, reg.0);
            e.u32_be(2, reg.0);
            e.u32_be(3, mask.len() as u32);
            e.nested(4, |data| data.bytes(NFTA_DATA_VALUE, mask));
            e.nested(5, |data| data.bytes(NFTA_DATA_VALUE, &zero));
        })
    }

    /// Puts a constant into a register.
    #[must_use]
    pub fn set(self, reg: Reg, value: &[u8]) -> Self {
        self.expression("immediate", |e| {
            e.u32_be(1, reg.0);
            e.nested(2, |data| data.bytes(NFTA_DATA_VALUE, value));
        })
    }

    /// Ends with a verdict.
    #[must_use]
    pub fn verdict(self, verdict: &Verdict) -> Self {
        self.expression("immediate", |e| {
            e.u32_be(1, VERDICT_REGISTER);
            verdict.encode(e, 2);
        })
    }

    /// Goes on where what was loaded from the first register on is in the set.
    #[must_use]
    pub fn in_set(self, set: &Set) -> Self {
        self.expression("lookup", |e| {
            e.text(1, set.name);
            e.u32_be(2, Reg::FIRST.0);
        })
    }

    /// Goes on where what was loaded from the first register on is a key of the map, with its
    /// value in the first register and those after it.
    #[must_use]
    pub fn map(self, map: &Set) -> Self {
        self.expression("lookup", |e| {
            e.text(1, map.name);
            e.u32_be(2, Reg::FIRST.0);
            e.u32_be(3, Reg::FIRST.0);
        })
    }

    /// Takes the verdict that a map holds for what was loaded from the first register on.
    #[must_use]
    pub fn vmap(self, map: &Set) -> Self {
        self.expression("lookup", |e| {
            e.text(1, map.name);
            e.u32_be(2, Reg::FIRST.0);
            e.u32_be(3, VERDICT_REGISTER);
        })
    }

    /// Changes the packet's mark.
    #[must_use]
    pub fn set_mark(self, mark: u32) -> Self {
        self.set(Reg::FIRST, &mark.to_ne_bytes()).expression("meta", |e| {
            e.u32_be(2, Meta::Mark as u32);
            e.u32_be(3, Reg::FIRST.0);
        })
    }

    /// Goes on where connection tracking's `what` has any of `bits`.
    #[must_use]
    pub fn ct_bits(self, what: Ct, bits: u32) -> Self {
        self.expression("ct", |e| {
            e.u32_be(1, Reg::FIRST.0);
            e.u32_be(2, what as u32);
        })
        .mask(Reg::FIRST, &bits.to_ne_bytes())
        .cmp(Reg::FIRST, Op::Ne, &[0; 4])
    }

    /// Goes on where the routing table says that the destination is the host's own
    /// (`fib daddr type local`).
    #[must_use]
    pub fn to_local(self) -> Self {
        self.expression("fib", |e| {
            e.u32_be(1, Reg::FIRST.0);
            e.u32_be(2, FIB_RESULT_ADDRTYPE);
            e.u32_be(3, FIB_F_DADDR);
        })
        .cmp(Reg::FIRST, Op::Eq, &u32::from(libc::RTN_LOCAL).to_ne_bytes())
    }

    /// Counts packets and bytes.
    #[must_use]
    pub fn counter(self) -> Self {
        self.expression("counter", |e| {
            e.bytes(1, &[0; 8]);
            e.bytes(2, &[0; 8]);
        })
    }

    /// Changes the destination to the address in the first register and, where `port` says so, to
    /// the port in that one. `family` is `NFPROTO_IPV4` or `_IPV6`.
    #[must_use]
    pub fn dnat(self, family: u8, port: Option<Reg>) -> Self {
        self.expression("nat", |e| {
            e.u32_be(1, NAT_DNAT);
            e.u32_be(2, family.into());
            e.u32_be(3, Reg::FIRST.0);
            if let Some(port) = port {
                e.u32_be(5, port.0);
            }
        })
    }

    /// Changes the source to the address in the first register.
    #[must_use]
    pub fn snat(self, family: u8) -> Self {
        self.expression("nat", |e| {
            e.u32_be(1, NAT_SNAT);
            e.u32_be(2, family.into());
            e.u32_be(3, Reg::FIRST.0);
        })
    }

    /// Changes the source to the address of the link by which the packet leaves.
    #[must_use]
    pub fn masquerade(self) -> Self {
        self.expression("masq", |_| {})
    }

    /// Changes the destination to the host itself, at the port in the first register.
    #[must_use]
    pub fn redirect(self) -> Self {
        self.expression("redir", |e| e.u32_be(1, Reg::FIRST.0))
    }

    /// `meta nfproto ipv4` or `ipv6`, for tables of both.
    #[must_use]
    pub fn nfproto(self, family: u8) -> Self {
        self.load_meta(Meta::NfProto, Reg::FIRST).cmp(Reg::FIRST, Op::Eq, &[family])
    }

    /// `meta l4proto <number>`.
    #[must_use]
    pub fn l4proto(self, op: Op, number: u8) -> Self {
        self.load_meta(Meta::L4Proto, Reg::FIRST).cmp(Reg::FIRST, op, &[number])
    }

    /// `iifname` or `oifname`; a name that ends in `+` or `*` stands for all that begin so.
    #[must_use]
    pub fn ifname(self, which: Meta, op: Op, name: &str) -> Self {
        let rule = self.load_meta(which, Reg::FIRST);
        match name.strip_suffix(['+', '*']) {
            Some(start) => rule.cmp(Reg::FIRST, op, &ifname_bytes(start)[..start.len().min(15)]),
            None => rule.cmp(Reg::FIRST, op, &ifname_bytes(name)),
        }
    }

    /// Appends the attributes of the rule.
    pub(super) fn encode(&self, out: &mut Encoder) {
        use super::batch::attr::rule as attr;
        out.nested(attr::EXPRESSIONS, |list| list.append(&self.expressions));
        if let Some((proto, flags)) = self.compat {
            out.nested(attr::COMPAT, |compat| {
                compat.u32_be(1, proto);
                compat.u32_be(2, flags);
            });
        }
        if let Some(text) = &self.comment {
            out.bytes(attr::USERDATA, &comment(COMMENT, text));
        }
    }
}

const NFTA_LIST_ELEM: u16 = 1;
/// `NFT_REG_VERDICT`
const VERDICT_REGISTER: u32 = 0;
/// `NFT_FIB_RESULT_ADDRTYPE` and `NFTA_FIB_F_DADDR`
const FIB_RESULT_ADDRTYPE: u32 = 3;
const FIB_F_DADDR: u32 = 1 << 1;
/// `NFT_NAT_*`
const NAT_SNAT: u32 = 0;
const NAT_DNAT: u32 = 1;
