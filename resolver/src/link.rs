//! What the two processes of the daemon say to each other: one JSON object per message, with two
//! sockets beside it where there is a place to listen at.

use cni::json::Object;
use cni::{Error, code};
use names::{Place, Record};
use peers::{Elsewhere, HostId};
use serde::Serialize;
use serde_json::value::RawValue;
use types::{Attachment, NetworkName};

/// Sockets for datagrams and connections, at one place of one attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The attachment for which they were made.
    pub key: Attachment,
    /// Where they are.
    pub place: Place,
}

/// What the keeper says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToWorker {
    /// Listen by the two sockets beside this message.
    Listen(Listener),
    /// Answer for this.
    Know(Box<Record>),
    /// What containers of another host are called, or a part of that.
    Elsewhere {
        /// The part.
        names: Box<Elsewhere>,
        /// Whether another follows.
        more: bool,
    },
    /// This could not be read of what is remembered.
    Broken(String),
    /// That was all; what was not named is not known any more.
    Complete,
    /// This attachment is proven dead.
    Drop(Attachment),
}

/// What the worker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToKeeper {
    /// Queries are answered.
    Ready {
        /// The form in which the worker's program, as a keeper, reads what a former one hands on.
        layout: String,
    },
    /// Keep the two sockets beside this message, for whoever comes after this process.
    Keep(Listener),
    /// Those of this place are not needed any more.
    Forget(Listener),
    /// Say what containers of this host are called on this network.
    Look(NetworkName, HostId),
    /// There has been nothing to answer for, for as long as the configuration says.
    Idle,
    /// Say again what is remembered.
    Reload,
    /// Start the program that is installed now in place of this process.
    Upgrade,
}

#[derive(Default, Serialize)]
struct Shape<'a> {
    verb: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

fn written(verb: &str, record: Option<&Record>, text: Option<&str>) -> Vec<u8> {
    let record = record.map(|record| raw(record.encode()));
    Shape { verb, record, text, more: false }.encode()
}

fn raw(record: String) -> Box<RawValue> {
    RawValue::from_string(record).expect("a record is encoded as one JSON object")
}

impl Shape<'_> {
    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a message has text keys and no failing parts")
    }
}

/// A record that says nothing but whose it is, and one place.
fn bare(key: &Attachment, place: Option<&Place>) -> Record {
    Record::bare(key.clone(), place.cloned().into_iter().collect())
}

impl ToWorker {
    /// The message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Listen(Listener { key, place }) => {
                written("listen", Some(&bare(key, Some(place))), None)
            }
            Self::Know(record) => written("know", Some(record), None),
            Self::Elsewhere { names, more } => {
                let record = Some(raw(names.encode()));
                Shape { verb: "elsewhere", record, text: None, more: *more }.encode()
            }
            Self::Broken(text) => written("broken", None, Some(text)),
            Self::Complete => written("complete", None, None),
            Self::Drop(key) => written("drop", Some(&bare(key, None)), None),
        }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// What is wrong with which key.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let object = Object::parse(bytes)?;
        match verb(&object)?.as_str() {
            "listen" => Ok(Self::Listen(listener(&object)?)),
            "know" => Ok(Self::Know(Box::new(record(&object)?))),
            "elsewhere" => {
                let names = Elsewhere::parse(raw_record(&object).as_bytes());
                let names = names.map_err(|why| Error::new(code::DECODE, why.to_string()))?;
                Ok(Self::Elsewhere { names: Box::new(names), more: object.flag("more")? })
            }
            "broken" => Ok(Self::Broken(object.string("text")?.unwrap_or_default())),
            "complete" => Ok(Self::Complete),
            "drop" => Ok(Self::Drop(record(&object)?.key)),
            other => Err(unknown(other)),
        }
    }
}

impl ToKeeper {
    /// The message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ready { layout } => written("ready", None, Some(layout)),
            Self::Keep(Listener { key, place }) => {
                written("keep", Some(&bare(key, Some(place))), None)
            }
            Self::Forget(Listener { key, place }) => {
                written("forget", Some(&bare(key, Some(place))), None)
            }
            Self::Look(network, host) => written("look", None, Some(&format!("{network}/{host}"))),
            Self::Idle => written("idle", None, None),
            Self::Reload => written("reload", None, None),
            Self::Upgrade => written("upgrade", None, None),
        }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// What is wrong with which key.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let object = Object::parse(bytes)?;
        match verb(&object)?.as_str() {
            "ready" => Ok(Self::Ready { layout: object.string("text")?.unwrap_or_default() }),
            "keep" => Ok(Self::Keep(listener(&object)?)),
            "forget" => Ok(Self::Forget(listener(&object)?)),
            "look" => {
                let text = object.string("text")?.unwrap_or_default();
                let named = text.split_once('/');
                let named = named.and_then(|(network, host)| {
                    Some(Self::Look(network.parse().ok()?, host.parse().ok()?))
                });
                named.ok_or_else(|| {
                    let text = format!("key \"text\": {text:?} is no host of a network");
                    Error::new(code::INVALID_CONFIG, text)
                })
            }
            "idle" => Ok(Self::Idle),
            "reload" => Ok(Self::Reload),
            "upgrade" => Ok(Self::Upgrade),
            other => Err(unknown(other)),
        }
    }
}

fn verb(object: &Object<'_>) -> Result<String, Error> {
    Ok(object.string("verb")?.unwrap_or_default())
}

fn unknown(verb: &str) -> Error {
    Error::new(code::INVALID_CONFIG, format!("key \"verb\": unknown {verb:?}"))
}

fn record(object: &Object<'_>) -> Result<Record, Error> {
    Record::parse(raw_record(object).as_bytes())
}

fn raw_record(object: &Object<'_>) -> String {
    object.get("record").map(|value| value.raw().get().to_owned()).unwrap_or_default()
}

fn listener(object: &Object<'_>) -> Result<Listener, Error> {
    let Record { key, mut places, .. } = record(object)?;
    match (places.pop(), places.is_empty()) {
        (Some(place), true) => Ok(Listener { key, place }),
        _ => Err(Error::new(code::INVALID_CONFIG, "key \"record\": not one place")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let key = Attachment {
            network: "web".parse().unwrap(),
            container: "c1".parse().unwrap(),
            ifname: "eth0".parse().unwrap(),
        };
        let place = Place::Container { port: 1021 };
        let listener = Listener { key: key.clone(), place: place.clone() };
        let (network, host): (NetworkName, HostId) =
            ("web".parse().unwrap(), "7f3c".parse().unwrap());
        let elsewhere = Elsewhere::new(network.clone(), host.clone());
        for message in [
            ToWorker::Listen(listener.clone()),
            ToWorker::Know(Box::new(bare(&key, Some(&place)))),
            ToWorker::Elsewhere { names: Box::new(elsewhere), more: true },
            ToWorker::Broken("why".to_owned()),
            ToWorker::Complete,
            ToWorker::Drop(key),
        ] {
            assert_eq!(ToWorker::parse(&message.encode()), Ok(message));
        }
        for message in [
            ToKeeper::Ready { layout: "1".to_owned() },
            ToKeeper::Keep(listener.clone()),
            ToKeeper::Forget(listener),
            ToKeeper::Look(network, host),
            ToKeeper::Idle,
            ToKeeper::Reload,
            ToKeeper::Upgrade,
        ] {
            assert_eq!(ToKeeper::parse(&message.encode()), Ok(message));
        }
    }
}
