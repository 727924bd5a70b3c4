//! epoll(7), level-triggered, with events that say whose they are.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

pub(super) const READABLE: EpollFlags = EpollFlags::EPOLLIN;
pub(super) const WRITABLE: EpollFlags = EpollFlags::EPOLLOUT;

/// Whose event it is, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The control socket.
    Control,
    /// A client on the control socket.
    Peer(u64),
    /// A mapping's listening socket.
    Mapping(u64),
    /// A TCP connection's side of the client.
    Client(u64),
    /// A TCP connection's side of the container.
    Target(u64),
    /// A UDP client's socket towards the container.
    Session(u64),
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) source: Source,
    /// An error waits on it, a reset for example.
    pub(super) failed: bool,
    /// Both directions have ended.
    pub(super) hung_up: bool,
}

/// Bits of a token that are the number.
const NUMBER: u32 = 56;

impl Source {
    fn token(self) -> u64 {
        let (kind, id) = match self {
            Self::Control => (0, 0),
            Self::Peer(id) => (1, id),
            Self::Mapping(id) => (2, id),
            Self::Client(id) => (3, id),
            Self::Target(id) => (4, id),
            Self::Session(id) => (5, id),
        };
        // Numbers are given out one by one: 56 bits last for two thousand years of a million a second.
        (kind << NUMBER) | id
    }

    fn of(token: u64) -> Option<Self> {
        let id = token & ((1 << NUMBER) - 1);
        Some(match token >> NUMBER {
            0 => Self::Control,
            1 => Self::Peer(id),
            2 => Self::Mapping(id),
            3 => Self::Client(id),
            4 => Self::Target(id),
            5 => Self::Session(id),
            _ => return None,
        })
    }
}

pub(super) struct Poller(Epoll);

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    pub(super) fn add(&self, fd: impl AsFd, source: Source, wanted: EpollFlags) -> io::Result<()> {
        Ok(self.0.add(fd, EpollEvent::new(wanted, source.token()))?)
    }

    pub(super) fn modify(
        &self,
        fd: impl AsFd,
        source: Source,
        wanted: EpollFlags,
    ) -> io::Result<()> {
        Ok(self.0.modify(fd, &mut EpollEvent::new(wanted, source.token()))?)
    }

    pub(super) fn remove(&self, fd: impl AsFd) {
        // It fails only for what is not there, which is what was wanted.
        let _ = self.0.delete(fd);
    }

    /// Waits for events, at most until `until`, and appends them.
    pub(super) fn wait(&self, until: Option<Instant>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let timeout = until.map_or(EpollTimeout::NONE, |until| {
            let left = until.saturating_duration_since(Instant::now());
            // Rounded up, or the last millisecond would be spent awake.
            let left = (left + Duration::from_micros(999)).as_millis();
            EpollTimeout::from(u16::try_from(left).unwrap_or(u16::MAX))
        });
        let mut events = [EpollEvent::empty(); 64];
        let count = match self.0.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0,
            other => other?,
        };
        ready.extend(events[..count].iter().filter_map(|event| {
            let flags = event.events();
            Some(Ready {
                source: Source::of(event.data())?,
                failed: flags.contains(EpollFlags::EPOLLERR),
                hung_up: flags.contains(EpollFlags::EPOLLHUP),
            })
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_whose_it_is() {
        for source in [
            Source::Control,
            Source::Peer(1),
            Source::Mapping(2),
            Source::Client((1 << NUMBER) - 1),
            Source::Target(0),
            Source::Session(7),
        ] {
            assert_eq!(Source::of(source.token()), Some(source));
        }
        assert_eq!(Source::of(u64::MAX), None);
    }
}
