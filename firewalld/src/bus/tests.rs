//! A bus that misbehaves in each way that a bus can, on one end of a pair of sockets.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{Backlog, listen};

use super::{Bus, Call, Failure};

/// Long for a case that shall be answered at once.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A connection to a peer that says `words` whatever it hears, and hangs up when `hangs_up`.
fn told(words: &[u8], hangs_up: bool) -> (Bus, UnixStream) {
    let (stream, mut peer) = UnixStream::pair().unwrap();
    peer.write_all(words).unwrap();
    if hangs_up {
        peer.shutdown(std::net::Shutdown::Write).unwrap();
    }
    (Bus { stream, received: Vec::new(), serial: 0 }, peer)
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("cais-firewalld-{name}-{}", std::process::id()))
}

#[test]
fn a_bus_that_refuses_or_babbles_or_hangs_up_is_told_apart() {
    let greeted = |words: &[u8]| {
        let (mut bus, _peer) = told(words, true);
        bus.greet(soon()).unwrap_err()
    };
    assert!(
        matches!(greeted(b"REJECTED EXTERNAL\r\n"), Failure::Auth(words) if words.starts_with("REJECTED"))
    );
    assert!(matches!(greeted(b"DATA\r\nERROR\r\n"), Failure::Auth(_)));
    assert!(matches!(greeted(b"DATA\r\nOK 00\r\nHTTP/1.1 400 Bad Request"), Failure::Malformed(_)));
    assert!(matches!(greeted(&[b'a'; 5000]), Failure::Malformed("a greeting without end")));
    for cut in
        [b"".as_slice(), b"DATA\r\n", b"DATA\r\nOK 00\r\n", b"DATA\r\nOK 00\r\nl\x02\x01\x01"]
    {
        assert!(matches!(greeted(cut), Failure::System { call: "read", .. }), "{cut:?}");
    }
}

#[test]
fn a_bus_that_says_nothing_ends_in_a_timeout() {
    let (mut bus, _peer) = told(b"", false);
    let late = bus.greet(Instant::now() + Duration::from_millis(20)).unwrap_err();
    assert!(matches!(late, Failure::Timeout));
    let over = bus.has_owner("a.b", Instant::now()).unwrap_err();
    assert!(matches!(over, Failure::Timeout));
}

#[test]
fn a_bus_that_takes_nothing_ends_in_a_timeout() {
    let (mut bus, _peer) = told(b"", false);
    let long = "a".repeat(16 * 1024 * 1024);
    let until = Instant::now() + Duration::from_millis(20);
    let late = bus.call(&Call::to_bus("NameHasOwner", &[&long]), until).unwrap_err();
    assert!(matches!(late, Failure::Timeout));
    let next = bus.has_owner("a.b", soon()).unwrap_err();
    assert!(
        matches!(next, Failure::System { call: "write", .. }),
        "half a message was sent: {next:?}"
    );
}

#[test]
fn a_bus_whose_queue_is_full_ends_in_a_timeout() {
    let path = scratch("full");
    let listener = UnixListener::bind(&path).unwrap();
    let address = format!("unix:path={}", path.display());
    // Nobody accepts, so the queue fills: a short one, since a queue may be longer than the limit of
    // open files.
    listen(&listener, Backlog::new(1).unwrap()).unwrap();
    let mut waiting = Vec::new();
    let found = loop {
        let until = Instant::now() + Duration::from_millis(20);
        let stream = super::addresses(&address).unwrap()[0].connect(super::left(until).unwrap());
        match stream {
            Ok(stream) => waiting.push(stream),
            Err(_) => break Bus::connect(&address, Instant::now() + Duration::from_millis(20)),
        }
    };
    std::fs::remove_file(path).unwrap();
    assert!(matches!(found, Err(Failure::Timeout)), "after {}: {found:?}", waiting.len());
}

#[test]
fn no_bus_is_no_error() {
    let path = scratch("none");
    let address = format!("unix:path={}", path.display());
    assert!(Bus::connect(&address, soon()).unwrap().is_none(), "no file");
    drop(UnixListener::bind(&path).unwrap());
    assert!(Bus::connect(&address, soon()).unwrap().is_none(), "a file that nobody listens at");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn an_answer_that_comes_too_late_is_passed_over_by_the_next_call() {
    let answer = |serial: u8, truth: u8| {
        let mut bytes = b"l\x02\x01\x01\x04\0\0\0\x09\0\0\0\x0f\0\0\0".to_vec();
        bytes
            .extend([5, 1, b'u', 0, serial, 0, 0, 0, 8, 1, b'g', 0, 1, b'b', 0, 0, truth, 0, 0, 0]);
        bytes
    };
    let (mut bus, mut peer) = told(b"", false);
    let late = bus.has_owner("a.b", Instant::now() + Duration::from_millis(20)).unwrap_err();
    assert!(matches!(late, Failure::Timeout));
    let other = thread::spawn(move || {
        // In small pieces, as a socket may hand them over.
        for byte in [answer(1, 0), answer(2, 1)].concat() {
            peer.write_all(&[byte]).unwrap();
        }
        let mut heard = Vec::new();
        let _ = peer.read_to_end(&mut heard);
    });
    assert!(bus.has_owner("a.b", soon()).unwrap());
    drop(bus);
    other.join().unwrap();
}
