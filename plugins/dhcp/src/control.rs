//! What is said on the control socket: one request, one answer, each one packet of JSON.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use cni::{Error, code};
use control::{Channel, Daemon};
use serde::{Deserialize, Serialize};
use types::Attachment;

use crate::config::Spec;
use crate::lease::Lease;

/// The daemon as its clients see it.
const DAEMON: Daemon = Daemon { program: "dhcp daemon" };

/// Where it listens is in this key.
const PATH_KEY: &str = "ipam.daemonSocketPath";

/// How long anything but looking for a lease may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client waits for a lease: longer than the daemon does by default, less than those wait
/// who run the plugin.
pub(crate) const LOOKING: Duration = Duration::from_secs(215);

/// Whom a request is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    network: String,
    container: String,
    ifname: String,
}

impl From<&Attachment> for Key {
    fn from(key: &Attachment) -> Self {
        Self {
            network: key.network.to_string(),
            container: key.container.to_string(),
            ifname: key.ifname.to_string(),
        }
    }
}

impl Key {
    /// The key in types that cannot be wrong.
    ///
    /// # Errors
    /// Code 4 when it is none.
    pub(crate) fn attachment(&self) -> Result<Attachment, Error> {
        let bad =
            |part: &str| Error::new(code::INVALID_ENVIRONMENT, format!("{part:?} is no name"));
        Ok(Attachment {
            network: self.network.parse().map_err(|_| bad(&self.network))?,
            container: self.container.parse().map_err(|_| bad(&self.container))?,
            ifname: self.ifname.parse().map_err(|_| bad(&self.ifname))?,
        })
    }
}

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Request {
    /// A lease: the one that is held, or a new one.
    Add(Add),
    /// The lease that is held.
    Check {
        /// Whose.
        key: Key,
    },
    /// The lease given back and forgotten.
    Del {
        /// Whose.
        key: Key,
    },
}

/// A lease that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Add {
    /// Whose.
    pub(crate) key: Key,
    /// Path of the container's namespace, absolute.
    pub(crate) netns: String,
    /// What the server is told and asked.
    pub(crate) spec: Spec,
    /// Metric of all routes.
    pub(crate) priority: u32,
    /// The address that it has already, from another daemon.
    pub(crate) wanted: Option<Ipv4Addr>,
    /// How many seconds the client waits at most.
    pub(crate) within: u64,
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reply {
    /// The lease.
    Lease {
        /// What the server gave.
        lease: Box<Lease>,
    },
    /// Nothing is held.
    Nothing,
    /// It is forgotten.
    Forgotten {
        /// Why the server could not be told, if it could not.
        unreleased: Option<String>,
    },
    /// It cannot be done.
    Refused {
        /// Code of the protocol.
        code: u32,
        /// What was tried and why it failed.
        msg: String,
        /// More, or nothing.
        details: String,
    },
}

impl From<Error> for Reply {
    fn from(error: Error) -> Self {
        Self::Refused { code: error.code, msg: error.msg, details: error.details }
    }
}

/// A connection to the daemon, which ends with the first request.
pub(crate) struct Client<'a> {
    channel: Channel<'a>,
    path: &'a Path,
}

impl<'a> Client<'a> {
    /// Connects to the daemon at `path`, for a request that may take `limit`; `None` where none
    /// listens.
    ///
    /// # Errors
    /// Code 11 in time; code 5 with what the system said.
    pub(crate) fn connect(path: &'a Path, limit: Duration) -> Result<Option<Self>, Error> {
        let connected = DAEMON.connect(path, Instant::now() + limit);
        let channel = connected.map_err(|error| error.in_step(PATH_KEY))?;
        Ok(channel.map(|channel| Self { channel, path }))
    }

    /// As [`Self::connect`], for what nobody else can do.
    ///
    /// # Errors
    /// Code 5 when none listens, too.
    pub(crate) fn must_connect(path: &'a Path, limit: Duration) -> Result<Self, Error> {
        Self::connect(path, limit)?.ok_or_else(|| {
            let text =
                format!("{PATH_KEY}: connect to {}: no dhcp daemon listens there", path.display());
            Error::new(code::IO, text).with_hint("start `dhcp daemon`, or enable cais-dhcp.socket")
        })
    }

    /// Says `request` and hears the answer.
    ///
    /// # Errors
    /// The daemon's own; code 11 in time, and when it ends meanwhile.
    pub(crate) fn ask(self, request: &Request) -> Result<Reply, Error> {
        let text = serde_json::to_vec(request).expect("it has text keys and no failing parts");
        let answer = self.channel.ask(&text, &[])?.ok_or_else(|| {
            let text = format!("dhcp daemon at {} ended before it answered", self.path.display());
            Error::new(code::TRY_AGAIN, text)
        })?;
        match serde_json::from_slice(&answer) {
            Ok(Reply::Refused { code, msg, details }) => Err(Error { code, msg, details }),
            Ok(reply) => Ok(reply),
            Err(error) => Err(Error::new(
                code::DECODE,
                format!("understand dhcp daemon at {}: {error}", self.path.display()),
            )
            .with_hint("plugin and daemon are of different versions: start the daemon again")),
        }
    }
}
