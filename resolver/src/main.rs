//! The program: started by plugins or systemd.

use std::path::Path;
use std::process::ExitCode;

use cni::Error;
use resolver::keeper::Named;

const USAGE: &str = "\
cais-dnsd answers to names of containers. Plugins start it when the first container has a name, or
systemd does (`cais-dnsd.socket`), and it ends when there has been none for a while.
It is not to be run by hand; `cais dns status` asks it, and `docs/cais-dnsd.md` says more.";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let ended = match &*arguments {
        [verb, socket] if verb == control::START => control::start_detached(Path::new(socket)),
        [verb, socket] if verb == control::SERVE => serve(Path::new(socket)),
        [verb, socket] if verb == resolver::keeper::RESUME => {
            resolver::keeper::resume(Path::new(socket))
                .map_err(|error| failed("go on as the program that is installed now", &error))
        }
        // The path is for people who look at lists of processes.
        [verb, _socket] if verb == resolver::WORK => {
            resolver::work().map_err(|error| failed("answer", &error))
        }
        [version] if version == "--version" => {
            println!("cais-dnsd {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        [help] if help == "--help" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cais-dnsd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(socket: &Path) -> Result<(), Error> {
    let taken = match control::activated() {
        Some(passed) => passed.map(|control| (control, Named::BySystemd)),
        None => control::inherited().map(|control| (control, Named::ByClient)),
    };
    let (control, named) = taken.map_err(|error| {
        failed("take the control socket", &error)
            .with_hint("plugins and systemd start this program, nobody else")
    })?;
    resolver::keeper::run(control, socket, named).map_err(|error| failed("keep answering", &error))
}

fn failed(step: &str, error: &std::io::Error) -> Error {
    Error::new(cni::code::IO, format!("{step}: {error}"))
}
