use std::process::ExitCode;

use cni::runtime::Checked;

use crate::args::Attach;
use crate::fault::Done;
use crate::session::Session;
use crate::{container, namespace, network, output};

/// `cais check`.
pub(crate) fn run(session: &Session, args: &Attach) -> Done {
    let list = network::load(&args.network)?;
    let place = namespace::find(session, &args.netns)?;
    let mut container = container::from_options(&args.attachment, Some(&place))?;
    place.open()?;
    let runtime = session.runtime();
    super::del::complete_from_cache(&runtime, &list, &mut container);
    let checked = runtime.check(&list, &container)?;
    if session.json {
        let checked = checked == Checked::Intact;
        output::json(&serde_json::json!({ "checked": checked }))?;
    } else if checked == Checked::Disabled {
        output::note(&format!("network {} says disableCheck: not checked", list.name()));
    }
    Ok(ExitCode::SUCCESS)
}
