//! The daemon as systemd starts, tells and ends it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Instant;

use netns_fixtures::lab;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lifecycle::at;
use crate::stage::{DEADLINE, RUN_DIR, Stage, ask, daemons, is_alive, key, try_to_ask};

/// A unit that was started with a socket, and what it said since.
struct Unit {
    process: Child,
    said: UnixDatagram,
}

impl Unit {
    /// Starts the program for that run directory, with the control socket as descriptor 3.
    fn start(run_dir: &str) -> Self {
        let said = UnixDatagram::bind("/run/notify").unwrap();
        said.set_read_timeout(Some(DEADLINE)).unwrap();
        let socket = Path::new(run_dir).join("dns.sock");
        std::fs::create_dir_all(run_dir).unwrap();
        let control: OwnedFd = control::listen_at(&socket).unwrap();
        let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
        let process = Command::new("sh")
            .args(["-c", script, "sh", env!("CARGO_BIN_EXE_cais-dnsd"), "serve"])
            .arg(&socket)
            .env("NOTIFY_SOCKET", "/run/notify")
            .stdin(control)
            .spawn()
            .unwrap();
        Self { process, said }
    }

    /// What it says next.
    #[track_caller]
    fn says(&self) -> io::Result<String> {
        let mut buffer = [0; 100];
        let length = self.said.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).unwrap())
    }
}

#[test]
fn systemd_passes_the_socket_hears_when_it_is_ready_and_ends_both_processes() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let mut unit = Unit::start(RUN_DIR);
        assert_eq!(unit.says().unwrap(), "READY=1");
        let web = stage.container("web", 2);
        let server = stage.register(&web, &stage.record(&web, 2));
        assert_eq!(ask(&web, server, "web"), at(2));
        assert_eq!(stage.keeper(), unit.pid());
        assert_eq!(daemons(), 2, "a client started another one");
        let worker = stage.worker();
        kill(unit.pid(), Signal::SIGTERM).unwrap();
        assert_eq!(unit.says().unwrap(), "STOPPING=1");
        assert!(unit.process.wait().unwrap().success());
        assert!(!is_alive(worker));
        assert_eq!(daemons(), 0);
        // systemd goes on listening by it.
        assert!(Path::new(RUN_DIR).join("dns.sock").exists());
    });
}

#[test]
fn systemd_keeps_the_name_of_the_socket_when_there_is_nothing_to_answer_for() {
    lab(|lab| {
        // A root of its own: the lab's /etc is the machine's.
        std::fs::create_dir_all("/run/other/etc/cais").unwrap();
        std::fs::write("/run/other/etc/cais/dnsd.json", r#"{"idleExit": 1}"#).unwrap();
        let stage = Stage::new(lab);
        let run_dir = "/run/other/run/cais";
        let mut unit = Unit::start(run_dir);
        let web = stage.container("web", 2);
        let client = names::Client::new(Path::new(run_dir), &[]);
        let netns = kernel::netns::Netns::open(web.path()).unwrap();
        client.register(&stage.record(&web, 2), &netns).unwrap();
        client.remove(&key("n1", "web")).unwrap();
        assert!(unit.process.wait().unwrap().success());
        assert!(Path::new(run_dir).join("dns.sock").exists());
    });
}

#[test]
fn a_hangup_lets_the_program_answer_that_is_installed_now() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let web = stage.container("web", 2);
        let server = stage.register(&web, &stage.record(&web, 2));
        let worker = stage.worker();
        kill(stage.keeper(), Signal::SIGHUP).unwrap();
        let begun = Instant::now();
        let mut asked = 0;
        while stage.worker() == worker {
            assert_eq!(try_to_ask(&web, server, "web"), Some(at(2)), "after {asked} queries");
            asked += 1;
            assert!(begun.elapsed() < DEADLINE, "no other worker took over");
        }
        assert_eq!(ask(&web, server, "web"), at(2));
    });
}

#[test]
fn who_passes_something_else_than_the_control_socket_is_told() {
    let script = "exec 3</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_cais-dnsd"), "serve", "/nowhere/dns.sock"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("take the control socket"), "{said}");
}
