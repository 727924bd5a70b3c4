//! What is said on the control socket: one JSON object per message.

use std::fmt::Write as _;

use cni::json::Object;
use cni::{Error, code};
use control::MOST_BYTES;
use peers::HostId;
use serde::Serialize;
use serde_json::value::RawValue;
use types::{Attachment, ContainerId, NetworkName};

use crate::record::{Record, key, missing};

/// Number of the form of all messages. It grows when an older program would misunderstand.
pub const LAYOUT: u32 = 1;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Answer for this attachment, in place of what was known of it. The reply says at which of its
    /// places the daemon listens already.
    Put(Box<Record>),
    /// Listen at the place of this number, by the two sockets that come with the message.
    Listen {
        /// Of an attachment that was put before.
        key: Attachment,
        /// Which of its places, from 0.
        place: usize,
        /// The port that the sockets have.
        port: u16,
    },
    /// Know nothing of this attachment any more.
    Drop(Attachment),
    /// Look at what containers of another host are called on a network: that has changed.
    Elsewhere {
        /// The network.
        network: NetworkName,
        /// The host.
        host: HostId,
    },
    /// Say or do something about the daemon as a whole.
    About(Topic),
    /// Answer this question as a container would be answered: the text is the reply as it would be
    /// sent, in hexadecimal digits.
    Resolve(Question),
}

/// Something about the daemon as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// What it is and does, as one JSON object.
    Status,
    /// Everything that it knows of attachments, one JSON object per line.
    Dump,
    /// Counters, as Prometheus reads them.
    Metrics,
    /// Forget all answers of others.
    Flush,
    /// Read all records and the configuration again.
    Reload,
    /// Let the program that is installed now take over.
    Upgrade,
}

/// A question to be answered by way of trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asks.
    pub container: ContainerId,
    /// What for.
    pub name: String,
    /// Type of the records, as numbered by IANA: 1 is A.
    pub kind: u16,
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done.
    Done,
    /// It is not, and why.
    Refused(Error),
    /// Where the daemon listens for the attachment that was put: the port of each place, 0 where it
    /// does not listen yet.
    Ports {
        /// In the order of the places.
        ports: Vec<u16>,
        /// Version of the daemon.
        version: String,
    },
    /// A text, or a part of one.
    Text {
        /// The part.
        text: String,
        /// Whether another follows.
        more: bool,
    },
}

const TOPICS: [(&str, Topic); 6] = [
    ("status", Topic::Status),
    ("dump", Topic::Dump),
    ("metrics", Topic::Metrics),
    ("flush", Topic::Flush),
    ("reload", Topic::Reload),
    ("upgrade", Topic::Upgrade),
];

#[derive(Default, Serialize)]
struct Shape<'a> {
    layout: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    verb: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ifname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ports: Option<&'a [u16]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorShape<'a>>,
}

#[derive(Serialize)]
struct ErrorShape<'a> {
    code: u32,
    msg: &'a str,
    details: &'a str,
}

impl<'a> Shape<'a> {
    fn of(verb: &'a str) -> Self {
        Self { layout: LAYOUT, verb: Some(verb), ..Self::default() }
    }

    fn about(self, key: &'a Attachment) -> Self {
        Self {
            network: Some(key.network.as_str()),
            container: Some(key.container.as_str()),
            ifname: Some(key.ifname.as_str()),
            ..self
        }
    }

    fn written(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a message has text keys and no failing parts")
    }
}

impl Request {
    /// The request as one message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Put(record) => {
                let record = RawValue::from_string(record.encode());
                let record = Some(record.expect("a record is encoded as one JSON object"));
                Shape { record, ..Shape::of("put") }.written()
            }
            Self::Listen { key, place, port } => {
                let shape = Shape::of("listen").about(key);
                Shape { place: Some(*place), port: Some(*port), ..shape }.written()
            }
            Self::Drop(key) => Shape::of("drop").about(key).written(),
            Self::Elsewhere { network, host } => {
                let (network, host) = (Some(network.as_str()), Some(host.as_str()));
                Shape { network, host, ..Shape::of("elsewhere") }.written()
            }
            Self::About(topic) => {
                let named = TOPICS.iter().find(|(_, other)| other == topic);
                Shape::of(named.expect("the list has all topics").0).written()
            }
            Self::Resolve(Question { container, name, kind }) => Shape {
                container: Some(container.as_str()),
                name: Some(name),
                r#type: Some(*kind),
                ..Shape::of("resolve")
            }
            .written(),
        }
    }

    /// Reads a request. To drop, to say the status and to make room for another program are
    /// understood in every layout.
    ///
    /// # Errors
    /// Code 50 for another layout, naming both; else what is wrong with which key.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let object = Object::parse(bytes)?;
        let layout = object.number("layout")?.ok_or_else(|| missing("layout"))?;
        let verb = object.string("verb")?.ok_or_else(|| missing("verb"))?;
        if layout != LAYOUT && !matches!(verb.as_str(), "drop" | "status" | "upgrade") {
            return Err(other_layout(layout));
        }
        if let Some((_, topic)) = TOPICS.iter().find(|(name, _)| *name == verb) {
            return Ok(Self::About(*topic));
        }
        match verb.as_str() {
            "put" => {
                let record = object.object("record")?.ok_or_else(|| missing("record"))?;
                Ok(Self::Put(Box::new(Record::read(&record)?)))
            }
            "listen" => Ok(Self::Listen {
                key: key(&object)?,
                place: object.number("place")?.ok_or_else(|| missing("place"))? as usize,
                port: object.integer("port", 1..=65535)?.ok_or_else(|| missing("port"))? as u16,
            }),
            "drop" => Ok(Self::Drop(key(&object)?)),
            "elsewhere" => Ok(Self::Elsewhere {
                network: object.parsed("network")?.ok_or_else(|| missing("network"))?,
                host: object.parsed("host")?.ok_or_else(|| missing("host"))?,
            }),
            "resolve" => Ok(Self::Resolve(Question {
                container: object.parsed("container")?.ok_or_else(|| missing("container"))?,
                name: object.string("name")?.ok_or_else(|| missing("name"))?,
                kind: object.integer("type", 0..=65535)?.map_or(1, |kind| kind as u16),
            })),
            _ => Err(Error::new(code::INVALID_CONFIG, format!("key \"verb\": unknown {verb:?}"))),
        }
    }
}

