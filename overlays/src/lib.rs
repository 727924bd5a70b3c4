//! The way to the daemon of overlay networks, for the plugin and the command.
//!
//! What is said is [`peers::message`]; the daemon's side is the crate `overlay-agent`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cni::{Error, code};
use control::{Channel, Daemon};
use peers::message::{PROGRAM, Reply, Request, SOCKET};

/// The daemon.
const DAEMON: Daemon = Daemon { program: PROGRAM };

/// STATUS answers soon.
const STATUS: Duration = Duration::from_millis(500);
/// How long it may take to start the daemon again where it was killed.
const REVIVAL: Duration = Duration::from_secs(2);
/// How often a daemon that went away in the middle of a call is asked again.
const TRIES: u32 = 4;

/// The way to the daemon of one run directory. It keeps no connection.
#[derive(Clone, Debug)]
pub struct Client<'a> {
    run_dir: PathBuf,
    socket: PathBuf,
    plugin_path: &'a [PathBuf],
}

impl<'a> Client<'a> {
    /// For the daemon of `run_dir`, which is `/run/cais` but in tests and labs. Its program is looked
    /// for beside the caller's own, then in `plugin_path`, the directories of `CNI_PATH`.
    #[must_use]
    pub fn new(run_dir: &Path, plugin_path: &'a [PathBuf]) -> Self {
        Self { run_dir: run_dir.to_owned(), socket: run_dir.join(SOCKET), plugin_path }
    }

    /// Asks the daemon, which is started where none runs, and hears the whole answer.
    ///
    /// # Errors
    /// What the daemon refused; code 11 when that takes longer than `patience`; code 50 where there is
    /// no such program.
    pub fn ask(&self, request: &Request, patience: Duration) -> Result<String, Error> {
        let until = Instant::now() + patience;
        for _ in 0..TRIES {
            match DAEMON.connect(&self.socket, until)? {
                None => self.start(until)?,
                // It may end at any time, and all is asked again then.
                Some(channel) => {
                    if let Some(text) = hear(&channel, request)? {
                        return Ok(text);
                    }
                }
            }
        }
        let text = "cais-overlayd ends as soon as it is asked something";
        Err(Error::new(code::NOT_AVAILABLE, text).with_hint(format!(
            "journalctl -u cais-overlayd, or {}, says why",
            self.socket.with_extension("log").display()
        )))
    }

    /// Whether the daemon can be asked, or started.
    ///
    /// # Errors
    /// Code 50.
    pub fn available(&self) -> Result<(), Error> {
        match DAEMON.connect(&self.socket, Instant::now() + STATUS).map_err(Error::unavailable)? {
            Some(_) => Ok(()),
            None => control::find(PROGRAM, self.plugin_path).map(drop).map_err(Error::unavailable),
        }
    }

    /// Starts the daemon where it was killed and nobody else starts it again.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn revive(&self) -> Result<(), Error> {
        let until = Instant::now() + REVIVAL;
        match DAEMON.connect(&self.socket, until)? {
            Some(_) => Ok(()),
            None => self.start(until),
        }
    }

    /// Starts a daemon unless another call has meanwhile.
    fn start(&self, until: Instant) -> Result<(), Error> {
        let lock = self.run_dir.join("overlay/starting");
        let _lock = control::lock(&lock, until, "start cais-overlayd")?;
        match DAEMON.connect(&self.socket, until)? {
            Some(_) => Ok(()),
            None => DAEMON.start(&self.socket, self.plugin_path, until),
        }
    }
}

/// Asks and hears all parts of the answer; `None` when the daemon ended meanwhile.
fn hear(channel: &Channel<'_>, request: &Request) -> Result<Option<String>, Error> {
    let mut all = String::new();
    let mut heard = channel.ask(&request.encode(), &[])?;
    loop {
        let Some(bytes) = heard else { return Ok(None) };
        let reply = Reply::parse(&bytes).map_err(|why| {
            Error::new(code::DECODE, format!("cais-overlayd answered something else: {why}"))
                .with_hint("it is of another version: systemctl restart cais-overlayd")
        })?;
        match reply {
            Reply::Done => return Ok(Some(all)),
            Reply::Refused { code, text, hint } => {
                return Err(Error::new(code, text).with_hint_if_any(hint));
            }
            Reply::Text { text, more } => {
                all.push_str(&text);
                if !more {
                    return Ok(Some(all));
                }
            }
        }
        heard = channel.hear()?;
    }
}
