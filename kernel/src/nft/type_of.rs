//! What the parts of a key are, in the words of nft(8): `typeof udp dport . @th,96,24`. The kernel
//! keeps it and does not look at it. Without it nft reads no rule again that looks for bytes in a
//! set, such as one that an administrator saved.

/// A part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeOf {
    /// `udp dport`.
    UdpDport,
    /// `ip saddr`.
    IpSaddr,
    /// `ip daddr`.
    IpDaddr,
    /// `ip6 saddr`.
    Ip6Saddr,
    /// `ip6 daddr`.
    Ip6Daddr,
    /// `@th,OFFSET,BITS`: so many bits from there on, counted from the transport's header.
    Transport {
        /// In bits.
        offset: u32,
        /// How many.
        bits: u32,
    },
}

/// Numbers of nft's own that its sets are kept with: `nftnl_udata_set_types`,
/// `nftnl_udata_set_typeof_types`, `expr_types`, `proto_desc_id`, and places in its tables of headers.
mod number {
    pub(super) const SET_KEY_BYTEORDER: u8 = 0;
    pub(super) const SET_KEY_TYPEOF: u8 = 3;
    pub(super) const TYPEOF_EXPR: u8 = 0;
    pub(super) const TYPEOF_DATA: u8 = 1;
    pub(super) const EXPR_PAYLOAD: u32 = 7;
    pub(super) const EXPR_CONCAT: u32 = 13;
    pub(super) const UDP: u32 = 6;
    pub(super) const IP: u32 = 12;
    pub(super) const IP6: u32 = 13;
    pub(super) const BASE_TRANSPORT: u32 = 3;
}

impl TypeOf {
    /// What nft keeps of the payload: protocol and field, or the place of the bytes.
    fn payload(self) -> Vec<u8> {
        let field = |protocol: u32, field: u32| [word(0, protocol), word(1, field)].concat();
        match self {
            Self::UdpDport => field(number::UDP, 2),
            Self::IpSaddr => field(number::IP, 11),
            Self::IpDaddr => field(number::IP, 12),
            Self::Ip6Saddr => field(number::IP6, 8),
            Self::Ip6Daddr => field(number::IP6, 9),
            Self::Transport { offset, bits } => {
                [field(0, 0), word(2, number::BASE_TRANSPORT), word(3, offset), word(4, bits)]
                    .concat()
            }
        }
    }

    fn expression(self) -> Vec<u8> {
        let kind = word(number::TYPEOF_EXPR, number::EXPR_PAYLOAD);
        [kind, part(number::TYPEOF_DATA, &self.payload())].concat()
    }
}

/// The user data of a set whose keys are these parts, one after the other.
pub(super) fn user_data(parts: &[TypeOf]) -> Vec<u8> {
    let places = (0..).zip(parts);
    let list: Vec<u8> = places.flat_map(|(n, one)| part(n, &one.expression())).collect();
    let kind = word(number::TYPEOF_EXPR, number::EXPR_CONCAT);
    let whole = [kind, part(number::TYPEOF_DATA, &list)].concat();
    [word(number::SET_KEY_BYTEORDER, 0), part(number::SET_KEY_TYPEOF, &whole)].concat()
}

/// Type, length, value.
fn part(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).expect("keys have few parts");
    [&[kind, length], value].concat()
}

fn word(kind: u8, value: u32) -> Vec<u8> {
    part(kind, &value.to_ne_bytes())
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    /// What `nft --debug=mnl` shows of version 1.0.6 for `typeof udp dport . @th,96,24`.
    #[test]
    fn it_is_what_nft_writes() {
        let seen = user_data(&[TypeOf::UdpDport, TypeOf::Transport { offset: 96, bits: 24 }]);
        let expected = [
            "000400000000",
            "0346",
            "00040d000000",
            "013e",
            "0014000407000000010c000406000000010402000000",
            "0126000407000000011e000400000000010400000000",
            "020403000000030460000000040418000000",
        ];
        let hex: String = seen.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected.concat());
    }
}
