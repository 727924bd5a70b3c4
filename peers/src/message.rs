//! What is said on the control socket of the host's daemon: one JSON object per message.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use types::NetworkName;

use crate::error::{Error, parse};
use crate::ids::HostId;

/// Name of the control socket in the run directory.
pub const SOCKET: &str = "overlay.sock";

/// File name of the daemon's program, beside the plugins.
pub const PROGRAM: &str = "cais-overlayd";

/// What a client asks for.
#[derive(Debug)]
pub enum Request {
    /// Take part in a network: the reply comes when its node file is there.
    Ensure {
        /// Which.
        network: NetworkName,
        /// Where hosts tell each other of it, as the plugin's configuration says, for a daemon that
        /// has no configuration of its own.
        store: Option<Box<RawValue>>,
        /// How it is to be, for the first host that takes part.
        create: Option<Box<RawValue>>,
    },
    /// Get more addresses of a network that this host takes part in: all that it has are in use.
    More {
        /// Which.
        network: NetworkName,
    },
    /// Say what the daemon is and does, as one JSON object.
    Status,
    /// Read and write everything again: links, routes, rules and node files.
    Reload,
    /// Take this host out of the store, with all that it has there, and end.
    Leave,
    /// Look at the store, or change it, on behalf of an administrator: the reply is JSON.
    Admin(Admin),
}

/// What an administrator asks the store for, by way of the daemon, which may read and write it.
#[derive(Debug)]
pub enum Admin {
    /// All networks.
    Networks,
    /// One network, with who has which blocks.
    Network(NetworkName),
    /// A new one.
    CreateNetwork {
        /// Its name.
        network: NetworkName,
        /// How it is to be: key `create` of the plugin.
        create: Box<RawValue>,
    },
    /// One network gone, that nobody has blocks of.
    RemoveNetwork(NetworkName),
    /// All hosts.
    Hosts,
    /// No more addresses are handed out from the blocks of a host.
    DrainHost(HostId),
    /// A host gone that is not there any more, with all that it had.
    RemoveHost(HostId),
    /// All blocks, or those of a network.
    Blocks(Option<NetworkName>),
}

/// What the daemon answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done.
    Done,
    /// It is not.
    Refused {
        /// The code of the error.
        code: u32,
        /// What was tried and why it failed.
        text: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A text, or a part of one.
    Text {
        /// The part.
        text: String,
        /// Whether another follows.
        more: bool,
    },
}

#[derive(Default, Serialize, Deserialize)]
struct Asked {
    v: u32,
    op: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    store: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    create: Option<Box<RawValue>>,
}

#[derive(Default, Serialize, Deserialize)]
struct Answered {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

const NEVER_FAILS: &str = "it has text keys and no failing parts";

impl Request {
    /// Reads one.
    ///
    /// # Errors
    /// [`Error::Layout`], else [`Error::Invalid`] with what is wrong where.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let asked: Asked = parse(bytes)?;
        let network = || {
            let name = asked.network.as_deref().unwrap_or_default();
            name.parse().map_err(|why| Error::Invalid(format!("key \"network\": {why}")))
        };
        let host = || {
            let id = asked.host.as_deref().unwrap_or_default();
            id.parse().map_err(|why| Error::Invalid(format!("key \"host\": {why}")))
        };
        Ok(match &*asked.op {
            "ensure" => {
                Self::Ensure { network: network()?, store: asked.store, create: asked.create }
            }
            "more" => Self::More { network: network()? },
            "status" => Self::Status,
            "reload" => Self::Reload,
            "leave" => Self::Leave,
            "networks" => Self::Admin(Admin::Networks),
            "network" => Self::Admin(Admin::Network(network()?)),
            "create-network" => {
                let network = network()?;
                let missing = || Error::Invalid("key \"create\": missing".to_owned());
                let create = asked.create.ok_or_else(missing)?;
                Self::Admin(Admin::CreateNetwork { network, create })
            }
            "remove-network" => Self::Admin(Admin::RemoveNetwork(network()?)),
            "hosts" => Self::Admin(Admin::Hosts),
            "drain-host" => Self::Admin(Admin::DrainHost(host()?)),
            "remove-host" => Self::Admin(Admin::RemoveHost(host()?)),
            "blocks" => {
                let network = asked.network.as_ref().map(|_| network()).transpose()?;
                Self::Admin(Admin::Blocks(network))
            }
            op => return Err(Error::Invalid(format!("key \"op\": nothing is called {op:?}"))),
        })
    }

