use std::process::ExitCode;

use cni::json::Object;
use cni::runtime::CachedAttachment;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::args::Attachments;
use crate::fault::Done;
use crate::output;
use crate::session::Session;

#[derive(Serialize)]
struct Row {
    network: String,
    container: String,
    ifname: String,
    netns: Option<String>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
}

/// `cais attachments`.
pub(crate) fn run(session: &Session, args: &Attachments) -> Done {
    let mut found = session.runtime().cache().attachments()?;
    if let Some(network) = &args.network {
        found.retain(|a| a.attachment.network.as_str() == network);
    }
    let rows: Vec<Row> = found.iter().map(row).collect();
    if session.json {
        output::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let cells = |row: &Row| {
        let addresses = row.result.as_ref().map(|r| addresses(r.get())).unwrap_or_default();
        let netns = row.netns.clone().unwrap_or_else(|| "-".to_owned());
        let Row { network, container, ifname, state, .. } = row;
        vec![
            network.clone(),
            container.clone(),
            ifname.clone(),
            addresses.join(" "),
            (*state).to_owned(),
            netns,
        ]
    };
    let cells: Vec<_> = rows.iter().map(cells).collect();
    let heading = ["NETWORK", "CONTAINER", "IFNAME", "ADDRESSES", "STATE", "NAMESPACE"];
    output::print(&output::table(&heading, &cells))?;
    Ok(ExitCode::SUCCESS)
}

fn row(cached: &CachedAttachment) -> Row {
    let state = match (&cached.result, &cached.netns) {
        (None, _) => "unfinished",
        (Some(_), None) => "unknown",
        (Some(_), Some(_)) if cached.is_dead() => "gone",
        (Some(_), Some(_)) => "attached",
    };
    Row {
        network: cached.attachment.network.to_string(),
        container: cached.attachment.container.to_string(),
        ifname: cached.attachment.ifname.to_string(),
        netns: cached.netns.as_ref().map(|p| p.to_string_lossy().into_owned()),
        state,
        result: cached.result.clone().and_then(|text| RawValue::from_string(text).ok()),
    }
}

/// The addresses of a result of any version.
pub(crate) fn addresses(result: &str) -> Vec<String> {
    let Ok(object) = Object::parse(result.as_bytes()) else { return Vec::new() };
    let text = |key: &str, object: &Object<'_>| object.string(key).ok().flatten();
    let of_family = |key| object.object(key).ok().flatten().and_then(|family| text("ip", &family));
    let listed = object.list("ips").unwrap_or_default();
    let listed = listed.iter().filter_map(|ip| text("address", &ip.object().ok()?));
    listed.chain(["ip4", "ip6"].into_iter().filter_map(of_family)).collect()
}
