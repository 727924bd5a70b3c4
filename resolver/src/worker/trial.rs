//! Answering a question by way of trial, as a container would be answered.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use cni::{Error, code};
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use names::Question;

use super::Worker;
use super::shared::{Entrance, Now};
use crate::metrics::Transport;
use crate::pipeline::Door;

impl Worker {
    /// The reply to `question` as text: its code, then one line for each record.
    ///
    /// # Errors
    /// Code 7 when the name or the type is none, code 3 when nothing is known of the container.
    pub(super) async fn resolve(&self, question: &Question) -> Result<String, Error> {
        let container = question.container.as_str();
        if self.answering.shared.zone.borrow().view(container).is_none() {
            let text = format!("resolve a name for {container}: it is on no network with names");
            return Err(Error::new(code::UNKNOWN_CONTAINER, text)
                .with_hint("`cais dns dump` lists all that are"));
        }
        let packet = packet(question)?;
        let entrance = Entrance {
            door: Door::Container(container.into()),
            counters: self.answering.shared.counters("trial"),
        };
        let transport = Transport::Tcp;
        let from = (transport, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let reply = match self.answering.shared.handle(&entrance, from, &packet, Instant::now()) {
            Now::Nothing => return Err(Error::new(code::INTERNAL, "the question was dropped")),
            Now::Reply(reply) => reply,
            Now::Ask(asking) => {
                self.answering.shared.ask(&entrance, transport, asking, &packet).await
            }
        };
        told(&reply)
    }
}

fn packet(question: &Question) -> Result<Vec<u8>, Error> {
    let wrong = |what: &str, text: &str, why: &dyn std::fmt::Display| {
        Error::new(code::INVALID_CONFIG, format!("{what} \"{text}\": {why}"))
    };
    let name =
        Name::from_ascii(&question.name).map_err(|error| wrong("name", &question.name, &error))?;
    let kind: RecordType = question
        .kind
        .to_ascii_uppercase()
        .parse()
        .map_err(|error| wrong("type", &question.kind, &error))?;
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, kind));
    message.to_vec().map_err(|error| wrong("name", &question.name, &error))
}

fn told(reply: &[u8]) -> Result<String, Error> {
    let message = Message::from_vec(reply)
        .map_err(|error| Error::new(code::DECODE, format!("read the reply: {error}")))?;
    let mut text = format!("{}\n", message.metadata.response_code);
    for record in message.answers.iter().chain(&message.authorities) {
        let _ = writeln!(text, "{record}");
    }
    Ok(text)
}
