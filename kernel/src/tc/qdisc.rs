//! Queueing disciplines, and the classes of those that have any.

use std::fmt;

use super::{HEADER_BYTES, Handle, Header, tca};
use crate::link::Dev;
use crate::netlink::attributes::{Attribute, Attributes, u32_at};
use crate::netlink::encoder::Encoder;
use crate::netlink::{Action, CREATE, Request, RequestError, Socket};

/// How fast packets may pass, and how many of them at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Bytes that pass each second.
    pub bytes_per_second: u64,
    /// Bytes that may pass at once.
    pub burst_bytes: u32,
}

impl Bucket {
    /// How long the burst takes at the rate, in the kernel's ticks of 64 ns: what it is told of the
    /// burst. Whole microseconds, as iproute2 and the reference plugins count.
    #[must_use]
    pub fn ticks(self) -> u64 {
        let micros = u64::from(self.burst_bytes) * 1_000_000 / self.bytes_per_second.max(1);
        micros.saturating_mul(125) / 8
    }

    /// As the kernel's 32 bits hold them; `None` for a burst of more than 275 seconds.
    #[must_use]
    pub fn short_ticks(self) -> Option<u32> {
        u32::try_from(self.ticks()).ok()
    }
}

/// A way to queue packets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Queue {
    /// Packets wait until there are tokens for them; tc-tbf(8). It has a queue within, at minor 1.
    Tbf {
        /// Where the tokens are.
        bucket: Bucket,
        /// Bytes that may wait.
        limit_bytes: u32,
    },
    /// Packets wait in their order; tc-bfifo(8).
    Bfifo {
        /// Bytes that may wait.
        limit_bytes: u32,
    },
    /// Packets wait in classes; tc-htb(8). What filters send to minor 0 does not wait.
    Htb {
        /// Minor of the class of packets that no filter sends anywhere.
        default: u16,
        /// Packets of minor 0 that may wait for the link.
        direct_packets: u32,
    },
    /// What packets that arrive pass by, for the sake of its filters.
    Ingress,
    /// Another, by the kernel's name for it.
    Other(String),
}

impl Queue {
    /// The kernel's name for it.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Tbf { .. } => "tbf",
            Self::Bfifo { .. } => "bfifo",
            Self::Htb { .. } => "htb",
            Self::Ingress => "ingress",
            Self::Other(kind) => kind,
        }
    }

    fn options(&self, message: &mut Encoder) {
        match self {
            Self::Tbf { bucket, limit_bytes } => {
                message.nested(tca::OPTIONS, |options| tbf(options, *bucket, *limit_bytes));
            }
            Self::Bfifo { limit_bytes } => message.u32(tca::OPTIONS, *limit_bytes),
            Self::Htb { default, direct_packets } => message.nested(tca::OPTIONS, |options| {
                // `struct tc_htb_glob`: version, rate2quantum, default, and what only replies have.
                let glob = [3, 10, u32::from(*default), 0, 0].map(u32::to_ne_bytes);
                options.bytes(htb::INIT, &glob.concat());
                options.u32(htb::DIRECT_QLEN, *direct_packets);
            }),
            Self::Ingress | Self::Other(_) => {}
        }
    }

    fn parse(kind: String, options: Option<Attribute<'_>>) -> Self {
        let find = |number| options?.nested().find(|found| found.kind == number);
        match &*kind {
            "tbf" => {
                let parms = find(tbf_number::PARMS).map_or(&[][..], |found| found.value);
                let at = |offset| u32_at(parms, offset).unwrap_or_default();
                let long = find(tbf_number::RATE64).and_then(u64_of);
                Self::Tbf {
                    bucket: Bucket::read(long.unwrap_or_else(|| at(8).into()), at(28)),
                    limit_bytes: at(24),
                }
            }
            "bfifo" => Self::Bfifo { limit_bytes: options.and_then(Attribute::u32).unwrap_or(0) },
            "htb" => {
                let glob = find(htb::INIT).and_then(|found| u32_at(found.value, 8));
                let direct = find(htb::DIRECT_QLEN).and_then(Attribute::u32);
                Self::Htb {
                    default: glob.and_then(|minor| u16::try_from(minor).ok()).unwrap_or(0),
                    direct_packets: direct.unwrap_or(0),
                }
            }
            "ingress" => Self::Ingress,
            _ => Self::Other(kind),
        }
    }
}

impl Bucket {
    /// From what the kernel tells. Of a burst it keeps the time, so that the bytes are about right:
    /// compare [`ticks`](Self::ticks).
    fn read(bytes_per_second: u64, ticks: u32) -> Self {
        // The first number of bytes that takes so many ticks.
        let micros = (u64::from(ticks) * 8).div_ceil(125);
        let bytes = (u128::from(micros) * u128::from(bytes_per_second)).div_ceil(1_000_000);
        Self { bytes_per_second, burst_bytes: u32::try_from(bytes).unwrap_or(u32::MAX) }
    }
}

