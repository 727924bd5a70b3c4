//! Names and words of the reference's rules, which other tools read: the same in both variants.

use types::{ContainerId, NetworkName};

pub(super) use crate::reference::names::{FORWARD, HOSTPORT_DNAT, HOSTPORT_MASQ, HOSTPORT_SETMARK};
use crate::reference::owner;
pub(super) use crate::reference::view::{FILTER, NAT};

/// The comment on rules that masquerade a container.
pub(super) fn masquerade_comment(network: &NetworkName, container: &ContainerId) -> String {
    owner::comment("", network.as_str(), container.as_str())
}

/// The comment on rules that lead to a container's published ports.
pub(super) fn dnat_comment(network: &NetworkName, container: &ContainerId) -> String {
    owner::comment("dnat ", network.as_str(), container.as_str())
}
