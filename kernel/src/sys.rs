//! The system calls that no safe wrapper offers: the only unsafe code of the project.
//!
//! Each function is a thin shell around one call, owns what it gets on its next line, and leaves
//! policy to its caller.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

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

/// Makes room for a message of `bytes` on `socket`: beyond the host's limit where we may
/// (`CAP_NET_ADMIN` over the first user namespace), else up to it. A message that does not fit all
/// the same is refused when it is sent (`EMSGSIZE`). See socket(7).
pub(crate) fn set_send_buffer(socket: BorrowedFd<'_>, bytes: usize) {
    set_buffer(socket, [libc::SO_SNDBUFFORCE, libc::SO_SNDBUF], bytes);
}

/// Makes room for answers of `bytes` likewise, and says for how many there is room now.
pub(crate) fn set_receive_buffer(socket: BorrowedFd<'_>, bytes: usize) -> Result<usize, Errno> {
    set_buffer(socket, [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF], bytes);
    // The kernel doubles what is asked for, for what it keeps with each datagram.
    getsockopt(&socket, sockopt::RcvBuf).map(|doubled| doubled / 2)
}

fn set_buffer(socket: BorrowedFd<'_>, [force, ask]: [c_int; 2], bytes: usize) {
    let value = c_int::try_from(bytes).unwrap_or(c_int::MAX);
    if set_socket_option(socket, libc::SOL_SOCKET, force, value).is_err() {
        let _ = set_socket_option(socket, libc::SOL_SOCKET, ask, value);
    }
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

/// Which kind of namespace `file` is, as a `CLONE_NEW*` flag. See ioctl_nsfs(2), Linux 4.11.
pub(crate) fn namespace_kind(file: BorrowedFd<'_>) -> io::Result<c_int> {
    // SAFETY: this request takes no argument, and the kernel writes to none of our memory.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), libc::NS_GET_NSTYPE) };
    checked(kind.into())?;
    Ok(kind)
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

/// Sends one Ethernet frame, its header included, out of the link with `index`. See packet(7).
pub(crate) fn send_frame(index: u32, frame: &[u8]) -> io::Result<()> {
    let socket = packet_socket()?;
    let (to, length) = link_address(0, index);
    // SAFETY: `frame` and `to` live on for the whole call, and the lengths are their own.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            (&raw const to).cast(),
            length,
        )
    };
    checked(sent as i64).map(drop)
}

/// A packet socket, which hears nothing until it is bound. See packet(7).
pub(crate) fn packet_socket() -> io::Result<OwnedFd> {
    // SAFETY: socket(2) takes no memory; what it returns is owned on the next line.
    let raw = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    checked(raw.into())?;
    // SAFETY: `raw` was returned just now and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Lets a packet socket hear frames of `protocol`, an `ETH_P_` number, at the link with `index`.
pub(crate) fn bind_packet_socket(
    socket: BorrowedFd<'_>,
    protocol: c_int,
    index: u32,
) -> io::Result<()> {
    let (at, length) = link_address(protocol as u16, index);
    // SAFETY: `at` lives on for the whole call, and the length is its own.
    let done = unsafe { libc::bind(socket.as_raw_fd(), (&raw const at).cast(), length) };
    checked(done.into()).map(drop)
}

/// Lets `socket` hear only what `program` lets through. See socket(7), `SO_ATTACH_FILTER`.
pub(crate) fn attach_filter(
    socket: BorrowedFd<'_>,
    program: &mut [libc::sock_filter],
) -> io::Result<()> {
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let length = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: `filter` and the program that it points to live on for the whole call, in which the
    // kernel copies both; its length is that of the program.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            length,
        )
    };
    checked(done.into()).map(drop)
}

fn link_address(protocol: u16, index: u32) -> (libc::sockaddr_ll, libc::socklen_t) {
    // SAFETY: all zero is a valid value of this plain structure of integers.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = index.cast_signed();
    (address, size_of::<libc::sockaddr_ll>() as libc::socklen_t)
}

/// What came with one message of a Unix socket.
pub(crate) struct WithDescriptors {
    pub(crate) length: usize,
    pub(crate) descriptors: Vec<OwnedFd>,
    /// `MSG_TRUNC` and `MSG_CTRUNC` say that something was lost.
    pub(crate) flags: c_int,
}

