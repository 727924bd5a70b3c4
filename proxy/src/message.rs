//! What is said on the control socket: one JSON object per message, parsed once into types that
//! cannot be wrong.

use std::fmt::Display;
use std::net::{SocketAddr, SocketAddrV6};
use std::str::FromStr;

use cni::json::{Object, Value};
use cni::{Error, code};
use control::MOST_BYTES;
use serde::Serialize;
use types::Attachment;

use crate::client::Served;
use crate::mapping::Mapping;

/// Number of the form of all messages. It grows when an older program would misunderstand.
pub(crate) const LAYOUT: u32 = 1;

/// Most mappings in one request; the kernel carries at most 253 descriptors.
pub(crate) const MOST_MAPPINGS: usize = 64;

/// Most bytes of a key's parts: container ids have no limit of their own.
const MOST_KEY_BYTES: usize = 8 * 1024;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Serve these, whose listening sockets come with the message in the same order.
    Serve {
        key: Attachment,
        /// Whether they replace what the key had, or come in addition.
        replace: bool,
        mappings: Vec<Mapping>,
    },
    /// Serve nothing for this key any more.
    Drop { key: Attachment },
    /// Say what is served.
    List,
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It is done.
    Done,
    /// It is not, and why.
    Refused(Error),
    /// What is served, or a part of it.
    Serving {
        /// The daemon's process.
        pid: u32,
        served: Vec<Served>,
        /// Whether another part follows.
        more: bool,
    },
}

#[derive(Serialize)]
struct RequestShape<'a> {
    layout: u32,
    verb: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    key: Option<KeyShape<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replace: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mappings: Vec<MappingShape<'a>>,
}

#[derive(Serialize)]
struct KeyShape<'a> {
    network: &'a str,
    container: &'a str,
    ifname: &'a str,
}

#[derive(Serialize)]
struct MappingShape<'a> {
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    key: Option<KeyShape<'a>>,
    protocol: String,
    listen: String,
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<u32>,
}

#[derive(Serialize)]
struct ReplyShape<'a> {
    layout: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mappings: Option<Vec<MappingShape<'a>>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

#[derive(Serialize)]
struct ErrorShape<'a> {
    code: u32,
    msg: &'a str,
    details: &'a str,
}

fn key_shape(key: &Attachment) -> KeyShape<'_> {
    KeyShape {
        network: key.network.as_str(),
        container: key.container.as_str(),
        ifname: key.ifname.as_str(),
    }
}

fn mapping_shape<'a>(key: Option<&'a Attachment>, mapping: &Mapping) -> MappingShape<'a> {
    MappingShape {
        key: key.map(key_shape),
        protocol: mapping.protocol.to_string(),
        listen: mapping.listen.to_string(),
        target: mapping.target.to_string(),
        active: None,
    }
}

fn served_shape(served: &Served) -> MappingShape<'_> {
    let shape = mapping_shape(Some(&served.key), &served.mapping);
    MappingShape { active: Some(served.active), ..shape }
}

impl Request {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (verb, key, replace, mappings) = match self {
            Self::Serve { key, replace, mappings } => ("serve", Some(key), *replace, &**mappings),
            Self::Drop { key } => ("drop", Some(key), false, [].as_slice()),
            Self::List => ("list", None, false, [].as_slice()),
        };
        let mappings = mappings.iter().map(|mapping| mapping_shape(None, mapping)).collect();
        let key = key.map(key_shape);
        written(&RequestShape { layout: LAYOUT, verb, key, replace, mappings })
    }

    /// Reads a request. One to drop is understood in every layout: what newer programs published
    /// must not outlive its container.
    ///
    /// # Errors
    /// Code 50 for another layout, naming both; else what is wrong with which key.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let object = Object::parse(bytes)?;
        let layout = object.number("layout")?.ok_or_else(|| missing("layout"))?;
        let verb = object.string("verb")?.ok_or_else(|| missing("verb"))?;
        if layout != LAYOUT && verb != "drop" {
            return Err(other_layout(layout));
        }
        match verb.as_str() {
            "serve" => {
                let mappings = object.list("mappings")?;
                if mappings.is_empty() || mappings.len() > MOST_MAPPINGS {
                    let text = format!("key \"mappings\": not 1..{MOST_MAPPINGS} of them");
                    return Err(Error::new(code::INVALID_CONFIG, text));
                }
                let mappings = mappings.iter().map(mapping).collect::<Result<_, _>>()?;
                Ok(Self::Serve { key: key(&object)?, replace: object.flag("replace")?, mappings })
            }
            "drop" => Ok(Self::Drop { key: key(&object)? }),
            "list" => Ok(Self::List),
            _ => Err(Error::new(code::INVALID_CONFIG, "key \"verb\": not serve, drop or list")),
        }
    }
}