    /// As bytes to send.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut asked = Asked { v: crate::LAYOUT, ..Asked::default() };
        asked.op = match self {
            Self::Ensure { network, store, create } => {
                asked.network = Some(network.to_string());
                (asked.store, asked.create) = (store.clone(), create.clone());
                "ensure"
            }
            Self::More { network } => {
                asked.network = Some(network.to_string());
                "more"
            }
            Self::Status => "status",
            Self::Reload => "reload",
            Self::Leave => "leave",
            Self::Admin(admin) => admin.fill(&mut asked),
        }
        .to_owned();
        serde_json::to_vec(&asked).expect(NEVER_FAILS)
    }
}

impl Admin {
    /// Its op, and what belongs to it.
    fn fill(&self, asked: &mut Asked) -> &'static str {
        match self {
            Self::Networks => "networks",
            Self::Network(network) => {
                asked.network = Some(network.to_string());
                "network"
            }
            Self::CreateNetwork { network, create } => {
                asked.network = Some(network.to_string());
                asked.create = Some(create.clone());
                "create-network"
            }
            Self::RemoveNetwork(network) => {
                asked.network = Some(network.to_string());
                "remove-network"
            }
            Self::Hosts => "hosts",
            Self::DrainHost(host) => {
                asked.host = Some(host.to_string());
                "drain-host"
            }
            Self::RemoveHost(host) => {
                asked.host = Some(host.to_string());
                "remove-host"
            }
            Self::Blocks(network) => {
                asked.network = network.as_ref().map(ToString::to_string);
                "blocks"
            }
        }
    }
}

impl Reply {
    /// A text in parts that each fit into a message of `most` bytes.
    #[must_use]
    pub fn texts(text: &str, most: usize) -> Vec<Self> {
        // Escaped, each byte may take six, and the rest of the message a few.
        let room = (most - 256) / 6;
        let mut parts = Vec::new();
        let mut rest = text;
        while rest.len() > room {
            let end = (0..=room).rev().find(|at| rest.is_char_boundary(*at)).unwrap_or(0);
            let (part, after) = rest.split_at(end);
            parts.push(Self::Text { text: part.to_owned(), more: true });
            rest = after;
        }
        parts.push(Self::Text { text: rest.to_owned(), more: false });
        parts
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`Error::Layout`], else [`Error::Invalid`] with what is wrong where.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let answered: Answered = parse(bytes)?;
        Ok(match answered {
            Answered { code: Some(code), text, hint, .. } => {
                Self::Refused { code, text: text.unwrap_or_default(), hint }
            }
            Answered { text: Some(text), more, .. } => Self::Text { text, more },
            _ => Self::Done,
        })
    }

    /// As bytes to send.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut answered = Answered { v: crate::LAYOUT, ..Answered::default() };
        match self {
            Self::Done => {}
            Self::Refused { code, text, hint } => {
                answered.code = Some(*code);
                (answered.text, answered.hint) = (Some(text.clone()), hint.clone());
            }
            Self::Text { text, more } => {
                (answered.text, answered.more) = (Some(text.clone()), *more);
            }
        }
        serde_json::to_vec(&answered).expect(NEVER_FAILS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let ensure = Request::Ensure {
            network: "blue".parse().unwrap(),
            store: Some(raw("{\"type\":\"etcd\"}")),
            create: None,
        };
        let Request::Ensure { network, store, create: None } =
            Request::parse(&ensure.encode()).unwrap()
        else {
            panic!("it became another")
        };
        assert_eq!((network.as_str(), store.unwrap().get()), ("blue", "{\"type\":\"etcd\"}"));
        let refused = Reply::Refused { code: 11, text: "no".to_owned(), hint: None };
        assert_eq!(Reply::parse(&refused.encode()).unwrap(), refused);
    }

    #[test]
    fn a_long_text_is_sent_in_parts_that_fit() {
        let text = "é\"".repeat(50_000);
        let parts = Reply::texts(&text, 65_536);
        assert!(parts.len() > 1);
        let mut all = String::new();
        for (number, part) in parts.iter().enumerate() {
            assert!(part.encode().len() <= 65_536);
            let Reply::Text { text, more } = Reply::parse(&part.encode()).unwrap() else {
                panic!("it is no text")
            };
            assert_eq!(more, number + 1 < parts.len());
            all.push_str(&text);
        }
        assert_eq!(all, text);
    }

    #[test]
    fn another_layout_an_unknown_op_and_nonsense_are_errors() {
        for text in ["{\"v\":1,\"op\":\"dance\"}", "{\"v\":2,\"op\":\"status\"}", "", "[]", "{"] {
            assert!(Request::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