/// Room for as many descriptors as one message can carry, in words that align a `cmsghdr`. The
/// kernel's `SCM_MAX_FD` is 253.
// SAFETY: the macro only calculates with the number it is given.
const CONTROL_WORDS: usize =
    unsafe { libc::CMSG_SPACE(253 * size_of::<c_int>() as u32) as usize }.div_ceil(8);

/// Receives one message into `buffer`, and the descriptors that were sent with it (`SCM_RIGHTS` in
/// unix(7)), each closed on exec. It waits unless the socket does not.
pub(crate) fn receive_with_descriptors(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<WithDescriptors> {
    let mut control = [0_u64; CONTROL_WORDS];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zero is a valid value of this plain structure of pointers and integers.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the kernel writes into `buffer` and `control`, at most their own lengths, and both
    // live on, as does `message`.
    let length = unsafe {
        libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) as i64
    };
    let length = checked(length)?;
    let mut descriptors = Vec::new();
    // SAFETY: the kernel has filled `control` with whole headers and set `msg_controllen` to their
    // length, so the macros stay within it. The descriptors in `SCM_RIGHTS` were made for us just
    // now and belong to nobody else; each is taken once.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(header).cast::<c_int>();
                let bytes = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                for number in 0..bytes / size_of::<c_int>() {
                    let raw = data.add(number).read_unaligned();
                    descriptors.push(OwnedFd::from_raw_fd(raw));
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Ok(WithDescriptors { length, descriptors, flags: message.msg_flags })
}

/// What a tap is made of: see `Documentation/networking/tuntap.rst` of the kernel.
pub(crate) struct TapParts<'a> {
    /// Its name, at most 15 bytes.
    pub(crate) name: &'a str,
    /// `IFF_` flags of `TUNSETIFF`.
    pub(crate) flags: c_int,
    pub(crate) owner: Option<u32>,
    pub(crate) group: Option<u32>,
}

/// What making a tap consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TapStep {
    Child,
    Context,
    Open,
    Claim,
    Owner,
    Group,
    Persist,
}

impl TapStep {
    const ALL: [Self; 7] = [
        Self::Child,
        Self::Context,
        Self::Open,
        Self::Claim,
        Self::Owner,
        Self::Group,
        Self::Persist,
    ];
}

/// Where a tap was not made, and why.
pub(crate) type TapFailure = (TapStep, Errno);

/// Makes a tap that stays in the calling thread's network namespace. Until its last step it goes
/// with its descriptor. Makes system calls only.
pub(crate) fn make_tap(parts: &TapParts<'_>) -> Result<(), TapFailure> {
    let file = open_tun().map_err(|errno| (TapStep::Open, errno))?;
    claim_tap(file.as_fd(), parts.name, parts.flags).map_err(|errno| (TapStep::Claim, errno))?;
    let set = |step: TapStep, request: libc::Ioctl, value: u32| {
        // SAFETY: these requests take an integer instead of a pointer, and touch none of our memory.
        let done = unsafe { libc::ioctl(file.as_raw_fd(), request, libc::c_ulong::from(value)) };
        Errno::result(done).map(drop).map_err(|errno| (step, errno))
    };
    if let Some(owner) = parts.owner {
        set(TapStep::Owner, libc::TUNSETOWNER, owner)?;
    }
    if let Some(group) = parts.group {
        set(TapStep::Group, libc::TUNSETGROUP, group)?;
    }
    set(TapStep::Persist, libc::TUNSETPERSIST, 1)
}

