use std::process::ExitCode;

use cni::{Error, code};
use kernel::{link, netns};

use crate::args::{Netns, NetnsCommand};
use crate::fault::Done;
use crate::session::Session;
use crate::{namespace, output};

/// `cais netns`.
pub(crate) fn run(session: &Session, args: &Netns) -> Done {
    match &args.command {
        NetnsCommand::Add { name } => {
            let pin = namespace::pin(name)?;
            let made = netns::create(&pin).map_err(|e| {
                Error::from_chain(code::IO, &e)
                    .with_hint("this needs root: run it inside `cais lab` if you are not")
            })?;
            lo_up(&made)?;
            if session.json {
                output::json(&serde_json::json!({ "netns": pin.display().to_string() }))?;
            }
        }
        NetnsCommand::Del { name } => {
            netns::delete(namespace::pin(name)?).map_err(|e| Error::from_chain(code::IO, &e))?;
        }
        NetnsCommand::List => {
            let names = namespace::pins()?;
            if session.json {
                output::json(&names)?;
            } else {
                output::print(&names.iter().map(|name| format!("{name}\n")).collect::<String>())?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Sets `lo` up, which is down in a new namespace.
pub(crate) fn lo_up(netns: &netns::Netns) -> Result<(), Error> {
    let failed = |e: &dyn std::error::Error| Error::from_chain(code::IO, e);
    let lo = "lo".parse::<types::IfName>().expect("a valid name");
    let socket = netns.socket().map_err(|e| failed(&e))?;
    socket.run(&link::set(&lo).up().request()).map_err(|e| failed(&e))
}
