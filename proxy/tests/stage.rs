//! A host, a container with IPv4 alone, and who publishes its ports.

use std::fs;
use std::io::{Read, Write};
use std::net::{
    Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket,
};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use cni::Error;
use netns_fixtures::{Container, Lab};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};
use nix::unistd::Pid;
use proxy::{Client, Offer, Protocol, Served, listen};
use types::Attachment;

/// Longer than anything takes that is waited for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const RUN_DIR: &str = "/run/cais";
pub(crate) const SOCKET: &str = "/run/cais/proxy.sock";
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
pub(crate) const CONTAINER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

/// What most cases begin with. The daemon ends with it.
pub(crate) struct Stage {
    pub(crate) container: Container,
    path: Vec<PathBuf>,
}

impl Stage {
    pub(crate) fn new(lab: &Lab) -> Self {
        let container = lab.container("c1");
        lab.wire((lab.host(), "veth0"), (&container, "eth0"));
        lab.host().run(&format!("ip addr add {HOST}/24 dev veth0"));
        container.run(&format!("ip addr add {CONTAINER}/24 dev eth0"));
        container.set_sysctl("ipv6/conf/eth0/disable_ipv6", "1");
        let program = Path::new(env!("CARGO_BIN_EXE_cais-proxy"));
        Self { container, path: vec![program.parent().unwrap().to_owned()] }
    }

    pub(crate) fn client(&self) -> Client<'_> {
        Client::new(Path::new(RUN_DIR), &self.path)
    }

    /// Publishes `port` of the container at `[::1]`; where the host listens.
    #[track_caller]
    pub(crate) fn publish(&self, name: &str, protocol: Protocol, port: u16) -> SocketAddrV6 {
        self.publish_at(name, protocol, Ipv6Addr::LOCALHOST, port)
    }

    #[track_caller]
    pub(crate) fn publish_at(
        &self,
        name: &str,
        protocol: Protocol,
        address: Ipv6Addr,
        port: u16,
    ) -> SocketAddrV6 {
        let listener = listen(protocol, address, 0).unwrap();
        let address = listener.address();
        let offer = listener.lead_to(SocketAddr::from((CONTAINER, port)));
        self.client().serve(&key(name), vec![offer]).unwrap();
        address
    }

    #[track_caller]
    pub(crate) fn served(&self) -> Vec<Served> {
        self.client().list().unwrap().expect("a daemon runs").1
    }

    #[track_caller]
    pub(crate) fn pid(&self) -> u32 {
        self.client().list().unwrap().expect("a daemon runs").0
    }

    /// A server in the container that runs `serve` for each connection; its port.
    pub(crate) fn server(&self, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
        let listener = self.container.within(|| TcpListener::bind((CONTAINER, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = std::sync::Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, serve) = (patient(stream.unwrap()), serve.clone());
                thread::spawn(move || serve(stream));
            }
        });
        port
    }

    /// A server in the container that sends back whatever comes, as it comes; its port.
    pub(crate) fn echo(&self) -> u16 {
        self.server(|mut stream| {
            let mut buffer = [0; 4096];
            // A reset is an end as well: cases drop mappings in the middle.
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
        })
    }

    /// A server in the container that sends back each datagram; its port.
    pub(crate) fn udp_echo(&self) -> u16 {
        let socket = self.container.within(|| UdpSocket::bind((CONTAINER, 0))).unwrap();
        let port = socket.local_addr().unwrap().port();
        thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                socket.send_to(&buffer[..length], from).unwrap();
            }
        });
        port
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for pid in daemons() {
            // It may be ending by itself.
            let _ = kill(process(pid), Signal::SIGKILL);
        }
    }
}

pub(crate) fn key(name: &str) -> Attachment {
    Attachment {
        network: "web".parse().unwrap(),
        container: name.parse().unwrap(),
        ifname: "eth0".parse().unwrap(),
    }
}

/// An offer of an echo port that nobody asks for.
pub(crate) fn some_offer() -> Offer {
    let listener = listen(Protocol::Tcp, Ipv6Addr::LOCALHOST, 0).unwrap();
    listener.lead_to(SocketAddr::from((CONTAINER, 7)))
}

/// A stream that fails the case instead of waiting for ever.
pub(crate) fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

#[track_caller]
pub(crate) fn connect(to: SocketAddrV6) -> TcpStream {
    patient(TcpStream::connect(to).unwrap())
}

/// Sends `bytes` and claims that they come back; the stream stays open.
#[track_caller]
pub(crate) fn assert_echoes(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, bytes);
}

/// Sends `bytes` and the end of the stream; all that comes back until its end.
#[track_caller]
pub(crate) fn asked(to: SocketAddrV6, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(to);
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    back
}

pub(crate) fn udp_client(to: SocketAddrV6) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    // Replies from elsewhere than `to` are not for this socket.
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

#[track_caller]
pub(crate) fn assert_udp_echoes(socket: &UdpSocket, bytes: &[u8]) {
    socket.send(bytes).unwrap();
    let mut back = vec![0; 65_536];
    let length = socket.recv(&mut back).unwrap();
    assert_eq!(&back[..length], bytes);
}

/// A client of the control socket that says what it likes.
pub(crate) fn raw_client() -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket::socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
    socket::connect(socket.as_raw_fd(), &UnixAddr::new(SOCKET).unwrap()).unwrap();
    socket
}

/// Daemons that live in this case's mount namespace: others have theirs.
pub(crate) fn daemons() -> Vec<u32> {
    let ours = fs::read_link("/proc/self/ns/mnt").unwrap();
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        entry.unwrap().file_name().to_str().and_then(|name| name.parse::<u32>().ok())
    });
    pids.filter(|pid| {
        let own = |file: &str| format!("/proc/{pid}/{file}");
        let words = fs::read(own("cmdline")).unwrap_or_default();
        fs::read_link(own("ns/mnt")).is_ok_and(|theirs| theirs == ours)
            && words.split(|byte| *byte == 0).nth(1) == Some(b"serve")
    })
    .collect()
}

pub(crate) fn process(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed())
}

/// How many descriptors a process has open.
pub(crate) fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Looks until `done`; between two looks it asks the daemon something, if there is one, so that the
/// daemon has had its turn.
#[track_caller]
pub(crate) fn wait_until(stage: &Stage, what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < end, "{what} does not come true");
        let _ = stage.client().list();
        thread::yield_now();
    }
}

#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>, code: u32, text: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.code, code, "{error}");
    assert!(error.to_string().contains(text), "no `{text}` in: {error}");
}
