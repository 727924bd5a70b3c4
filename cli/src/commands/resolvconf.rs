use std::process::ExitCode;

use cni::{Dns, Error, code};

use crate::args::Resolvconf;
use crate::fault::Done;
use crate::output;
use crate::session::Session;
use crate::{container, files};

/// `cais resolvconf`: for runtimes that do not look at the name servers of a result.
pub(crate) fn run(session: &Session, args: &Resolvconf) -> Done {
    let id = container::parse_id(&args.container)?;
    let mut found = session.runtime().cache().attachments()?;
    found.retain(|cached| {
        let key = &cached.attachment;
        key.container == id
            && args.network.as_ref().is_none_or(|name| key.network.as_str() == name)
            && args.ifname.as_ref().is_none_or(|name| key.ifname.as_str() == name)
    });
    // In the order of attachment: eth0 first.
    found.sort_by(|a, b| a.attachment.ifname.cmp(&b.attachment.ifname));
    let mut dns = Dns::default();
    for result in found.iter().filter_map(|cached| cached.result.as_deref()) {
        files::merge(&mut dns, result.as_bytes());
    }
    if found.is_empty() {
        let text = format!("find what {id} is attached to: nothing is recorded");
        return Err(Error::new(code::UNKNOWN_CONTAINER, text)
            .with_hint("`cais attachments` lists what is attached, by whatever runtime")
            .into());
    }
    if session.json {
        output::json(&serde_json::json!({
            "nameservers": dns.nameservers,
            "domain": dns.domain,
            "search": dns.search,
            "options": dns.options,
        }))?;
    } else {
        output::print(&files::resolv_conf(&dns))?;
    }
    Ok(ExitCode::SUCCESS)
}
