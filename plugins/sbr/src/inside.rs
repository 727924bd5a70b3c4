//! Where records are, and which addresses are those of an interface.

use std::path::PathBuf;

use cni::{AddResult, state};

/// Where records of attachments are.
pub(crate) fn state_dir() -> PathBuf {
    state::run_dir().join("sbr")
}

/// The addresses of `ifname` in `result`, each with the gateway that came with it.
pub(crate) fn addresses_of(result: &AddResult, ifname: &str) -> Vec<cni::Ip> {
    let is_ours = |ip: &&cni::Ip| match ip.interface.and_then(|index| result.interfaces.get(index))
    {
        Some(link) => link.name == ifname,
        // Results of versions before 0.3.0 have no interfaces.
        None => true,
    };
    result.ips.iter().filter(is_ours).cloned().collect()
}
