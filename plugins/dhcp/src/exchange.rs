//! One conversation with servers, as data: what to send when, and what an answer means (RFC 2131
//! §4.4). Times are counted since the boot.

use std::net::Ipv4Addr;
use std::time::Duration;

use types::MacAddr;

use crate::config::Spec;
use crate::frame::{self, Way};
use crate::lease::Lease;
use crate::wire::{Kind, Message, option};

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Its Ethernet address.
    pub(crate) mac: MacAddr,
    /// What it says and asks.
    pub(crate) spec: Spec,
    /// Whether it hears only what is broadcast as long as it has no address.
    pub(crate) broadcast: bool,
}

/// How patient the daemon is, as its flags say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// How long an answer to one question is waited for before something else is tried.
    pub(crate) answer: Duration,
    /// Longest time between two questions.
    pub(crate) resend_most: Duration,
    /// How long an address is looked for.
    pub(crate) total: Duration,
}

/// A conversation that has begun.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    step: Step,
    xid: u32,
    /// When it began.
    began: Duration,
    /// When this step began.
    stepped: Duration,
    /// How often this step's question was sent.
    sent: u32,
    /// When to send it again.
    due: Duration,
}

#[derive(Clone, Debug)]
enum Step {
    /// Any lease, preferably one of this address.
    Discover(Option<Ipv4Addr>),
    /// The one that was offered.
    Request(Lease),
    /// More time from the server that gave it.
    Renew(Lease),
    /// More time from any server.
    Rebind(Lease),
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing, to us.
    Nothing,
    /// Somebody has an address: something is to be sent.
    Offer,
    /// It is ours.
    Granted(Lease),
    /// It is not ours, or no longer.
    Refused,
}

/// The first wait for an answer. Twice as long after each question: the first may be lost where a
/// bridge has just got its port.
const FIRST_WAIT: Duration = Duration::from_millis(500);

impl Exchange {
    /// Looks for a lease, preferably of the address `wanted`.
    #[must_use]
    pub(crate) fn discover(wanted: Option<Ipv4Addr>, xid: u32, now: Duration) -> Self {
        Self::begin(Step::Discover(wanted), xid, now)
    }

    /// Asks for more time: whom, depends on how much is left.
    #[must_use]
    pub(crate) fn prolong(lease: &Lease, xid: u32, now: Duration) -> Self {
        let lease = lease.clone();
        let late = now >= lease.rebind_at();
        Self::begin(if late { Step::Rebind(lease) } else { Step::Renew(lease) }, xid, now)
    }

    fn begin(step: Step, xid: u32, now: Duration) -> Self {
        Self { step, xid, began: now, stepped: now, sent: 0, due: now }
    }

    /// When [`send`](Self::send) has something to send.
    #[must_use]
    pub(crate) fn due(&self) -> Duration {
        self.due
    }

    /// When it began.
    #[must_use]
    pub(crate) fn began(&self) -> Duration {
        self.began
    }

    /// The frame to send now, and notes that it is sent.
    #[must_use]
    pub(crate) fn send(&mut self, client: &Client, patience: &Patience, now: Duration) -> Vec<u8> {
        // Whoever offered it has changed its mind, or is gone.
        if matches!(self.step, Step::Request(_)) && now >= self.stepped + patience.answer {
            self.step(Step::Discover(None), now);
        }
        let wait = FIRST_WAIT.saturating_mul(1 << self.sent.min(16)).min(patience.resend_most);
        // RFC 2131 §4.1: clients that began together are not to go on together.
        let jitter = Duration::from_millis(u64::from(self.xid.rotate_left(self.sent) % 128));
        self.due = now + wait + jitter;
        self.sent += 1;
        let (message, way) = self.message(client, now);
        frame::encode(&way, &message.encode())
    }

    fn step(&mut self, step: Step, now: Duration) {
        (self.step, self.stepped, self.sent, self.due) = (step, now, 0, now);
    }

