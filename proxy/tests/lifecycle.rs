use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{Ipv6Addr, TcpStream};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

use cni::code;
use netns_fixtures::lab;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use proxy::{Client, Protocol, listen};

use crate::stage::{
    RUN_DIR, SOCKET, Stage, asked, assert_echoes, connect, daemons, key, process, refused,
    some_offer, wait_until,
};

#[test]
fn fifty_starters_at_once_make_one_daemon() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let port = stage.echo();
        let addresses: Vec<_> = thread::scope(|scope| {
            let start = |number: u32| {
                let stage = &stage;
                scope.spawn(move || stage.publish(&format!("c{number}"), Protocol::Tcp, port))
            };
            let started: Vec<_> = (0..50).map(start).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(daemons(), [stage.pid()]);
        assert_eq!(stage.served().len(), 50);
        for address in addresses {
            assert_eq!(asked(address, b"hello"), b"hello");
        }
    });
}

#[test]
fn after_a_sigkill_the_next_call_starts_another() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let port = stage.echo();
        let lost = stage.publish("c1", Protocol::Tcp, port);
        let killed = stage.pid();
        kill(process(killed), Signal::SIGKILL).unwrap();
        wait_until(&stage, "the end of the daemon", || daemons().is_empty());
        assert!(Path::new(SOCKET).exists(), "a killed process removes nothing");
        assert_eq!(stage.client().list().unwrap(), None);
        stage.client().drop(&key("c1")).unwrap();
        assert_eq!(TcpStream::connect(lost).unwrap_err().kind(), ErrorKind::ConnectionRefused);

        assert_eq!(asked(stage.publish("c2", Protocol::Tcp, port), b"again"), b"again");
        assert_ne!(stage.pid(), killed);
        let keys: Vec<_> = stage.served().into_iter().map(|served| served.key).collect();
        assert_eq!(keys, [key("c2")]);
    });
}

#[test]
fn dropping_the_last_mapping_ends_it_all_at_once() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let address = stage.publish("c1", Protocol::Tcp, stage.echo());
        let mut stream = connect(address);
        assert_echoes(&mut stream, b"alive");
        stage.client().drop(&key("c1")).unwrap();
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let error = stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(!Path::new(SOCKET).exists());
        wait_until(&stage, "the end of the daemon", || daemons().is_empty());
        stage.client().drop(&key("c1")).unwrap();
        let left: Vec<_> =
            fs::read_dir(RUN_DIR).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["proxy"]);
    });
}

#[test]
fn dropping_one_key_leaves_the_others_alone() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let port = stage.echo();
        let (one, other) =
            (stage.publish("c1", Protocol::Tcp, port), stage.publish("c2", Protocol::Tcp, port));
        let mut stream = connect(other);
        assert_echoes(&mut stream, b"before");
        stage.client().drop(&key("c1")).unwrap();
        assert_eq!(TcpStream::connect(one).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_echoes(&mut stream, b"after");
        stage.client().drop(&key("nobody")).unwrap();
        assert_eq!(asked(other, b"still"), b"still");
    });
}

#[test]
fn serving_a_key_again_replaces_what_it_had() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let port = stage.echo();
        let old = stage.publish("c1", Protocol::Tcp, port);
        let new = stage.publish("c1", Protocol::Tcp, port);
        assert_eq!(TcpStream::connect(old).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(asked(new, b"new"), b"new");
        assert_eq!(stage.served().len(), 1);
        // Nothing to serve is the same as to drop.
        stage.client().serve(&key("c1"), vec![]).unwrap();
        wait_until(&stage, "the end of the daemon", || daemons().is_empty());
    });
}

#[test]
fn more_mappings_than_fit_one_message_are_served_together() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let offers = (0..300).map(|_| some_offer()).collect();
        stage.client().serve(&key("c1"), offers).unwrap();
        assert_eq!(stage.served().len(), 300);
        stage.client().serve(&key("c1"), vec![some_offer()]).unwrap();
        assert_eq!(stage.served().len(), 1);
    });
}

#[test]
fn starting_and_ending_in_turns_loses_nobody() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let port = stage.echo();
        thread::scope(|scope| {
            for number in 0..4 {
                let stage = &stage;
                scope.spawn(move || {
                    let name = format!("c{number}");
                    for _ in 0..25 {
                        let address = stage.publish(&name, Protocol::Tcp, port);
                        assert_eq!(asked(address, name.as_bytes()), name.as_bytes());
                        stage.client().drop(&key(&name)).unwrap();
                    }
                });
            }
        });
        wait_until(&stage, "the end of all daemons", || daemons().is_empty());
        assert_eq!(stage.client().list().unwrap(), None);
    });
}