/// Numbers of `linux/pkt_sched.h`.
mod tbf_number {
    pub(super) const PARMS: u16 = 1;
    pub(super) const RATE64: u16 = 4;
    pub(super) const BURST: u16 = 6;
}

/// Numbers of `linux/pkt_sched.h`.
mod htb {
    pub(super) const PARMS: u16 = 1;
    pub(super) const INIT: u16 = 2;
    pub(super) const DIRECT_QLEN: u16 = 5;
    pub(super) const RATE64: u16 = 6;
    pub(super) const CEIL64: u16 = 7;
}

/// `struct tc_ratespec`: of Ethernet, so that no table of rates is needed.
fn ratespec(bytes_per_second: u64) -> [u8; 12] {
    const TC_LINKLAYER_ETHERNET: u8 = 1;
    let mut spec = [0; 12];
    spec[1] = TC_LINKLAYER_ETHERNET;
    let rate = u32::try_from(bytes_per_second).unwrap_or(u32::MAX);
    spec[8..].copy_from_slice(&rate.to_ne_bytes());
    spec
}

/// Rates that do not fit the older attribute.
fn long_rate(options: &mut Encoder, number: u16, bytes_per_second: u64) {
    if u32::try_from(bytes_per_second).is_err() {
        options.bytes(number, &bytes_per_second.to_ne_bytes());
    }
}

fn tbf(options: &mut Encoder, bucket: Bucket, limit_bytes: u32) {
    let ticks = bucket.short_ticks();
    // `struct tc_tbf_qopt`: rate, peak rate, limit, buffer, mtu.
    let parms = [
        &ratespec(bucket.bytes_per_second)[..],
        &[0; 12],
        &limit_bytes.to_ne_bytes(),
        &ticks.unwrap_or(u32::MAX).to_ne_bytes(),
        &[0; 4],
    ];
    options.bytes(tbf_number::PARMS, &parms.concat());
    long_rate(options, tbf_number::RATE64, bucket.bytes_per_second);
    if ticks.is_none() {
        options.u32(tbf_number::BURST, bucket.burst_bytes);
    }
}

fn u64_of(attribute: Attribute<'_>) -> Option<u64> {
    attribute.value.first_chunk().copied().map(u64::from_ne_bytes)
}

/// A queue at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qdisc {
    /// Where: the root of the link, or a class.
    pub parent: Handle,
    /// Its own; none when the kernel chose it by itself.
    pub handle: Handle,
    /// How it queues.
    pub queue: Queue,
}

impl Qdisc {
    /// The request that makes it; `EEXIST` where somebody has made one already.
    #[must_use]
    pub fn add(&self, dev: &Dev) -> Request {
        let header = Header { link: dev.index, handle: self.handle, parent: self.parent, info: 0 };
        let mut message = header.encode();
        message.text(tca::KIND, self.queue.kind());
        self.queue.options(&mut message);
        Request::new(libc::RTM_NEWQDISC, CREATE, message, self.action("add", dev))
    }

    /// The request that deletes it with all that is in it. `EINVAL` or `ENOENT` when
    /// there is none of its handle.
    #[must_use]
    pub fn del(&self, dev: &Dev) -> Request {
        let header = Header { link: dev.index, handle: self.handle, parent: self.parent, info: 0 };
        Request::new(libc::RTM_DELQDISC, 0, header.encode(), self.action("del", dev))
    }

    fn action(&self, verb: &'static str, dev: &Dev) -> Action {
        let (kind, parent) = (self.queue.kind().to_owned(), self.parent.to_string());
        Action::Qdisc { verb, kind, parent, link: dev.to_string() }
    }

    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let header = Header::parse(body)?;
        let (kind, options) = kind_and_options(body);
        let queue = Queue::parse(kind, options);
        Some(Self { parent: header.parent, handle: header.handle, queue })
    }
}

fn kind_and_options(body: &[u8]) -> (String, Option<Attribute<'_>>) {
    let (mut kind, mut options) = (String::new(), None);
    for attribute in Attributes::after(HEADER_BYTES, body) {
        match attribute.kind {
            tca::KIND => kind = attribute.text(),
            tca::OPTIONS => options = Some(attribute),
            _ => {}
        }
    }
    (kind, options)
}

/// Reads the queue at `parent` of `dev`; `None` where there is none but the kernel's own.
///
/// # Errors
/// When it cannot be read.
pub fn qdisc(socket: &Socket, dev: &Dev, parent: Handle) -> Result<Option<Qdisc>, RequestError> {
    let header = Header { link: dev.index, parent, ..Header::default() };
    let what = format!("qdisc {parent} of {dev}");
    let reply = ask(socket, libc::RTM_GETQDISC, header, what)?;
    Ok(reply.and_then(|body| Qdisc::parse(&body)).filter(|found| !found.handle.is_none()))
}

