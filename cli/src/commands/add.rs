use std::process::ExitCode;

use crate::args::Attach;
use crate::fault::Done;
use crate::session::Session;
use crate::{container, namespace, network, output};

/// `cais add`.
pub(crate) fn run(session: &Session, args: &Attach) -> Done {
    let list = network::load(&args.network)?;
    let place = namespace::find(session, &args.netns)?;
    let container = container::from_options(&args.attachment, Some(&place))?;
    place.open()?;
    let result = session.runtime().add(&list, &container)?;
    // The result is JSON whatever the options say.
    output::print(&format!("{}\n", cni::json::indented(&String::from_utf8_lossy(&result))))?;
    Ok(ExitCode::SUCCESS)
}
