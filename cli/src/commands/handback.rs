use std::process::ExitCode;

use cni::runtime::directory;
use cni::{Error, state};
use netfilter::{Filter, kind};
use proxy::Client;

use crate::fault::Done;
use crate::output;
use crate::session::Session;

/// `cais handback`.
pub(crate) fn run(session: &Session) -> Done {
    let run_dir = state::run_dir();
    let claims = Filter::open(&run_dir, &kind::Interface)?.hand_back()?;
    let plugins = directory::plugin_dirs();
    let client = Client::new(&run_dir, &plugins);
    let dropped = claims.iter().filter_map(|claim| client.drop(&claim.key).err());
    if let Some(error) = Error::joined(dropped.collect()) {
        return Err(error.into());
    }
    for claim in claims.iter().filter(|claim| claim.isolation.is_some()) {
        let network = &claim.key.network;
        output::note(&format!("network {network} is not kept apart any more"));
    }
    let name = |claim: &netfilter::Claim| format!("{} {}", claim.claimant.name(), claim.key);
    if session.json {
        let keys: Vec<String> = claims.iter().map(name).collect();
        output::json(&serde_json::json!({ "handedBack": keys }))?;
    } else {
        let lines = claims.iter().map(|claim| format!("handed back {}\n", name(claim)));
        output::print(&lines.collect::<String>())?;
    }
    Ok(ExitCode::SUCCESS)
}
