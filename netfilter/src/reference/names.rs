//! Names of chains that follow from an attachment, and of those that all share.

use sha2::{Digest, Sha512};

/// Longest name of a chain for iptables, in bytes.
const LENGTH: usize = 28;

/// Where published ports lead to their containers.
pub const HOSTPORT_DNAT: &str = "CNI-HOSTPORT-DNAT";
/// Marks what is to be masqueraded.
pub const HOSTPORT_SETMARK: &str = "CNI-HOSTPORT-SETMARK";
/// Masquerades what is marked.
pub const HOSTPORT_MASQ: &str = "CNI-HOSTPORT-MASQ";
/// What versions before 0.8 had in place of the two above.
pub const HOSTPORT_SNAT: &str = "CNI-HOSTPORT-SNAT";
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
    hashed("CNI-", network, container)
}

/// The chain of a container's published ports.
///
/// ```
/// use netfilter::reference::names;
/// assert_eq!(names::dnat("mynet", "cid1"), "CNI-DN-a631aa8e1549a3b129110");
/// ```
#[must_use]
pub fn dnat(network: &str, container: &str) -> String {
    hashed("CNI-DN-", network, container)
}

/// The chain that versions before 0.8 had beside that one.
#[must_use]
pub fn snat(network: &str, container: &str) -> String {
    hashed("CNI-SN-", network, container)
}

/// The two are put together without anything between them.
fn hashed(prefix: &str, network: &str, container: &str) -> String {
    let digest = Sha512::new().chain_update(network).chain_update(container).finalize();
    let mut name = prefix.to_owned();
    for byte in digest {
        for digit in [byte >> 4, byte & 0xf] {
            if name.len() < LENGTH {
                name.extend(char::from_digit(digit.into(), 16));
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_reference_plugins() {
        assert_eq!(masquerade("mynet", "cid1"), "CNI-a631aa8e1549a3b129110fd2");
        assert_eq!(snat("mynet", "cid1"), "CNI-SN-a631aa8e1549a3b129110");
        assert_eq!(dnat("a", "bc"), dnat("ab", "c"), "as there");
    }
}
