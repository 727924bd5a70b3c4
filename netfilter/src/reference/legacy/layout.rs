//! Names and words of the reference's rules, which other tools read.

use types::{ContainerId, NetworkName};

/// Table of masquerade and published ports.
pub(super) const NAT: &str = "nat";
/// Table of the firewall plugin.
pub(super) const FILTER: &str = "filter";

/// Leads to the chains of containers with published ports.
pub(super) const HOSTPORT_DNAT: &str = "CNI-HOSTPORT-DNAT";
/// Marks packets to be masqueraded.
pub(super) const HOSTPORT_SETMARK: &str = "CNI-HOSTPORT-SETMARK";
/// Masquerades marked packets.
pub(super) const HOSTPORT_MASQ: &str = "CNI-HOSTPORT-MASQ";
/// Accepts what is from and to containers.
pub(super) const FORWARD: &str = "CNI-FORWARD";

/// Longest comment that the reference writes, in bytes.
const COMMENT_BYTES: usize = 255;

/// The comment on rules that masquerade a container.
pub(super) fn masquerade_comment(network: &NetworkName, container: &ContainerId) -> String {
    format!("name: \"{network}\" id: \"{container}\"")
}

/// The comment on rules that lead to a container's published ports.
pub(super) fn dnat_comment(network: &NetworkName, container: &ContainerId) -> String {
    let mut comment = format!("dnat name: \"{network}\" id: \"{container}\"");
    comment.truncate(comment.floor_char_boundary(COMMENT_BYTES));
    comment
}
