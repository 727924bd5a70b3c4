//! Sockets that carry whole messages, on tokio.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use control::MOST_BYTES;
use kernel::descriptors;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use tokio::io::unix::AsyncFd;

/// One end of such a connection.
#[derive(Debug)]
pub(super) struct Packets {
    socket: AsyncFd<UnixStream>,
}

/// A message, and the descriptors that came with it.
pub(super) type Message = (Vec<u8>, Vec<OwnedFd>);

impl Packets {
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket: AsyncFd::new(socket)? })
    }

    /// The next message; `None` at the end. Nothing is lost when it is not waited for any more.
    ///
    /// # Errors
    /// Of the system, and when a message does not fit.
    pub(super) async fn receive(&self) -> io::Result<Option<Message>> {
        let mut buffer = vec![0; MOST_BYTES];
        loop {
            let mut ready = self.socket.readable().await?;
            let received = ready.try_io(|socket| descriptors::receive(socket.get_ref(), &mut buffer));
            match received {
                Err(_would_block) => {}
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
                Ok(Ok(received)) if received.length == 0 => return Ok(None),
                Ok(Ok(received)) if received.truncated => {
                    return Err(io::Error::other("a message is too long"));
                }
                Ok(Ok(received)) => {
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
            let mut ready = self.socket.writable().await?;
            let sent = ready.try_io(|socket| {
                let to = socket.get_ref().as_raw_fd();
                sendmsg::<()>(to, &parts, rights, MsgFlags::MSG_NOSIGNAL, None)
                    .map_err(|error: Errno| error.into())
            });
            match sent {
                Err(_would_block) => {}
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(sent) => return sent.map(drop),
            }
        }
    }

    pub(super) fn socket(&self) -> &UnixStream {
        self.socket.get_ref()
    }
}
