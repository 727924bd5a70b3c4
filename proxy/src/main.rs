//! The program: started by plugins, never by hand.

use std::path::Path;
use std::process::ExitCode;

use proxy::daemon;

const USAGE: &str = "\
cais-proxy passes on what arrives at published ports on [::1], and from IPv6 clients to containers
that have only IPv4. Plugins start it when a port needs it, and it ends with the last such port.
It is not to be run by hand; `docs/proxy.md` says more.";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let ended = match &*arguments {
        [verb, socket] if verb == daemon::START => daemon::start(Path::new(socket)),
        [verb, socket] if verb == daemon::SERVE => daemon::serve(Path::new(socket)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cais-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}
