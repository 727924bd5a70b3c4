//! The system calls that no safe wrapper offers: the only unsafe code of the project.
//!
//! Each function is a thin shell around one call, owns what it gets on its next line, and leaves
//! policy to its caller.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::suite::Note;

/// The build id of every binary that asks for it, where elf(5) keeps such things.
// SAFETY: the section is read-only data that nothing else writes into; its name only makes the
// linker list it as a note. `Note` has the layout that elf(5) asks for.
#[used]
#[unsafe(link_section = ".note.cais")]
pub(crate) static NOTE: Note = Note::OURS;

/// Sets an `int` option of a socket. See setsockopt(2).
pub(crate) fn set_socket_option(
    socket: BorrowedFd<'_>,
    level: c_int,
    option: c_int,
    value: c_int,
) -> io::Result<()> {
    let length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: `value` lives on our stack for the whole call and `length` is exactly its size.
    let done = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length)
    };
    checked(done.into()).map(drop)
}

/// Cookie of the network namespace that `socket` lives in: `SO_NETNS_COOKIE`, Linux 5.14.
pub(crate) fn netns_cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, the size of `cookie`, and both live on.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    checked(done.into()).map(|_| cookie)
}

/// Reads one datagram into the unused room of `buffer`, replacing its content, without waiting.
///
/// Returns the datagram's true length, which is more than `buffer.len()` when it did not fit.
/// The room is never zeroed first: for a reply of 20 bytes that would cost eight page faults.
/// See recv(2).
pub(crate) fn receive_now(socket: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> io::Result<usize> {
    buffer.clear();
    let room = buffer.spare_capacity_mut();
    // SAFETY: `room` is writable memory of `room.len()` bytes that nobody else holds.
    let length = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            room.as_mut_ptr().cast(),
            room.len(),
            libc::MSG_DONTWAIT | libc::MSG_TRUNC,
        )
    };
    let length = checked(length as i64)?;
    let kept = length.min(buffer.capacity());
    // SAFETY: the kernel has just written the first `kept` bytes, and `kept` is within capacity.
    unsafe { buffer.set_len(kept) };
    Ok(length)
}

/// The usual convention of system calls: minus one means look at `errno`.
fn checked(value: i64) -> io::Result<usize> {
    usize::try_from(value).map_err(|_| io::Error::last_os_error())
}
