use super::message::Message;
use super::{Link, Which};
use crate::netlink::{Action, Error, Request, RequestError, Socket};

/// The query for one link, for use in a batch; read its reply with [`Link::from_reply`].
pub fn query<'a>(which: impl Into<Which<'a>>) -> Request {
    let which = which.into();
    read(Message::about(which), Action::Find { link: which.to_string() })
}

/// Reads one link.
///
/// # Errors
/// When it does not exist ([`RequestError::is_missing`]) or cannot be read.
pub fn get<'a>(socket: &Socket, which: impl Into<Which<'a>>) -> Result<Link, RequestError> {
    let request = query(which);
    let reply = socket.ask(&request)?;
    reply
        .as_ref()
        .and_then(Link::from_reply)
        .ok_or_else(|| socket.failed(request.action(), Error::Malformed("no link in the reply")))
}

/// Reads one link if it exists.
///
/// # Errors
/// When it cannot be read.
pub fn find<'a>(
    socket: &Socket,
    which: impl Into<Which<'a>>,
) -> Result<Option<Link>, RequestError> {
    match get(socket, which) {
        Ok(link) => Ok(Some(link)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads all links of the namespace.
///
/// # Errors
/// When they cannot be read.
pub fn list(socket: &Socket) -> Result<Vec<Link>, RequestError> {
    socket.dump(&list_request(), Link::parse)
}

pub(crate) fn list_request() -> Request {
    read(Message::default(), Action::List { what: "links".into() })
}

fn read(mut message: Message, action: Action) -> Request {
    // Counters make up most of a reply, and nobody here reads them.
    const RTEXT_FILTER_SKIP_STATS: u32 = libc::RTEXT_FILTER_SKIP_STATS.cast_unsigned();
    message.attributes.u32(libc::IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    Request::new(libc::RTM_GETLINK, 0, message.encode(), action)
}
