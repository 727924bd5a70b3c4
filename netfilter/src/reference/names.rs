//! Names that the reference plugins derive from an attachment. SHA-512 over the parts without a
//! separator, as it is there, so that both find what the other made.

use sha2::{Digest, Sha512};
use types::{Attachment, ContainerId, IfName, NetworkName};

/// Longest name of a chain of these: what iptables allowed when they were chosen.
const CHAIN_BYTES: usize = 28;
/// Hex digits of each half of a masquerade tag.
const TAG_DIGITS: usize = 16;

/// Where published ports lead to their containers.
pub const HOSTPORT_DNAT: &str = "CNI-HOSTPORT-DNAT";
/// Marks what is to be masqueraded.
pub const HOSTPORT_SETMARK: &str = "CNI-HOSTPORT-SETMARK";
/// Masquerades what is marked.
pub const HOSTPORT_MASQ: &str = "CNI-HOSTPORT-MASQ";
/// What versions before 0.8 had in place of the two above.
pub const HOSTPORT_SNAT: &str = "CNI-HOSTPORT-SNAT";
/// Lets packets of published ports through, which cais marks: the reference has no such chain.
pub const HOSTPORT_PASS: &str = "CNI-HOSTPORT-PASS";
/// What lets forwarded packets of containers through.
pub const FORWARD: &str = "CNI-FORWARD";
/// Keeps bridges apart: what leaves one …
pub const ISOLATION_1: &str = "CNI-ISOLATION-STAGE-1";
/// … and enters another.
pub const ISOLATION_2: &str = "CNI-ISOLATION-STAGE-2";

/// The chain of `ipMasq`.
///
/// ```
/// use netfilter::reference::names;
/// assert_eq!(names::masquerade("test", "1234"), "CNI-2bbe0c48b91a7d1b8a6753a8");
/// ```
#[must_use]
pub fn masquerade(network: &str, container: &str) -> String {
    chain("CNI-", network, container)
}

/// The chain of a container's published ports.
///
/// ```
/// use netfilter::reference::names;
/// assert_eq!(names::dnat("mynet", "cid1"), "CNI-DN-a631aa8e1549a3b129110");
/// ```
#[must_use]
pub fn dnat(network: &str, container: &str) -> String {
    chain("CNI-DN-", network, container)
}

/// The chain that versions before 0.8 had beside that one.
#[must_use]
pub fn snat(network: &str, container: &str) -> String {
    chain("CNI-SN-", network, container)
}

/// The chain in which iptables masquerades a container's addresses on a network: `CNI-` and 24
/// hex digits (`pkg/utils/utils.go`, `FormatChainName`). All interfaces of the container on that
/// network share it.
#[must_use]
pub fn masquerade_chain(network: &NetworkName, container: &ContainerId) -> String {
    masquerade(network.as_str(), container.as_str())
}

/// The chain in which iptables leads to a container's published ports: `CNI-DN-` and 21 hex digits
/// (`plugins/meta/portmap`).
#[must_use]
pub fn dnat_chain(network: &NetworkName, container: &ContainerId) -> String {
    dnat(network.as_str(), container.as_str())
}

/// The chain in which an old portmap hid the source of published ports: `CNI-SN-` and 21 hex
/// digits.
#[must_use]
pub fn snat_chain(network: &NetworkName, container: &ContainerId) -> String {
    snat(network.as_str(), container.as_str())
}

/// What the comment of a masquerade rule in nftables begins with: 16 hex digits of the network,
/// `-`, 16 of interface and container (`pkg/ip/ipmasq_nftables_linux.go`).
#[must_use]
pub fn masquerade_tag(network: &NetworkName, ifname: &IfName, container: &ContainerId) -> String {
    format!("{}{}", network_tag(network), interface_tag(ifname, container))
}

/// The first half of [`masquerade_tag`], with the `-` behind it.
pub(crate) fn network_tag(network: &NetworkName) -> String {
    let mut tag = digits(&[network.as_str()], TAG_DIGITS);
    tag.push('-');
    tag
}

/// The second half of [`masquerade_tag`].
pub(crate) fn interface_tag(ifname: &IfName, container: &ContainerId) -> String {
    digits(&[ifname.as_str(), ":", container.as_str()], TAG_DIGITS)
}

/// What the chains of a MAC spoof check and the comments of their rules bear: container and
/// interface (`pkg/link/spoofcheck.go`). Different attachments may share it.
#[must_use]
pub fn spoof_reference(key: &Attachment) -> String {
    format!("{}-{}", key.container, key.ifname)
}

/// The link of `bandwidth` on which what a container sends waits: `bwp` and 12 hex digits
/// (`plugins/meta/bandwidth`). All interfaces of the container on that network share it; `more` is
/// for those that need one of their own.
///
/// ```
/// use netfilter::reference::names;
/// assert_eq!(names::shaper("mynet", "cid1", ""), "bwpa631aa8e1549");
/// ```
#[must_use]
pub fn shaper(network: &str, container: &str, more: &str) -> String {
    const DIGITS: usize = 12;
    format!("bwp{}", digits(&[network, container, more], DIGITS))
}

fn chain(prefix: &str, network: &str, container: &str) -> String {
    let hash = digits(&[network, container], CHAIN_BYTES - prefix.len());
    format!("{prefix}{hash}")
}

/// The first `count` hex digits of the hash of `parts`, joined.
fn digits(parts: &[&str], count: usize) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let hash = Sha512::digest(parts.concat());
    let nibbles = hash.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    nibbles.take(count).map(|nibble| char::from(HEX[usize::from(nibble)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> NetworkName {
        text.parse().unwrap()
    }

    fn container(text: &str) -> ContainerId {
        text.parse().unwrap()
    }

    #[test]
    fn chains_are_called_as_the_reference_calls_them() {
        let name = masquerade_chain(&network("test"), &container("1234"));
        assert_eq!(name, "CNI-2bbe0c48b91a7d1b8a6753a8");
        let (mynet, cid1) = (network("mynet"), container("cid1"));
        assert_eq!(masquerade_chain(&mynet, &cid1), "CNI-a631aa8e1549a3b129110fd2");
        assert_eq!(dnat_chain(&mynet, &cid1), "CNI-DN-a631aa8e1549a3b129110");
        assert_eq!(snat_chain(&mynet, &cid1), "CNI-SN-a631aa8e1549a3b129110");
    }

    #[test]
    fn tags_are_made_as_the_reference_makes_them() {
        let eth0: IfName = "eth0".parse().unwrap();
        let tag = masquerade_tag(&network("mynet"), &eth0, &container("cid1"));
        assert_eq!(tag, "d23676b4f2d9fe04-0b65a318f52e521b");
        let tag = masquerade_tag(&network("unit-test"), &eth0, &container("one"));
        assert_eq!(tag, "6fd94d501e58f0aa-287fc69eff0574a2");
    }

    #[test]
    fn a_spoof_check_is_referred_to_by_container_and_interface() {
        let key = Attachment {
            network: network("mynet"),
            container: container("cid1"),
            ifname: "eth0".parse().unwrap(),
        };
        assert_eq!(spoof_reference(&key), "cid1-eth0");
    }
}
