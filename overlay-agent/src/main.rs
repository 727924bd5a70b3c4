//! The program: started by plugins or systemd.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use cni::Error;

const USAGE: &str = "\
cais-overlayd keeps this host's part of overlay networks. The plugin `overlay` starts it when it is
needed, or systemd does (`cais-overlayd.socket`).
It is not to be run by hand; `cais overlay status` asks it, and `docs/overlay/` says more.";

/// A longer log is set aside at the next start.
const LOG_MAX_BYTES: u64 = 1 << 20;

/// What systemd is told not to start again: another machine lives under this host's id.
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let ended = match &*arguments {
        [verb, socket] if verb == control::START => control::start_detached(Path::new(socket)),
        [verb, socket] if verb == control::SERVE => return serve(Path::new(socket)),
        [version] if version == "--version" => {
            println!("cais-overlayd {}", env!("CARGO_PKG_VERSION"));
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
        Err(error) => failed(&error),
    }
}

fn serve(socket: &Path) -> ExitCode {
    let taken = control::activated().unwrap_or_else(|| {
        let control = control::inherited();
        if let Err(error) = log_beside(socket) {
            eprintln!("cais-overlayd: log to a file: {error}");
        }
        control
    });
    let control = match taken {
        Ok(control) => control,
        Err(error) => {
            let text = format!("take the control socket: {error}");
            let error = Error::new(cni::code::IO, text)
                .with_hint("plugins and systemd start this program, nobody else");
            return failed(&error);
        }
    };
    match overlay_agent::daemon::serve(control, socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cais-overlayd: {error}");
            match error.kind() {
                io::ErrorKind::AlreadyExists => ExitCode::from(EX_CONFIG),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Where no service manager keeps what is said on standard error, the run directory does.
fn log_beside(socket: &Path) -> io::Result<()> {
    let path = socket.with_extension("log");
    if fs::metadata(&path).is_ok_and(|log| log.len() > LOG_MAX_BYTES) {
        fs::rename(&path, socket.with_extension("log.1"))?;
    }
    let log = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
    Ok(nix::unistd::dup2_stderr(&log)?)
}

fn failed(error: &Error) -> ExitCode {
    eprintln!("cais-overlayd: {error}");
    ExitCode::FAILURE
}
