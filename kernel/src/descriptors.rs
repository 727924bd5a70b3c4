//! Descriptors that pass from one process to another.

use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use crate::sys;

/// One message of a Unix socket, and what came with it.
#[derive(Debug)]
pub struct Received {
    /// Bytes of the message; 0 is the end of the stream.
    pub length: usize,
    /// Descriptors in the order in which they were sent.
    pub descriptors: Vec<OwnedFd>,
    /// Whether the message or its descriptors did not fit, so that a part is lost.
    pub truncated: bool,
}

/// Receives one message of `socket` into `buffer`, with the descriptors that were sent with it
/// (`SCM_RIGHTS` in unix(7)), which are closed on exec. It waits unless the socket does not.
///
/// # Errors
/// What recvmsg(2) says.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    let got = sys::receive_with_descriptors(socket.as_fd(), buffer)?;
    let truncated = got.flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    Ok(Received { length: got.length, descriptors: got.descriptors, truncated })
}

/// Takes a descriptor that whoever started this program passed under `number`. It has another number
/// from now on, and is closed on exec. To be called before this program opened anything of its own,
/// which might have that number.
///
/// # Errors
/// `EBADF` when none was passed.
pub fn passed(number: RawFd) -> io::Result<OwnedFd> {
    let taken = sys::duplicate(number)?;
    nix::unistd::close(number)?;
    Ok(taken)
}

/// Lets the next program that this process becomes or starts have nothing but standard streams:
/// whatever else is open is closed by execve(2), and stays open until then.
pub fn close_others_on_exec() {
    sys::close_on_exec_from(3);
}

/// Identity of the network namespace that `socket` was made in (`SO_NETNS_COOKIE`), `None` before
/// Linux 5.14.
#[must_use]
pub fn namespace_of(socket: impl AsFd) -> Option<u64> {
    sys::netns_cookie(socket.as_fd()).ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{IoSlice, Read, Write, pipe};
    use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
    use std::os::unix::net::UnixDatagram;

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

    use super::*;

    fn send(socket: &UnixDatagram, bytes: &[u8], descriptors: &[RawFd]) {
        let rights = [ControlMessage::ScmRights(descriptors)];
        let (raw, parts) = (socket.as_raw_fd(), [IoSlice::new(bytes)]);
        sendmsg::<()>(raw, &parts, &rights, MsgFlags::empty(), None).unwrap();
    }

    #[test]
    fn descriptors_arrive_in_order_and_closed_on_exec() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let (first, second) = (pipe().unwrap(), pipe().unwrap());
        send(&theirs, b"two", &[first.1.as_raw_fd(), second.1.as_raw_fd()]);
        drop((first.1, second.1));
        let mut buffer = [0; 8];
        let received = receive(&ours, &mut buffer).unwrap();
        assert_eq!((&buffer[..received.length], received.truncated), (&b"two"[..], false));
        let [one, other]: [OwnedFd; 2] = received.descriptors.try_into().unwrap();
        let flags = fcntl(&one, FcntlArg::F_GETFD).unwrap();
        assert!(FdFlag::from_bits_truncate(flags).contains(FdFlag::FD_CLOEXEC));
        for (writer, mut reader, word) in [(one, first.0, "one"), (other, second.0, "other")] {
            File::from(writer).write_all(word.as_bytes()).unwrap();
            let mut text = String::new();
            // It ends only when no copy of the writing end is left anywhere.
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, word);
        }
    }

    #[test]
    fn what_was_passed_under_a_number_is_taken_once_with_its_flag() {
        let (mut reader, writer) = pipe().unwrap();
        let number = writer.into_raw_fd();
        let taken = passed(number).unwrap();
        let flags = fcntl(&taken, FcntlArg::F_GETFD).unwrap();
        assert!(FdFlag::from_bits_truncate(flags).contains(FdFlag::FD_CLOEXEC));
        File::from(taken).write_all(b"it").unwrap();
        let mut text = String::new();
        // It ends only when no copy of the writing end is left anywhere.
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "it");
        assert_eq!(passed(RawFd::MAX).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }

    #[test]
    fn as_many_as_a_message_can_carry_arrive_and_a_long_message_says_that_it_was_cut() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        send(&theirs, b"many", &[theirs.as_raw_fd(); 253]);
        let mut buffer = [0; 3];
        let received = receive(&ours, &mut buffer).unwrap();
        assert_eq!((received.descriptors.len(), received.truncated), (253, true));
    }
}
