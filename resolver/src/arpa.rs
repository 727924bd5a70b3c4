//! Addresses as names below `in-addr.arpa` and `ip6.arpa` (RFC 1035, 3.5; RFC 3596, 2.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use types::Cidr;

/// The address, or the range of addresses, that a name in lower case stands for.
#[must_use]
pub fn range(name: &str) -> Option<Cidr> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        return v4(labels);
    }
    v6(name.strip_suffix(".ip6.arpa")?)
}

fn v4(labels: &str) -> Option<Cidr> {
    let mut octets = [0; 4];
    let mut length = 0;
    for label in labels.rsplit('.') {
        let is_number = label.bytes().all(|byte| byte.is_ascii_digit());
        *octets.get_mut(length)? = if is_number { label.parse().ok()? } else { return None };
        length += 1;
    }
    Cidr::new(IpAddr::V4(Ipv4Addr::from(octets)), length as u8 * 8)
}

fn v6(labels: &str) -> Option<Cidr> {
    let mut number: u128 = 0;
    let mut length = 0;
    for label in labels.rsplit('.') {
        if label.len() != 1 || length == 32 {
            return None;
        }
        let digit = u128::from_str_radix(label, 16).ok()?;
        number |= digit << (124 - 4 * length);
        length += 1;
    }
    Cidr::new(IpAddr::V6(Ipv6Addr::from(number)), length as u8 * 4)
}

/// Whether an address means something within some network only (RFC 1918, RFC 4193, RFC 3927,
/// RFC 4291, RFC 6598).
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
            address.is_private() || address.is_loopback() || address.is_link_local() || shared
        }
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_addresses_and_ranges_are_read_and_nothing_else_is() {
        for (name, range_of) in [
            ("2.1.90.10.in-addr.arpa", "10.90.1.2/32"),
            ("90.10.in-addr.arpa", "10.90.0.0/16"),
            ("1.ip6.arpa", "1000::/4"),
        ] {
            assert_eq!(range(name), Some(range_of.parse().unwrap()), "{name}");
        }
        let whole = format!("{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(24));
        assert_eq!(range(&whole), Some("2001:db8::/128".parse().unwrap()));
        for name in [
            "in-addr.arpa",
            "256.in-addr.arpa",
            "+1.in-addr.arpa",
            "1.2.3.4.5.in-addr.arpa",
            "x.ip6.arpa",
            "10.ip6.arpa",
            &format!("0.{whole}"),
            "web",
            "",
        ] {
            assert_eq!(range(name), None, "{name}");
        }
    }
}
