//! Carries out a [`Batch`]: one datagram, one transaction of the kernel.

use std::os::fd::AsFd;

use nix::errno::Errno;

use super::batch::{Batch, attr};
use super::{HEADER_BYTES, SUBSYSTEM, verb};
use crate::netlink::attributes::{Attribute, Attributes};
use crate::netlink::netfilter::batch_header;
use crate::netlink::{Action, Error, Request, RequestError, Socket};
use crate::sys;

/// What it means that something to be deleted is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The batch fails.
    Fail,
    /// That deletion is left out.
    Skip,
}

/// A rule in a batch whose handle is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(pub(super) usize);

/// The handles of rules that a batch made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handles(Vec<(Ticket, u64)>);

impl Handles {
    /// The handle of the rule with this ticket; `None` for one of another batch.
    #[must_use]
    pub fn get(&self, ticket: Ticket) -> Option<u64> {
        self.0.iter().find(|(one, _)| *one == ticket).map(|(_, handle)| *handle)
    }
}

/// `NFNL_MSG_BATCH_BEGIN` and `_END`.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// A batch above this, or one with more answers, needs a larger socket: half of the usual
/// `net.core.wmem_default` and `rmem_default`.
const SOCKET_BYTES: usize = 100_000;
/// Room for an error.
const ERROR_BYTES: usize = 512;
/// How often a batch is sent again without what turned out to be gone.
const ROUNDS: usize = 5;

impl Batch {
    /// Carries out the whole batch.
    ///
    /// # Errors
    /// The first change that the kernel refused; then none was made.
    pub fn commit(&self, socket: &Socket) -> Result<(), RequestError> {
        self.commit_with_handles(socket, Missing::Fail).map(drop)
    }

    /// As [`Batch::commit`], but leaves out what deletes something that is not there.
    ///
    /// # Errors
    /// The first change that was refused for another reason; then none was made.
    pub fn commit_skipping_missing(&self, socket: &Socket) -> Result<(), RequestError> {
        self.commit_with_handles(socket, Missing::Skip).map(drop)
    }

    /// Carries out the whole batch and tells the handles of the rules that were added with a
    /// ticket.
    ///
    /// # Errors
    /// The first change that was refused, beside deletions that may be left out; then none was
    /// made.
    pub fn commit_with_handles(
        &self,
        socket: &Socket,
        missing: Missing,
    ) -> Result<Handles, RequestError> {
        let mut left: Vec<(usize, &Request)> = self.requests.iter().enumerate().collect();
        let mut rounds = 0;
        while !left.is_empty() {
            let mut refused = match send(socket, &left) {
                Ok(handles) => return Ok(handles),
                Err(refused) => refused,
            };
            rounds += 1;
            let hopeless = refused.iter().position(|(index, error)| {
                missing == Missing::Fail || !error.is_missing() || !deletes(left[*index].1)
            });
            if let Some(index) = hopeless.or((rounds == ROUNDS).then_some(0)) {
                return Err(refused.swap_remove(index).1);
            }
            refused.sort_by_key(|(index, _)| std::cmp::Reverse(*index));
            for (index, _) in refused {
                left.remove(index);
            }
        }
        Ok(Handles::default())
    }
}

/// Whether a request takes something away.
fn deletes(request: &Request) -> bool {
    let verbs = [verb::DELTABLE, verb::DELCHAIN, verb::DELRULE, verb::DELSET, verb::DELSETELEM];
    verbs.contains(&request.kind())
}

/// Sends `requests`, with their places in the batch, as one transaction. What was refused comes
/// with its index here, the first first.
fn send(
    socket: &Socket,
    requests: &[(usize, &Request)],
) -> Result<Handles, Vec<(usize, RequestError)>> {
    let Some((_, first)) = requests.first() else { return Ok(Handles::default()) };
    let failed = |source| vec![(0, socket.failed(first.action(), source))];
    let sequence = socket.take_sequences(requests.len() + 2);
    let bytes = envelope(requests, sequence);
    if bytes.len() > SOCKET_BYTES {
        sys::set_send_buffer(socket.as_fd(), bytes.len() * 2);
    }
    make_room_for_answers(socket, requests).map_err(failed)?;
    socket.send(&bytes).map_err(failed)?;
    let mut refused: Vec<(usize, RequestError)> = Vec::new();
    let mut handles = Handles::default();
    // The kernel has done all of it when the send returns, and acknowledges nothing unasked.
    let heard = socket.drain(|message| {
        // What concerns the batch as a whole carries the number of its first message.
        let place = message.sequence.wrapping_sub(sequence) as usize;
        if place > requests.len() {
            return; // an answer to an older batch
        }
        let index = place.saturating_sub(1);
        if i32::from(message.kind) != libc::NLMSG_ERROR {
            let handle = Attributes::after(HEADER_BYTES, message.body)
                .find(|attribute| attribute.kind == attr::rule::HANDLE)
                .and_then(Attribute::u64_be);
            handles.0.extend(handle.map(|handle| (Ticket(requests[index].0), handle)));
        } else if let Err(source) = message.verdict() {
            refused.push((index, socket.failed(requests[index].1.action(), source)));
        }
    });
    // Whether more was refused than we have heard of does not matter.
    if !refused.is_empty() {
        return Err(refused);
    }
    heard.map(|()| handles).map_err(failed)
}

/// Makes the socket's receive buffer large enough: the kernel answers before the send returns.
///
/// # Errors
/// `ENOBUFS` where the host's limit (`net.core.rmem_max`) stands in the way: a batch that is done
/// without our hearing of it could not be undone.
fn make_room_for_answers(socket: &Socket, requests: &[(usize, &Request)]) -> Result<(), Error> {
    let echoes: usize = requests.iter().map(|(_, request)| request.echo_bytes()).sum();
    let wanted = echoes.max(requests.len() * ERROR_BYTES);
    if wanted <= SOCKET_BYTES {
        return Ok(());
    }
    let refused = |errno| Error::System { call: "setsockopt(SO_RCVBUF)", errno };
    let room = sys::set_receive_buffer(socket.as_fd(), wanted).map_err(refused)?;
    if room < echoes { Err(refused(Errno::ENOBUFS)) } else { Ok(()) }
}

/// The messages between the two that make them one transaction.
fn envelope(requests: &[(usize, &Request)], sequence: u32) -> Vec<u8> {
    let edge = |kind| Request::new(kind, 0, batch_header(SUBSYSTEM), Action::Open);
    let mut bytes = Vec::with_capacity(256 * (requests.len() + 2));
    edge(BATCH_BEGIN).write(sequence, 0, &mut bytes);
    for (offset, (_, request)) in (1..).zip(requests) {
        request.write(sequence.wrapping_add(offset), 0, &mut bytes);
    }
    edge(BATCH_END).write(sequence.wrapping_add(requests.len() as u32 + 1), 0, &mut bytes);
    bytes
}
