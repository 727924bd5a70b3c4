//! What is said on the control socket of the host's daemon: one JSON object per message.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use types::NetworkName;

use crate::error::{Error, check_layout, invalid};

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
    /// A text.
    Text(String),
}

#[derive(Default, Serialize, Deserialize)]
struct Asked {
    v: u32,
    op: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<String>,
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
}

const NEVER_FAILS: &str = "it has text keys and no failing parts";

impl Request {
    /// Reads one.
    ///
    /// # Errors
    /// [`Error::Layout`], else [`Error::Invalid`] with what is wrong where.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        check_layout(bytes)?;
        let asked: Asked = serde_json::from_slice(bytes).map_err(|why| invalid(&why))?;
        let network = || {
            let name = asked.network.as_deref().unwrap_or_default();
            name.parse().map_err(|why| Error::Invalid(format!("key \"network\": {why}")))
        };
        Ok(match &*asked.op {
            "ensure" => {
                Self::Ensure { network: network()?, store: asked.store, create: asked.create }
            }
            "more" => Self::More { network: network()? },
            "status" => Self::Status,
            "reload" => Self::Reload,
            "leave" => Self::Leave,
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
        }
        .to_owned();
        serde_json::to_vec(&asked).expect(NEVER_FAILS)
    }
}

impl Reply {
    /// Reads one.
    ///
    /// # Errors
    /// [`Error::Layout`], else [`Error::Invalid`] with what is wrong where.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        check_layout(bytes)?;
        let answered: Answered = serde_json::from_slice(bytes).map_err(|why| invalid(&why))?;
        Ok(match answered {
            Answered { code: Some(code), text, hint, .. } => {
                Self::Refused { code, text: text.unwrap_or_default(), hint }
            }
            Answered { text: Some(text), .. } => Self::Text(text),
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
            Self::Text(text) => answered.text = Some(text.clone()),
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
    fn another_layout_an_unknown_op_and_nonsense_are_errors() {
        for text in ["{\"v\":1,\"op\":\"dance\"}", "{\"v\":2,\"op\":\"status\"}", "", "[]", "{"] {
            assert!(Request::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
