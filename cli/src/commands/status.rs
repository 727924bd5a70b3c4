use std::process::ExitCode;

use cni::runtime::Readiness;

use crate::args::OfNetwork;
use crate::fault::Done;
use crate::session::Session;
use crate::{network, output};

/// `cais status`.
pub(crate) fn run(session: &Session, args: &OfNetwork) -> Done {
    let list = network::load(&args.network)?;
    let readiness = session.runtime().status(&list)?;
    let asked = readiness == Readiness::Ready;
    if session.json {
        output::json(&serde_json::json!({ "ready": true, "asked": asked }))?;
    } else if asked {
        output::print(&format!("{} is ready\n", list.name()))?;
    } else {
        output::print(&format!(
            "{} was not asked: its version {} has no STATUS\n",
            list.name(),
            list.version()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