#[test]
fn the_daemon_has_nothing_of_its_starter_and_no_privilege() {
    lab(|lab| {
        let stage = Stage::new(lab);
        // Like the pipes of a runtime that wait for their end: open across exec.
        let (reader, writer) = nix::unistd::pipe().unwrap();
        stage.publish("c1", Protocol::Tcp, stage.echo());
        drop(writer);
        let mut wait = [PollFd::new(std::os::fd::AsFd::as_fd(&reader), PollFlags::POLLIN)];
        assert_eq!(poll(&mut wait, PollTimeout::from(20_000_u16)), Ok(1), "the pipe never ends");
        assert_eq!(nix::unistd::read(&reader, &mut [0; 1]), Ok(0));

        let of = |file: &str| format!("/proc/{}/{file}", stage.pid());
        assert_eq!(fs::read(of("environ")).unwrap(), b"");
        assert_eq!(fs::read_link(of("cwd")).unwrap(), Path::new("/"));
        for stream in ["fd/0", "fd/1", "fd/2"] {
            assert_eq!(fs::read_link(of(stream)).unwrap(), Path::new("/dev/null"), "{stream}");
        }
        let status = fs::read_to_string(of("status")).unwrap();
        for line in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(status.contains(&format!("{line}:\t0000000000000000\n")), "{line}\n{status}");
        }
        assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
        assert!(!status.contains(&format!("PPid:\t{}\n", std::process::id())), "{status}");
        let own = nix::unistd::getsid(None).unwrap();
        assert_ne!(nix::unistd::getsid(Some(process(stage.pid()))).unwrap(), own);
        // Nobody is left for a runtime to reap.
        let no_child = nix::sys::wait::waitpid(None, None);
        assert_eq!(no_child, Err(nix::errno::Errno::ECHILD));
        assert!(reader.as_raw_fd() > 2);
    });
}

#[test]
fn a_daemon_that_does_not_answer_is_an_error_at_the_deadline() {
    lab(|lab| {
        let stage = Stage::new(lab);
        stage.publish("c1", Protocol::Tcp, stage.echo());
        let pid = process(stage.pid());
        kill(pid, Signal::SIGSTOP).unwrap();
        let hurried = || stage.client().with_deadline(Duration::from_millis(200));
        refused(hurried().list(), code::TRY_AGAIN, "did not answer on /run/cais/proxy.sock");
        refused(hurried().drop(&key("c1")), code::TRY_AGAIN, "unpublish ports of web/c1/eth0");
        let served = hurried().serve(&key("c2"), vec![some_offer()]);
        refused(served, code::TRY_AGAIN, "hint: ");
        kill(pid, Signal::SIGCONT).unwrap();
        stage.client().drop(&key("c1")).unwrap();
    });
}

#[test]
fn a_missing_program_is_named_with_where_it_was_looked_for() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let directories = ["/run/nowhere".into()];
        let client = Client::new(Path::new(RUN_DIR), &directories);
        let outcome = client.serve(&key("c1"), vec![some_offer()]);
        refused(outcome, code::NOT_AVAILABLE, "failed to find plugin \"cais-proxy\" in path [");
        client.drop(&key("c1")).unwrap();
        drop(stage);
    });
}

#[test]
fn a_port_that_is_taken_is_an_error_that_says_so() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let address = stage.publish("c1", Protocol::Tcp, stage.server(drop));
        let again = listen(Protocol::Tcp, Ipv6Addr::LOCALHOST, address.port());
        refused(
            again,
            code::EXHAUSTED,
            &format!("listen on {address}/tcp: Address already in use"),
        );
        // The same number in UDP is another port.
        listen(Protocol::Udp, Ipv6Addr::LOCALHOST, address.port()).unwrap();
        // Here the host's side ends first and is left in TIME_WAIT, which must not keep the port
        // from being published again.
        let mut stream = connect(address);
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
        drop(stream);
        wait_until(&stage, "the end of the connection", || stage.served()[0].active == 0);
        stage.client().drop(&key("c1")).unwrap();
        listen(Protocol::Tcp, Ipv6Addr::LOCALHOST, address.port()).unwrap();
    });
}