impl Reply {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut shape =
            ReplyShape { layout: LAYOUT, error: None, pid: None, mappings: None, more: false };
        match self {
            Self::Done => {}
            Self::Refused(Error { code, msg, details }) => {
                shape.error = Some(ErrorShape { code: *code, msg, details });
            }
            Self::Serving { pid, served, more } => {
                shape.pid = Some(*pid);
                shape.mappings = Some(served.iter().map(served_shape).collect());
                shape.more = *more;
            }
        }
        written(&shape)
    }

    /// Reads a reply.
    ///
    /// # Errors
    /// What is wrong with which key. A refusal in another layout is still read as one.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Error> {
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
        let Some(pid) = object.number("pid")? else { return Ok(Self::Done) };
        let served = object.list("mappings")?.iter().map(served).collect::<Result<_, _>>()?;
        Ok(Self::Serving { pid, served, more: object.flag("more")? })
    }
}

/// Splits what is served into replies that each fit a message.
pub(crate) fn listing(pid: u32, served: Vec<Served>) -> Vec<Reply> {
    /// A mapping without its key has at most about this many bytes.
    const MAPPING_BYTES: usize = 256;
    let mut parts = vec![Vec::new()];
    let mut room = MOST_BYTES - MAPPING_BYTES;
    for served in served {
        let bytes = key_bytes(&served.key) + MAPPING_BYTES;
        if bytes > room {
            parts.push(Vec::new());
            room = MOST_BYTES - MAPPING_BYTES;
        }
        room = room.saturating_sub(bytes);
        parts.last_mut().expect("it starts with one part and only grows").push(served);
    }
    let last = parts.len() - 1;
    let part = |(number, served)| Reply::Serving { pid, served, more: number < last };
    parts.into_iter().enumerate().map(part).collect()
}

fn written(shape: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(shape).expect("a message has text keys and no failing parts")
}

fn missing(key: &str) -> Error {
    Error::new(code::INVALID_CONFIG, format!("key \"{key}\": missing"))
}

fn other_layout(layout: u32) -> Error {
    let text = format!(
        "the other side of the proxy's control socket speaks layout {layout}, this one {LAYOUT}"
    );
    Error::new(code::NOT_AVAILABLE, text).with_hint(
        "cais-proxy and plugins are of different versions: end cais-proxy, then attach the \
         containers again whose ports it served",
    )
}

fn required<T: FromStr<Err: Display>>(object: &Object<'_>, key: &str) -> Result<T, Error> {
    object.parsed(key)?.ok_or_else(|| missing(key))
}

fn key(object: &Object<'_>) -> Result<Attachment, Error> {
    let key = Attachment {
        network: required(object, "network")?,
        container: required(object, "container")?,
        ifname: required(object, "ifname")?,
    };
    if !is_sayable(&key) {
        let text = format!("network and container have more than {MOST_KEY_BYTES} bytes");
        return Err(Error::new(code::INVALID_CONFIG, text));
    }
    Ok(key)
}

/// Whether a message may be about `key`: nothing is ever served for another.
pub(crate) fn is_sayable(key: &Attachment) -> bool {
    key_bytes(key) <= MOST_KEY_BYTES
}

fn key_bytes(key: &Attachment) -> usize {
    key.network.as_str().len() + key.container.as_str().len() + key.ifname.as_str().len()
}

fn mapping(value: &Value<'_>) -> Result<Mapping, Error> {
    mapping_of(&value.object()?)
}

