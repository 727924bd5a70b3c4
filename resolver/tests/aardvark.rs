//! Acting as `aardvark-dns`, as netavark uses it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use netns_fixtures::lab;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::{DEADLINE, Stage, ask, is_alive, try_to_ask};

const DIR: &str = "/run/networks";
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 90, 1, 1)), 53);

fn start() -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aardvark-dns"));
    command.args(["--config", DIR, "-p", "53", "--filter-search-domain", ".dns.podman", "run"]);
    command.output().unwrap()
}

fn write(file: &str, text: &str) {
    fs::create_dir_all(DIR).unwrap();
    fs::write(Path::new(DIR).join(file), text).unwrap();
}

fn pid() -> Pid {
    let text = fs::read_to_string(Path::new(DIR).join("aardvark.pid")).unwrap();
    Pid::from_raw(text.trim().parse().unwrap())
}

#[test]
fn it_answers_when_it_returns_follows_the_directory_and_ends_with_the_last_network() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let web = stage.container("web", 2);
        let at = |number| (0, Some(Ipv4Addr::new(10, 90, 1, number)));
        write("n1", "10.90.1.1\n68fb 10.90.1.2  web,68fb291b0318\n");
        let output = start();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(try_to_ask(&web, SERVER, "web"), Some(at(2)));
        assert_eq!(try_to_ask(&web, SERVER, "WEB.dns.podman"), Some(at(2)));
        let pid = pid();
        write("n1", "10.90.1.1\n68fb 10.90.1.2  web\n9a00 10.90.1.3  db\n");
        kill(pid, Signal::SIGHUP).unwrap();
        let begun = Instant::now();
        while try_to_ask(&web, SERVER, "db") != Some(at(3)) {
            assert!(begun.elapsed() < DEADLINE, "db is not found");
        }
        fs::remove_file(Path::new(DIR).join("n1")).unwrap();
        kill(pid, Signal::SIGHUP).unwrap();
        let begun = Instant::now();
        while is_alive(pid) {
            assert!(begun.elapsed() < DEADLINE, "it goes on without networks");
        }
        assert_eq!(fs::read_dir(DIR).unwrap().count(), 0);
    });
}

#[test]
fn an_internal_network_asks_nobody_whoever_asks() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let web = stage.container("web", 2);
        write("n1%int", "10.90.1.1\n68fb 10.90.1.2  web\n");
        assert!(start().status.success());
        assert_eq!(ask(&web, SERVER, "example.com"), (3, None));
        // A second address that nobody listed.
        web.run("ip addr flush dev eth0");
        web.run("ip addr add 10.90.1.77/24 dev eth0");
        assert_eq!(ask(&web, SERVER, "example.com"), (3, None));
        assert_eq!(ask(&web, SERVER, "web"), (0, Some(Ipv4Addr::new(10, 90, 1, 2))));
    });
}

#[test]
fn what_keeps_it_from_answering_is_said_by_the_process_that_waits() {
    lab(|lab| {
        let _stage = Stage::new(lab);
        write("n1", "10.90.1.1\n");
        let taken = std::net::UdpSocket::bind(SERVER).unwrap();
        let output = start();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("listen at 10.90.1.1 port 53: Address already in use"), "{said}");
        drop(taken);
        fs::remove_file(Path::new(DIR).join("n1")).unwrap();
        assert!(!start().status.success());
        fs::remove_dir_all(DIR).unwrap();
        let output = start();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("/run/networks"), "{output:?}");
    });
}