/// Opens what taps are made of and reached by.
pub(crate) fn open_tun() -> Result<OwnedFd, Errno> {
    // SAFETY: the path is a C string that lives for ever; what is returned is owned on the next line.
    let raw = unsafe { libc::open(c"/dev/net/tun".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
    Errno::result(raw)?;
    // SAFETY: `raw` was returned just now and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Makes `file` a queue of the tap called `name`, which is made where it is missing: `TUNSETIFF`.
pub(crate) fn claim_tap(file: BorrowedFd<'_>, name: &str, flags: c_int) -> Result<(), Errno> {
    // SAFETY: all zero is a valid value of this plain structure of integers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays a NUL.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: the kernel reads and writes one `ifreq`, which lives on for the whole call.
    Errno::result(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })
        .map(drop)
}

/// The same by a child that first changes to the security context `context` (`attr/current` in
/// proc(5)). The kernel labels a tap by the process that makes it, whatever else is asked for
/// (`selinux_tun_dev_create`), and lets only a process of one thread change its own label.
pub(crate) fn make_tap_as(context: &[u8], parts: &TapParts<'_>) -> Result<(), TapFailure> {
    let no_child = |error: io::Error| {
        (TapStep::Child, error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    };
    let (mut ours, theirs) = UnixStream::pair().map_err(no_child)?;
    // SAFETY: other threads may hold any lock at this moment, so that the child must not allocate,
    // lock or unwind. It only makes system calls, with memory that was prepared above, and ends by
    // _exit(2), which runs no destructor or exit handler.
    let child = unsafe {
        let child = libc::fork();
        if child == 0 {
            let done = take_context(context).and_then(|()| make_tap(parts));
            if let Err((step, errno)) = done {
                // Error numbers are below 134.
                let told = [step as u8, errno as i32 as u8];
                libc::write(theirs.as_raw_fd(), told.as_ptr().cast(), told.len());
            }
            libc::_exit(0);
        }
        child
    };
    Errno::result(child).map_err(|errno| (TapStep::Child, errno))?;
    drop(theirs);
    let mut told = Vec::new();
    let heard = ours.read_to_end(&mut told);
    let ended = waitpid(Pid::from_raw(child), None);
    heard.map_err(no_child)?;
    match (&told[..], ended) {
        (&[step, errno], _) => {
            let step = TapStep::ALL.get(usize::from(step)).copied().unwrap_or(TapStep::Child);
            Err((step, Errno::from_raw(errno.into())))
        }
        // Where nobody waits for children (SIGCHLD is ignored) their ends are not told.
        (&[], Ok(WaitStatus::Exited(_, 0)) | Err(Errno::ECHILD)) => Ok(()),
        _ => Err((TapStep::Child, Errno::EIO)),
    }
}

/// Changes the calling process's security context.
fn take_context(context: &[u8]) -> Result<(), TapFailure> {
    let failed = |errno| (TapStep::Context, errno);
    let path = c"/proc/thread-self/attr/current";
    // SAFETY: the path is a C string that lives for ever; what is returned is owned on the next line.
    let raw = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    Errno::result(raw).map_err(failed)?;
    // SAFETY: `raw` was returned just now and belongs to nobody else.
    let file = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: `context` lives on for the whole call, and the length is its own.
    let done = unsafe { libc::write(file.as_raw_fd(), context.as_ptr().cast(), context.len()) };
    Errno::result(done).map(drop).map_err(failed)
}

/// Another descriptor of what `number` is open for, closed on exec. See `F_DUPFD_CLOEXEC` in fcntl(2).
pub(crate) fn duplicate(number: c_int) -> io::Result<OwnedFd> {
    // SAFETY: the call takes integers and changes nothing that `number` is open for; a number that
    // is not open is only refused.
    let raw = Errno::result(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Lets every descriptor from `first` on be closed by the next execve(2). None is closed now.
pub(crate) fn close_on_exec_from(first: u32) {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: with this flag the call takes no memory and closes nothing, so nobody loses what
    // they own.
    let done =
        unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) };
    if done == 0 {
        return;
    }
    // Before Linux 5.11, or forbidden by a seccomp filter that does not know it.
    for fd in first..MOST_OPEN_FILES {
        // SAFETY: F_SETFD takes an integer, and a number that is not open is only refused.
        unsafe { libc::fcntl(fd.cast_signed(), libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Gives up all capabilities of the calling thread, for good as far as they are needed to get one
/// back. See capset(2).
pub(crate) fn drop_capabilities() -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3`: 64 capabilities in two words of each set.
    const VERSION: u32 = 0x2008_0522;
    #[repr(C)]
    struct Header {
        version: u32,
        /// 0 is the calling thread.
        thread: libc::pid_t,
    }
    let header = Header { version: VERSION, thread: 0 };
    // Effective, permitted and inheritable, twice.
    let sets = [0_u32; 6];
    // SAFETY: both live on for the whole call and have the layout that version 3 asks for.
    let done = unsafe {
        libc::syscall(libc::SYS_capset, &raw const header, (&raw const sets).cast::<u32>())
    };
    checked(done).map(drop)
}

/// The usual convention of system calls: minus one means look at `errno`.
fn checked(value: i64) -> io::Result<usize> {
    usize::try_from(value).map_err(|_| io::Error::last_os_error())
}

/// What a deleter is called in `/proc` and ps(1).
pub(crate) const DELETER_NAME: &str = "cais-deleter";

/// What a deleter does before it exits and thereby closes what it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Errand<'a> {
    /// Sends the message on the socket, and does not read the answer.
    Send(BorrowedFd<'a>, &'a [u8]),
    /// Waits until the other end of this pipe is closed, for ten seconds at most, and then for a
    /// tenth of a second more.
    AwaitClose(BorrowedFd<'a>),
}

/// A deleter's patience in milliseconds, for a parent that is stopped.
const PATIENCE: c_int = 10_000;

/// How long a deleter keeps a socket of nftables that nobody else holds any more, in milliseconds.
///
/// The kernel closes it under the lock that every batch needs, and until the grace period after
/// the last deletion of anybody has passed. By now a chain of plugins is through with its own.
const LINGER: c_int = 100;

/// Forks a child that runs `errand` and exits. The child holds the errand's descriptor and `hold`
/// open meanwhile, and no other descriptor: not stdout, whose readers wait for its end.
///
/// Returns the child's process id; the caller answers for its being reaped.
pub(crate) fn fork_deleter(errand: Errand<'_>, hold: &[BorrowedFd<'_>]) -> io::Result<libc::pid_t> {
    const NAME: &CStr = c"cais-deleter";
    let (Errand::Send(own, _) | Errand::AwaitClose(own)) = errand;
    let gaps = gaps_between(own, hold);
    let mut awaited = libc::pollfd { fd: own.as_raw_fd(), events: 0, revents: 0 };
    // SAFETY: other threads may hold any lock at this moment, so that the child must not allocate,
    // lock or unwind. It only makes system calls, with memory that was prepared above, and ends
    // by _exit(2), which runs no destructor or exit handler.
    unsafe {
        let child = libc::fork();
        if child != 0 {
            return checked(child.into()).map(|_| child);
        }
        libc::prctl(libc::PR_SET_NAME, NAME.as_ptr());
        for &(first, last) in &gaps {
            if libc::syscall(libc::SYS_close_range, first, last, 0) != 0 {
                // Before Linux 5.9, or forbidden by a seccomp filter that does not know it.
                for fd in first..=last.min(MOST_OPEN_FILES) {
                    libc::close(fd.cast_signed());
                }
            }
        }
        match errand {
            Errand::Send(socket, bytes) => {
                let (start, length) = (bytes.as_ptr().cast(), bytes.len());
                libc::send(socket.as_raw_fd(), start, length, libc::MSG_NOSIGNAL);
            }
            // Without asking for events the end of the other side is told all the same.
            Errand::AwaitClose(_) => {
                libc::poll(&raw mut awaited, 1, PATIENCE);
                libc::poll(std::ptr::null_mut(), 0, LINGER);
            }
        }
        libc::_exit(0);
    }
}

/// Where close_range(2) is missing, descriptors up to this number are closed one by one.
const MOST_OPEN_FILES: u32 = 1024;

/// All descriptor numbers but those of `own` and `hold`, as ranges.
fn gaps_between(own: BorrowedFd<'_>, hold: &[BorrowedFd<'_>]) -> Vec<(u32, u32)> {
    // Kept in order as it grows: a handful of numbers is not worth the code of a general sort.
    let mut kept: Vec<u32> = Vec::with_capacity(hold.len() + 1);
    for fd in hold.iter().chain([&own]).map(|fd| fd.as_raw_fd() as u32) {
        let place = kept.partition_point(|&other| other < fd);
        kept.insert(place, fd);
    }
    let mut gaps = Vec::with_capacity(kept.len() + 1);
    let mut next = 0;
    for fd in kept {
        if next < fd {
            gaps.push((next, fd - 1));
        }
        next = fd + 1;
    }
    gaps.push((next, u32::MAX));
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gaps_leave_out_what_is_kept_and_nothing_else() {
        // SAFETY: only numbers are looked at; nothing is done with these descriptors.
        let fd = |number| unsafe { BorrowedFd::borrow_raw(number) };
        assert_eq!(gaps_between(fd(5), &[]), [(0, 4), (6, u32::MAX)]);
        assert_eq!(gaps_between(fd(0), &[fd(1), fd(7)]), [(2, 6), (8, u32::MAX)]);
        assert_eq!(gaps_between(fd(7), &[fd(7)]), [(0, 6), (8, u32::MAX)]);
    }
}
