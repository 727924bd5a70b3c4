//! Single values: addresses, names, numbers, `CNI_ARGS`. What is read and written is read again as
//! the same.

use std::fmt::{Debug, Display};
use std::net::IpAddr;
use std::str::FromStr;

use cni::Args;
use ipam::Span;
use types::{Cidr, ContainerId, IfName, MacAddr, NetworkName};

pub(crate) fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    comes_back::<Cidr>(text);
    comes_back::<MacAddr>(text);
    comes_back::<IfName>(text);
    comes_back::<ContainerId>(text);
    comes_back::<NetworkName>(text);
    // Mapped addresses are IPv4 to us, but a network around them may end at one.
    if text
        .parse::<Span>()
        .is_ok_and(|span| ![span.first(), span.last()].map(is_mapped).contains(&true))
    {
        comes_back::<Span>(text);
    }
    if let Some(ip) = types::parse_ip(text) {
        assert_eq!(types::parse_ip(&ip.to_string()), Some(ip), "{text:?}");
    }
    if let Ok(args) = Args::strict(text, &["IP", "MAC"]) {
        assert_eq!(args.get("IP"), Args::lenient(text).get("IP"), "{text:?}");
    }
}

fn is_mapped(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some())
}

fn comes_back<T: FromStr + Display + Debug + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        assert_eq!(written.parse::<T>().ok().as_ref(), Some(&value), "{text:?} as {written:?}");
    }
}