fn mapping_of(object: &Object<'_>) -> Result<Mapping, Error> {
    let listen: SocketAddrV6 = required(object, "listen")?;
    let target: SocketAddr = required(object, "target")?;
    for (key, port) in [("listen", listen.port()), ("target", target.port())] {
        if port == 0 {
            return Err(Error::new(code::INVALID_CONFIG, format!("key \"{key}\": port 0 is none")));
        }
    }
    Ok(Mapping { protocol: required(object, "protocol")?, listen, target })
}

fn served(value: &Value<'_>) -> Result<Served, Error> {
    let object = value.object()?;
    let active = object.number("active")?.unwrap_or(0);
    Ok(Served { key: key(&object)?, mapping: mapping_of(&object)?, active })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Protocol;

    fn key_with(container: &str) -> Attachment {
        Attachment {
            network: "web".parse().unwrap(),
            container: container.parse().unwrap(),
            ifname: "eth0".parse().unwrap(),
        }
    }

    fn some_mapping(protocol: Protocol) -> Mapping {
        let (listen, target) = ("[::1]:8080".parse().unwrap(), "10.22.0.2:80".parse().unwrap());
        Mapping { protocol, listen, target }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let (key, mappings) = (key_with("c1"), vec![some_mapping(Protocol::Udp)]);
        for request in [
            Request::Serve { key: key.clone(), replace: true, mappings },
            Request::Drop { key: key.clone() },
            Request::List,
        ] {
            assert_eq!(Request::parse(&request.encode()), Ok(request));
        }
        let served = vec![Served { key, mapping: some_mapping(Protocol::Tcp), active: 3 }];
        for reply in [
            Reply::Done,
            Reply::Refused(Error::new(11, "busy").with_hint("wait")),
            Reply::Serving { pid: 7, served, more: true },
        ] {
            assert_eq!(Reply::parse(&reply.encode()), Ok(reply));
        }
    }

    #[test]
    fn a_request_to_drop_is_understood_in_every_layout_and_no_other() {
        let text =
            br#"{"layout":9,"verb":"drop","network":"n","container":"c","ifname":"e","x":1}"#;
        assert!(matches!(Request::parse(text), Ok(Request::Drop { .. })));
        let error = Request::parse(br#"{"layout":9,"verb":"list"}"#).unwrap_err();
        assert_eq!(error.code, code::NOT_AVAILABLE);
        assert!(error.msg.contains("speaks layout 9, this one 1"), "{error}");
    }

    #[test]
    fn errors_name_the_key() {
        let with = |mapping: &str| {
            let text = format!(
                r#"{{"layout":1,"verb":"serve","network":"n","container":"c","ifname":"e","mappings":[{mapping}]}}"#
            );
            Request::parse(text.as_bytes()).unwrap_err().msg
        };
        let sctp = with(r#"{"protocol":"sctp","listen":"[::1]:1","target":"10.0.0.1:1"}"#);
        assert!(sctp.contains(r#"key "mappings[0].protocol": sctp cannot be proxied"#), "{sctp}");
        let old = with(r#"{"protocol":"tcp","listen":"127.0.0.1:1","target":"10.0.0.1:1"}"#);
        assert!(old.contains(r#"key "mappings[0].listen": invalid IPv6"#), "{old}");
        let zero = with(r#"{"protocol":"tcp","listen":"[::1]:1","target":"10.0.0.1:0"}"#);
        assert_eq!(zero, r#"key "target": port 0 is none"#);
        assert_eq!(with(""), r#"key "mappings": not 1..64 of them"#);
    }

    #[test]
    fn a_long_list_is_split_into_messages_that_fit() {
        let entry = |number: usize| {
            let container = format!("{number}{}", "x".repeat(number * 10));
            let mapping = some_mapping(Protocol::Tcp);
            Served { key: key_with(&container), mapping, active: u32::MAX }
        };
        let all: Vec<Served> = (0..700).map(entry).collect();
        let parts = listing(1, all.clone());
        assert!(parts.len() > 10);
        let mut seen = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            assert!(part.encode().len() <= MOST_BYTES);
            let Reply::Serving { served, more, .. } = part else { panic!("{part:?}") };
            assert_eq!(*more, number + 1 < parts.len());
            seen.extend(served.clone());
        }
        assert_eq!(seen, all);
        assert_eq!(listing(1, vec![]), [Reply::Serving { pid: 1, served: vec![], more: false }]);
    }
}