impl Reply {
    /// The reply as one message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let shape = Shape { layout: LAYOUT, ..Shape::default() };
        match self {
            Self::Done => shape.written(),
            Self::Refused(Error { code, msg, details }) => {
                let error = Some(ErrorShape { code: *code, msg, details });
                Shape { error, ..shape }.written()
            }
            Self::Ports { ports, version } => {
                Shape { ports: Some(ports), version: Some(version), ..shape }.written()
            }
            Self::Text { text, more } => Shape { text: Some(text), more: *more, ..shape }.written(),
        }
    }

    /// Reads a reply.
    ///
    /// # Errors
    /// What is wrong with which key. A refusal in another layout is still read as one.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let object = Object::parse(bytes)?;
        if let Some(error) = object.object("error")? {
            return Ok(Self::Refused(Error {
                code: error.number("code")?.unwrap_or(code::INTERNAL),
                msg: error.string("msg")?.unwrap_or_default(),
                details: error.string("details")?.unwrap_or_default(),
            }));
        }
        let layout = object.number("layout")?.ok_or_else(|| missing("layout"))?;
        if layout != LAYOUT {
            return Err(other_layout(layout));
        }
        if let Some(text) = object.string("text")? {
            return Ok(Self::Text { text, more: object.flag("more")? });
        }
        if !object.has("ports") {
            return Ok(Self::Done);
        }
        let port = |value: &cni::json::Value<'_>| Ok(value.integer(0..=65535)? as u16);
        let ports = object.list("ports")?.iter().map(port).collect::<Result<_, Error>>()?;
        Ok(Self::Ports { ports, version: object.string("version")?.unwrap_or_default() })
    }
}

/// Splits a text into replies that each fit a message.
#[must_use]
pub fn texts(text: &str) -> Vec<Reply> {
    /// Even if every character had to be written as six.
    const MOST: usize = MOST_BYTES / 6 - 64;
    let mut parts = vec![String::new()];
    for character in text.chars() {
        if parts.last().is_some_and(|part| part.len() + character.len_utf8() > MOST) {
            parts.push(String::new());
        }
        let last = parts.last_mut().expect("it starts with one part and only grows");
        let _ = last.write_char(character);
    }
    let last = parts.len() - 1;
    let part = |(number, text)| Reply::Text { text, more: number < last };
    parts.into_iter().enumerate().map(part).collect()
}

fn other_layout(layout: u32) -> Error {
    let text = format!(
        "the other side of cais-dnsd's control socket speaks layout {layout}, this one {LAYOUT}"
    );
    Error::new(code::NOT_AVAILABLE, text)
        .with_hint("cais-dnsd and the plugins are of different versions: run `cais dns upgrade`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let record = record("web", "c1");
        let key = record.key.clone();
        let about = TOPICS.iter().map(|(_, topic)| Request::About(*topic));
        let question =
            Question { container: "c1".parse().unwrap(), name: "a\"b".to_owned(), kind: 28 };
        let requests = [
            Request::Put(Box::new(record)),
            Request::Listen { key: key.clone(), place: 1, port: 1021 },
            Request::Drop(key),
            Request::Elsewhere { network: "web".parse().unwrap(), host: "7f3c".parse().unwrap() },
            Request::Resolve(question),
        ];
        for request in requests.into_iter().chain(about) {
            assert_eq!(Request::parse(&request.encode()), Ok(request));
        }
        for reply in [
            Reply::Done,
            Reply::Refused(Error::new(11, "busy").with_hint("wait")),
            Reply::Ports { ports: vec![0, 1021], version: "1".to_owned() },
            Reply::Text { text: "a\nb".to_owned(), more: true },
        ] {
            assert_eq!(Reply::parse(&reply.encode()), Ok(reply));
        }
    }

    #[test]
    fn what_must_work_between_all_versions_is_understood_in_every_layout() {
        let drop =
            br#"{"layout":9,"verb":"drop","network":"n","container":"c","ifname":"e","x":1}"#;
        assert!(matches!(Request::parse(drop), Ok(Request::Drop(_))));
        let upgrade = br#"{"layout":9,"verb":"upgrade"}"#;
        assert_eq!(Request::parse(upgrade), Ok(Request::About(Topic::Upgrade)));
        let error = Request::parse(br#"{"layout":9,"verb":"flush"}"#).unwrap_err();
        assert_eq!(error.code, code::NOT_AVAILABLE);
    }

    #[test]
    fn a_long_text_is_split_into_messages_that_fit() {
        let text = "\u{1}ä".repeat(40_000);
        let parts = texts(&text);
        assert!(parts.len() > 4);
        let mut all = String::new();
        for (number, part) in parts.iter().enumerate() {
            assert!(part.encode().len() <= MOST_BYTES);
            let Reply::Text { text, more } = part else { panic!("{part:?}") };
            assert_eq!(*more, number + 1 < parts.len());
            all.push_str(text);
        }
        assert_eq!(all, text);
        assert_eq!(texts(""), [Reply::Text { text: String::new(), more: false }]);
    }
}
