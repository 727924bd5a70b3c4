//! What hosts act upon, whatever source it comes from.

use std::collections::{BTreeMap, BTreeSet};

use peers::{Block, Host, HostId, Network};
use types::NetworkName;

use super::records::Named;

/// Networks, hosts and blocks: all that the data path follows from. Every record has been read and
/// checked by itself; which of them fit together is judged by [`peers::accept`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// All networks.
    pub networks: BTreeMap<NetworkName, Network>,
    /// All hosts, ordered by id; this one among them once it is registered.
    pub hosts: Vec<Host>,
    /// Blocks of the networks that were asked for; none of a network that has not been listed yet.
    pub blocks: BTreeMap<NetworkName, Vec<Block>>,
    /// Records that cannot be read: where they are and why; not all, if they are many.
    pub refused: Vec<(String, String)>,
}

/// Hosts that are there. It only ever matters for names and for people: a host that is missing
/// keeps its blocks and its routes.
pub type Presence = BTreeSet<HostId>;

/// Names of the networks that were asked for: by host and endpoint.
pub type Names = BTreeMap<NetworkName, BTreeMap<(HostId, String), Named>>;
