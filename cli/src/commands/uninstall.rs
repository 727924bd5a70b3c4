use std::io::ErrorKind;
use std::process::ExitCode;

use cni::{Error, code, state};

use super::handback;
use crate::args::Uninstall;
use crate::fault::Done;
use crate::installation::Installation;
use crate::output;
use crate::session::Session;

/// `cais uninstall`: no new containers, then the living ones given back, then the programs, and the
/// daemon of names.
pub(crate) fn run(session: &Session, args: &Uninstall) -> Done {
    let installation = Installation::at(&args.to);
    let Some(note) = installation.note()? else {
        let text = format!("uninstall from {}: nothing was installed there", args.to.display());
        return Err(Error::new(code::IO, text)
            .with_hint("name the directory that `cais install` was given in --to")
            .into());
    };
    for path in Installation::remove_networks(&note)? {
        output::note(&format!("{} was changed by hand and stays", path.display()));
    }
    handback::run(session)?;
    for name in installation.remove(&note)? {
        output::note(&format!(
            "{} is not what was installed and stays",
            args.to.join(name).display()
        ));
    }
    end_daemon()?;
    Ok(ExitCode::SUCCESS)
}

/// The daemon of names ends when its socket is gone.
fn end_daemon() -> Result<(), Error> {
    let socket = state::run_dir().join(names::SOCKET);
    match std::fs::remove_file(&socket) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            let text = format!("end the daemon of names by removing {}: {error}", socket.display());
            Err(Error::new(code::IO, text))
        }
        _ => Ok(()),
    }
}
