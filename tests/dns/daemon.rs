//! The daemon as a process: its control socket, and its end.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::upstream::pass;

const SOCKET: &str = "/run/cais/dns.sock";
const PROGRAM: &str = "cais-dnsd";

/// A connection to the control socket.
pub(crate) struct Control(OwnedFd);

impl Control {
    /// Connects; what kept it from that otherwise.
    pub(crate) fn connect() -> nix::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(30, 0))?;
        connect(socket.as_raw_fd(), &UnixAddr::new(SOCKET)?)?;
        Ok(Self(socket))
    }

    /// Says something and hears one reply.
    pub(crate) fn ask(&self, request: &Value) -> Value {
        let request = request.to_string();
        send(self.0.as_raw_fd(), request.as_bytes(), MsgFlags::MSG_NOSIGNAL).unwrap();
        self.hear()
    }

    fn hear(&self) -> Value {
        let mut buffer = vec![0; 64 * 1024];
        let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
        serde_json::from_slice(&buffer[..length]).unwrap()
    }
}

/// Lets the daemon do something about itself; its text, or the error object.
pub(crate) fn tell(verb: &str) -> Result<String, Value> {
    let control = Control::connect().expect("the daemon listens");
    let mut reply = control.ask(&json!({ "layout": 1, "verb": verb }));
    let mut text = String::new();
    loop {
        if reply.get("error").is_some() {
            return Err(reply);
        }
        text.push_str(reply["text"].as_str().unwrap_or_default());
        if reply["more"] != true {
            return Ok(text);
        }
        reply = control.hear();
    }
}

/// What the daemon says about itself.
pub(crate) fn status() -> Value {
    let text = tell("status").unwrap_or_else(|error| panic!("status: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// The process that answers.
pub(crate) fn worker() -> i32 {
    let pid = status()["pid"].as_i64().expect("status tells its process");
    i32::try_from(pid).unwrap()
}

/// All processes of the daemon in this lab.
pub(crate) fn processes() -> Vec<i32> {
    let mounts = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let own = mounts("self");
    let numbered = fs::read_dir("/proc").unwrap().flatten();
    let pids = numbered.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let lives = !state.contains(") Z ") && !state.is_empty();
        name.trim() == PROGRAM && lives && mounts(&pid.to_string()) == own
    })
    .collect()
}

/// Ends a process without a chance to say anything.
pub(crate) fn end(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// Ends all processes of the daemon, and waits until they are gone.
pub(crate) fn end_all() {
    // Who keeps the other alive goes first.
    let mut pids = processes();
    let worker = worker();
    pids.sort_by_key(|pid| *pid == worker);
    assert!(!pids.is_empty(), "no daemon runs");
    pids.into_iter().for_each(|pid| {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    });
    wait_until("the daemon is gone", Duration::from_secs(20), || processes().is_empty());
}

/// Looks again and again.
#[track_caller]
pub(crate) fn wait_until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {patience:?}");
        pass(Duration::from_millis(50));
    }
}

/// The file that holds what is remembered of an attachment.
pub(crate) fn record(network: &str, container: &str, ifname: &str) -> std::path::PathBuf {
    let path = Path::new("/run/cais/dns").join(network).join(format!("{container}@{ifname}"));
    assert!(path.exists(), "{} is not there", path.display());
    path
}
