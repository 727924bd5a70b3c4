//! Sockets that carry whole messages, on tokio.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net;

use control::MOST_BYTES;
use kernel::descriptors;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// One end of such a connection.
#[derive(Debug)]
pub(super) struct Packets {
    socket: UnixStream,
}

/// A message, and the descriptors that came with it.
pub(super) type Message = (Vec<u8>, Vec<OwnedFd>);

impl Packets {
    pub(super) fn new(socket: net::UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        // It waits for the descriptor, whatever kind of socket that is.
        Ok(Self { socket: UnixStream::from_std(socket)? })
    }

    pub(super) fn accepted(socket: UnixStream) -> Self {
        Self { socket }
    }

    /// The next message; `None` at the end. Nothing is lost when it is not waited for any more.
    ///
    /// # Errors
    /// Of the system, and when a message does not fit.
    pub(super) async fn receive(&self) -> io::Result<Option<Message>> {
        let mut buffer = vec![0; MOST_BYTES];
        loop {
            self.socket.readable().await?;
            let receive = || descriptors::receive(&self.socket, &mut buffer);
            match self.socket.try_io(Interest::READABLE, receive) {
                Err(error) if is_to_be_tried_again(&error) => {}
                Err(error) => return Err(error),
                Ok(received) if received.length == 0 => return Ok(None),
                Ok(received) if received.truncated => {
                    return Err(io::Error::other("a message is too long"));
                }
                Ok(received) => {
                    buffer.truncate(received.length);
                    return Ok(Some((buffer, received.descriptors)));
                }
            }
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// Of the system.
    pub(super) async fn send(&self, message: &[u8], descriptors: &[OwnedFd]) -> io::Result<()> {
        let raw: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let rights = if raw.is_empty() { &[][..] } else { &rights[..] };
        let parts = [io::IoSlice::new(message)];
        loop {
            self.socket.writable().await?;
            let sent = self.socket.try_io(Interest::WRITABLE, || {
                let to = self.socket.as_raw_fd();
                let sent = sendmsg::<()>(to, &parts, rights, MsgFlags::MSG_NOSIGNAL, None);
                sent.map_err(|error: Errno| error.into())
            });
            match sent {
                Err(error) if is_to_be_tried_again(&error) => {}
                sent => return sent.map(drop),
            }
        }
    }

    pub(super) fn socket(&self) -> &UnixStream {
        &self.socket
    }
}

fn is_to_be_tried_again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
