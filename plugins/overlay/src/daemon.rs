//! The daemon of this host, as far as this plugin needs it: for the first container of a network, and
//! for one that finds all addresses taken.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cni::{Error, code};
use control::Daemon;
use peers::message::{PROGRAM, Reply, Request, SOCKET};
use types::NetworkName;

/// The daemon.
const DAEMON: Daemon = Daemon { program: PROGRAM };

/// How long the daemon may take for a network that is new to this host.
const READY: Duration = Duration::from_secs(10);
/// How long an ADD waits for more addresses.
const MORE: Duration = Duration::from_secs(2);
/// STATUS answers soon.
const STATUS: Duration = Duration::from_millis(500);
/// How often a daemon that went away in the middle of a call is asked again.
const TRIES: u32 = 4;

/// Lets the daemon take part in `network`; it is started where none runs.
///
/// # Errors
/// What the daemon says; code 11 at the deadline, 50 where there is no such program.
pub(crate) fn ensure(
    network: &NetworkName,
    etcd: &crate::config::Etcd,
    run_dir: &Path,
    plugin_path: &[PathBuf],
) -> Result<(), Error> {
    let request = Request::Ensure {
        network: network.clone(),
        store: etcd.store.clone(),
        create: etcd.create.clone(),
    };
    ask(&request, run_dir, Some(plugin_path), READY)
}

/// Lets the daemon get more addresses of `network`.
///
/// # Errors
/// Why there are none.
pub(crate) fn more(network: &NetworkName, run_dir: &Path) -> Result<(), Error> {
    ask(&Request::More { network: network.clone() }, run_dir, None, MORE)
}

/// Whether the daemon can be asked, or started.
///
/// # Errors
/// Code 50.
pub(crate) fn available(run_dir: &Path, plugin_path: &[PathBuf]) -> Result<(), Error> {
    let socket = run_dir.join(SOCKET);
    match DAEMON.connect(&socket, Instant::now() + STATUS).map_err(Error::unavailable)? {
        Some(_) => Ok(()),
        None => control::find(PROGRAM, plugin_path).map(drop).map_err(Error::unavailable),
    }
}

/// Asks the daemon, which is started where none runs if `plugin_path` is given.
fn ask(
    request: &Request,
    run_dir: &Path,
    plugin_path: Option<&[PathBuf]>,
    patience: Duration,
) -> Result<(), Error> {
    let (until, socket) = (Instant::now() + patience, run_dir.join(SOCKET));
    for _ in 0..TRIES {
        let Some(channel) = DAEMON.connect(&socket, until)? else {
            let Some(plugin_path) = plugin_path else {
                let text = format!("nobody listens at {}", socket.display());
                return Err(Error::new(code::TRY_AGAIN, text)
                    .with_hint("start cais-overlayd on this host: systemctl start cais-overlayd"));
            };
            start(run_dir, &socket, plugin_path, until)?;
            continue;
        };
        // It may end at any time, and all is asked again then.
        let Some(reply) = channel.ask(&request.encode(), &[])? else { continue };
        let reply = Reply::parse(&reply).map_err(|why| {
            Error::new(code::DECODE, format!("cais-overlayd answered something else: {why}"))
                .with_hint("it is of another version: systemctl restart cais-overlayd")
        })?;
        return match reply {
            Reply::Refused { code, text, hint } => Err(match hint {
                Some(hint) => Error::new(code, text).with_hint(hint),
                None => Error::new(code, text),
            }),
            Reply::Done | Reply::Text(_) => Ok(()),
        };
    }
    let text = "cais-overlayd ends as soon as it is asked something";
    Err(Error::new(code::NOT_AVAILABLE, text).with_hint("journalctl -u cais-overlayd says why"))
}

/// Starts the daemon again where it was killed and nobody else does. The way to the others does not
/// depend on it at the moment, so what goes wrong is only said.
pub(crate) fn revive(run_dir: &Path, plugin_path: &[PathBuf]) {
    let (until, socket) = (Instant::now() + MORE, run_dir.join(SOCKET));
    let revived = match DAEMON.connect(&socket, until) {
        Ok(None) => start(run_dir, &socket, plugin_path, until),
        connected => connected.map(drop),
    };
    if let Err(error) = revived {
        cni::warn(crate::NAME, &format!("cais-overlayd does not run: {error}"));
    }
}

/// Starts a daemon unless another call has meanwhile.
fn start(
    run_dir: &Path,
    socket: &Path,
    plugin_path: &[PathBuf],
    until: Instant,
) -> Result<(), Error> {
    let _lock = control::lock(&run_dir.join("overlay/starting"), until, "start cais-overlayd")?;
    match DAEMON.connect(socket, until)? {
        Some(_) => Ok(()),
        None => DAEMON.start(socket, plugin_path, until),
    }
}
