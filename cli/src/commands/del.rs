use std::process::ExitCode;

use cni::runtime::{Container, NetworkList, Runtime};
use types::{Attachment, NetworkName};

use crate::args::Detach;
use crate::fault::Done;
use crate::network::Called;
use crate::session::Session;
use crate::{container, namespace, network, output};

/// `cais del`.
pub(crate) fn run(session: &Session, args: &Detach) -> Done {
    let place = match &args.netns {
        None => None,
        Some(text) => Some(namespace::find(session, text)?),
    };
    let mut container = container::from_options(&args.attachment, place.as_ref())?;
    let runtime = session.runtime();
    let list = load_or_recall(&runtime, &args.network, &container)?;
    // By name alone it may have been attached under the other path of /run/netns.
    if let (None, Some(also)) = (&args.attachment.id, place.and_then(|place| place.also)) {
        let known = |c: &Container| runtime.cache().read(&c.attachment(&list)).is_some();
        let mut other = container.clone();
        other.id = container::cnitool_id(&also);
        other.netns = Some(also);
        if !known(&container) && known(&other) {
            container = other;
        }
    }
    complete_from_cache(&runtime, &list, &mut container);
    runtime.del(&list, &container)?;
    if session.json {
        output::json(&serde_json::json!({ "detached": container.attachment(&list).to_string() }))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What was given at ADD and is not given now: namespace, args and values of capabilities.
pub(crate) fn complete_from_cache(
    runtime: &Runtime,
    list: &NetworkList,
    container: &mut Container,
) {
    let Some(cached) = runtime.cache().read(&container.attachment(list)) else { return };
    if container.netns.is_none() {
        container.netns = cached.netns;
    }
    if container.args.is_empty() {
        container.args = cached.args;
    }
    if container.capabilities.is_empty() {
        container.capabilities = cached.capabilities;
    }
}

/// The network's list, or the one that its ADD was called with where it is gone or broken now: a
/// container must not be stuck because a file was.
fn load_or_recall(
    runtime: &Runtime,
    text: &str,
    container: &Container,
) -> Result<NetworkList, cni::Error> {
    let error = match network::load(text) {
        Ok(list) => return Ok(list),
        Err(error) => error,
    };
    let Ok(Called::Name(name)) = network::called(text) else { return Err(error) };
    let Some(list) = recall(runtime, name, container) else { return Err(error) };
    output::note(&format!("{}; using the list that it was attached with", error.msg));
    Ok(list)
}

fn recall(runtime: &Runtime, network: NetworkName, container: &Container) -> Option<NetworkList> {
    let attachment =
        Attachment { network, container: container.id.clone(), ifname: container.ifname.clone() };
    NetworkList::parse(&runtime.cache().read(&attachment)?.config).ok()
}