/// Reads the class `handle` of `dev`, of a queue of classes.
///
/// # Errors
/// When it cannot be read.
pub fn class(socket: &Socket, dev: &Dev, handle: Handle) -> Result<Option<Class>, RequestError> {
    let header = Header { link: dev.index, handle, ..Header::default() };
    let what = format!("class {handle} of {dev}");
    let reply = ask(socket, libc::RTM_GETTCLASS, header, what)?;
    Ok(reply.and_then(|body| Class::parse(&body)))
}

fn ask(
    socket: &Socket,
    kind: u16,
    header: Header,
    what: String,
) -> Result<Option<Vec<u8>>, RequestError> {
    // Older kernels answer to those who asked only where an echo is asked for, and none answers at
    // all where there is nothing to tell: the acknowledgement ends the wait.
    let flags = (libc::NLM_F_ECHO | libc::NLM_F_ACK) as u16;
    let request = Request::new(kind, flags, header.encode(), Action::List { what });
    match socket.ask(&request) {
        Ok(reply) => Ok(reply.map(|reply| reply.body)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A class of a queue of kind `htb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its own handle; the queue's is the same with minor 0.
    pub handle: Handle,
    /// How fast its packets pass.
    pub bucket: Bucket,
}

/// Bytes that a class may send before others have their turn; there is only one that waits.
const QUANTUM_BYTES: u32 = 60_000;

impl Class {
    /// The request that makes it; `EEXIST` when there is one.
    #[must_use]
    pub fn add(&self, dev: &Dev) -> Request {
        let parent = Handle(self.handle.0 & 0xffff_0000);
        let header = Header { link: dev.index, handle: self.handle, parent, info: 0 };
        let mut message = header.encode();
        message.text(tca::KIND, "htb");
        let rate = self.bucket.bytes_per_second;
        let ticks = self.bucket.short_ticks().unwrap_or(u32::MAX).to_ne_bytes();
        message.nested(tca::OPTIONS, |options| {
            // `struct tc_htb_opt`: rate, ceil, buffer, cbuffer, quantum, level, prio.
            let parms = [
                &ratespec(rate)[..],
                &ratespec(rate),
                &ticks,
                &ticks,
                &QUANTUM_BYTES.to_ne_bytes(),
                &[0; 8],
            ];
            options.bytes(htb::PARMS, &parms.concat());
            long_rate(options, htb::RATE64, rate);
            long_rate(options, htb::CEIL64, rate);
        });
        let action = Action::Qdisc {
            verb: "add",
            kind: "htb".to_owned(),
            parent: self.handle.to_string(),
            link: dev.to_string(),
        };
        Request::new(libc::RTM_NEWTCLASS, CREATE, message, action)
    }

    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let header = Header::parse(body)?;
        let (kind, options) = kind_and_options(body);
        let find = |number| options?.nested().find(|found| found.kind == number);
        if kind != "htb" {
            return None;
        }
        let parms = find(htb::PARMS)?.value;
        let long = find(htb::RATE64).and_then(u64_of);
        let rate = long.or_else(|| u32_at(parms, 8).map(u64::from))?;
        let bucket = Bucket::read(rate, u32_at(parms, 24)?);
        Some(Self { handle: header.handle, bucket })
    }
}

impl fmt::Display for Queue {
    /// About as tc(8) shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tbf { bucket, limit_bytes } => write!(f, "tbf {bucket} limit {limit_bytes} B"),
            Self::Bfifo { limit_bytes } => write!(f, "bfifo limit {limit_bytes} B"),
            Self::Htb { default, .. } => write!(f, "htb default {default:x}"),
            _ => f.write_str(self.kind()),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rate {} B/s burst {} ticks", self.bytes_per_second, self.ticks())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_the_same_number_of_ticks_after_the_kernel_told_it() {
        for bytes_per_second in [1, 125, 6_250_000, 125_000_000, 12_500_000_000] {
            for burst_bytes in [1, 1_500, 65_536, 1_000_000, 536_870_912, u32::MAX] {
                let bucket = Bucket { bytes_per_second, burst_bytes };
                let Some(ticks) = bucket.short_ticks() else { continue };
                assert_eq!(
                    Bucket::read(bytes_per_second, ticks).ticks(),
                    u64::from(ticks),
                    "{bucket:?}"
                );
            }
        }
    }

    #[test]
    fn ticks_are_those_of_the_reference() {
        // 65536 B at 50 Mbit/s are 10485 whole microseconds.
        let bucket = Bucket { bytes_per_second: 6_250_000, burst_bytes: 65_536 };
        assert_eq!(bucket.short_ticks(), Some(163_828));
        let endless = Bucket { bytes_per_second: 125_000, burst_bytes: 536_870_911 };
        assert_eq!(endless.short_ticks(), None);
    }
}
