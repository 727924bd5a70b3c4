//! A network that this host takes part in, as far as the daemon has come with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use cni::{Error, code};
use peers::{Block, HostId, Network, NodeFile};
use types::{Cidr, Family, MacAddr};

use crate::store::Number;

/// What is known of a network beside what the store says.
#[derive(Default)]
pub(super) struct Active {
    /// When a plugin asked for it last.
    pub(super) asked: Option<Instant>,
    /// How it is to be, if it is not there yet.
    pub(super) create: Option<(Network, Number)>,
    /// What the plugin was told last.
    pub(super) node: Option<NodeFile>,
    /// Why it cannot be used, or not wholly.
    pub(super) problem: Option<Error>,
    /// Blocks that were claimed and are not seen in the store yet.
    pub(super) claimed: Vec<Block>,
    /// Families of which a block is being claimed.
    pub(super) claiming: BTreeSet<Family>,
    /// Families of which a block was asked for beside those that there are.
    pub(super) more: BTreeSet<Family>,
    /// Why the last claim failed, and when.
    pub(super) refused: Option<(Error, Instant)>,
    /// Blocks of ours that another host has by now, with who that is.
    pub(super) lost: Vec<(Cidr, String)>,
    /// Blocks that were found to be in the store as ours in this session.
    pub(super) kept: BTreeSet<Cidr>,
    /// The Ethernet address of the bridge, as it was seen last.
    pub(super) bridge_mac: Option<MacAddr>,
    /// Whether creating it is under way.
    pub(super) creating: bool,
    /// Whether nothing has happened since the last round that would make it another, but what the
    /// store may say.
    pub(super) settled: bool,
    /// Blocks of the other hosts.
    pub(super) others: BTreeMap<HostId, Vec<Cidr>>,
    /// Records that are not acted upon, as they were told of last.
    pub(super) refused_records: Vec<String>,
}

impl Active {
    /// Whether a link of that name is one of the network's.
    pub(super) fn has_link(&self, name: &str) -> bool {
        self.node.as_ref().is_some_and(|node| {
            let v6 = node.vni.device6();
            name == node.device.as_str() || name == node.bridge.as_str() || name == v6.as_str()
        })
    }

    /// Whether containers can be added.
    pub(super) fn is_ready(&self) -> bool {
        self.node.as_ref().is_some_and(|node| node.denied.is_none() && !node.blocks.is_empty())
    }

    /// Why not.
    pub(super) fn why_not(&self, network: &types::NetworkName) -> Error {
        self.problem.clone().unwrap_or_else(|| {
            let text = format!("take part in network {network}: the store has not answered yet");
            Error::new(code::TRY_AGAIN, text)
        })
    }

    /// All blocks that this host has by what the store says and by what it just claimed.
    pub(super) fn with_claimed(&mut self, listed: &[Block]) -> Vec<Block> {
        self.claimed.retain(|own| !listed.iter().any(|block| block.cidr == own.cidr));
        listed.iter().chain(&self.claimed).cloned().collect()
    }
}
