use std::process::ExitCode;

use cni::runtime::{Collection, Valid};
use cni::{Error, GcAttachment, code};

use crate::args::Gc;
use crate::fault::Done;
use crate::session::Session;
use crate::{container, network, output};

/// `cais gc`.
pub(crate) fn run(session: &Session, args: &Gc) -> Done {
    let list = network::load(&args.network)?;
    let valid = valid(args)?;
    let runtime = session.runtime();
    let done =
        if args.dry_run { runtime.plan_gc(&list, &valid)? } else { runtime.gc(&list, &valid)? };
    if session.json {
        output::json(&answer(&done, args.dry_run))?;
        return Ok(ExitCode::SUCCESS);
    }
    if list.disables_gc() {
        output::note(&format!("network {} says disableGC: nothing was done", list.name()));
    }
    let removed = if args.dry_run { "would remove" } else { "removed" };
    let mut text = String::new();
    for attachment in &done.removed {
        text.push_str(&format!("{removed} {attachment}\n"));
    }
    for attachment in &done.kept {
        text.push_str(&format!("kept {attachment}\n"));
    }
    output::print(&text)?;
    for plugin in &done.unasked {
        output::note(&format!(
            "plugin {plugin} was not asked: without --keep it might remove what lives"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn valid(args: &Gc) -> Result<Valid, Error> {
    if args.keep.is_empty() && !args.keep_none {
        return Ok(Valid::Living);
    }
    args.keep.iter().map(|text| kept(text)).collect::<Result<_, _>>().map(Valid::Only)
}

/// `ID` or `ID/IFNAME`, as `cais attachments` prints it behind the network.
fn kept(text: &str) -> Result<GcAttachment, Error> {
    let (id, ifname) = match text.split_once('/') {
        None => (text, None),
        Some((id, ifname)) => (id, Some(ifname)),
    };
    let ifname = ifname
        .map(str::parse)
        .transpose()
        .map_err(|e| Error::new(code::INVALID_ENVIRONMENT, format!("--keep {text}: {e}")))?;
    Ok(GcAttachment { container: container::parse_id(id)?, ifname })
}

fn answer(done: &Collection, dry_run: bool) -> serde_json::Value {
    let texts = |list: &[types::Attachment]| -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    };
    serde_json::json!({
        "dryRun": dry_run,
        "removed": texts(&done.removed),
        "kept": texts(&done.kept),
        "asked": done.asked,
        "unasked": done.unasked,
    })
}