    fn message(&self, client: &Client, now: Duration) -> (Message, Way) {
        let kind = if let Step::Discover(_) = self.step { Kind::Discover } else { Kind::Request };
        let mut message = question(kind, self.xid, client);
        message.secs = u16::try_from((now - self.began).as_secs()).unwrap_or(u16::MAX);
        let mut way = Way::to_all(client.mac);
        match &self.step {
            Step::Discover(None) => {}
            Step::Discover(Some(wanted)) => {
                message.options.set(option::REQUESTED_ADDRESS, wanted.octets());
            }
            Step::Request(offer) => {
                message.options.set(option::REQUESTED_ADDRESS, offer.address.octets());
                if let Some(server) = offer.server() {
                    message.options.set(option::SERVER, server.octets());
                }
            }
            Step::Renew(lease) | Step::Rebind(lease) => {
                message.ciaddr = lease.address;
                message.broadcast = false;
                way.from = lease.address;
            }
        }
        if let Step::Renew(lease) = &self.step
            && let Some(server) = lease.server()
        {
            (way.to, way.to_mac) = (server, lease.server_mac());
        }
        (message, way)
    }

    /// What a frame means that came in at `now`.
    pub(crate) fn hear(&mut self, frame: &[u8], client: &Client, now: Duration) -> Heard {
        let Some((sender, message)) = frame::decode(frame) else { return Heard::Nothing };
        let Some(message) = Message::parse(message) else { return Heard::Nothing };
        if message.xid != self.xid || message.chaddr != client.mac {
            return Heard::Nothing;
        }
        match (&self.step, message.kind) {
            (Step::Discover(_), Kind::Offer) => {
                let offer = Lease::of(&message, sender, now);
                if offer.address.is_unspecified() || offer.server().is_none() {
                    return Heard::Nothing;
                }
                self.step(Step::Request(offer), now);
                Heard::Offer
            }
            // The time runs from when it was asked for (RFC 2131 §4.4.1); several questions may be
            // under way, of which the first is on the safe side.
            (Step::Request(asked) | Step::Renew(asked) | Step::Rebind(asked), kind) => {
                let answers = message.options.addresses(option::SERVER).first().copied();
                let is_asked = matches!(self.step, Step::Rebind(_)) || answers == asked.server();
                match kind {
                    Kind::Ack if is_asked && !message.yiaddr.is_unspecified() => {
                        Heard::Granted(Lease::of(&message, sender, self.stepped))
                    }
                    Kind::Nak if is_asked => Heard::Refused,
                    _ => Heard::Nothing,
                }
            }
            _ => Heard::Nothing,
        }
    }
}

/// The frame that gives `lease` back (RFC 2131 §4.4.6): from the address itself, to the server alone.
/// `None` where the server is unknown.
#[must_use]
pub(crate) fn release(lease: &Lease, client: &Client, xid: u32) -> Option<Vec<u8>> {
    let server = lease.server()?;
    let mut message = Message::new(Kind::Release, xid, client.mac);
    message.ciaddr = lease.address;
    message.options.set(option::SERVER, server.octets());
    let id = client.spec.provide.iter().find(|(number, _)| *number == option::CLIENT_ID);
    if let Some((number, value)) = id {
        message.options.set(*number, value.clone());
    }
    let way =
        Way { from_mac: client.mac, from: lease.address, to_mac: lease.server_mac(), to: server };
    Some(frame::encode(&way, &message.encode()))
}

fn question(kind: Kind, xid: u32, client: &Client) -> Message {
    /// What one frame holds.
    const MOST_BYTES: u16 = 1500;
    let mut message = Message::new(kind, xid, client.mac);
    message.broadcast = client.broadcast;
    message.options.set(option::MAX_SIZE, MOST_BYTES.to_be_bytes());
    message.options.set(option::REQUEST_LIST, client.spec.request.clone());
    for (number, value) in &client.spec.provide {
        message.options.set(*number, value.clone());
    }
    message
}
