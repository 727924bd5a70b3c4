//! Answering a question by way of trial, as a container would be answered.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use cni::{Error, code};
use names::Question;

use super::Worker;
use super::shared::{Entrance, Now};
use crate::metrics::Transport;
use crate::pipeline::Door;
use crate::wire::{CLASS_IN, HEADER, MOST_NAME};

impl Worker {
    /// The reply to `question` in hexadecimal digits, for whoever shows it.
    ///
    /// # Errors
    /// Code 7 when the name is none, code 3 when nothing is known of the container.
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
        Ok(reply.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// A query of RFC 1035, 4.1, that wants recursion.
fn packet(question: &Question) -> Result<Vec<u8>, Error> {
    let wrong = |why: String| Error::new(code::INVALID_CONFIG, why);
    let name = question.name.trim_end_matches('.');
    let mut bytes = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|_| !name.is_empty()) {
        if !(1..=63).contains(&label.len()) {
            return Err(wrong(format!("name \"{name}\": a label has 1 to 63 bytes")));
        }
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    if bytes.len() > HEADER + MOST_NAME {
        return Err(wrong(format!("name \"{name}\": it is longer than 253 bytes")));
    }
    bytes.extend_from_slice(&question.kind.to_be_bytes());
    bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
    Ok(bytes)
}
