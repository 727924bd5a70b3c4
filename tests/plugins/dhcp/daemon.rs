//! The daemon itself: its socket, its end.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

use netns_fixtures::lab_with_plugins;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use nix::unistd::Pid;
use serde_json::json;

use super::lan::{SOCKET, is_listening, until};
use super::{Daemon, Lan, config, plugged};
use crate::under_test::{only_ours, unlike_reference};

#[test]
fn the_socket_that_a_killed_daemon_left_is_replaced() {
    lab_with_plugins(|lab| {
        let daemon = Daemon::start(lab);
        daemon.signal(Signal::SIGKILL);
        drop(daemon);
        assert!(Path::new(SOCKET).exists());
        unlike_reference(lab, "finds its address in use [E]", || {
            let program = lab.plugins().join("dhcp").display().to_string();
            let output = lab.host().try_run(&format!("timeout 1 {program} daemon"));
            assert_eq!(output.status.code(), Some(124), "{output:?}");
        });
    });
}

#[test]
fn a_second_daemon_is_refused_and_the_first_one_stays() {
    lab_with_plugins(|lab| {
        let _daemon = Daemon::start(lab);
        let program = lab.plugins().join("dhcp").display().to_string();
        let output = lab.host().try_run(&format!("{program} daemon"));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(is_listening(Path::new(SOCKET)));
    });
}

#[test]
fn a_daemon_that_is_told_to_end_takes_socket_and_pidfile_away_and_no_lease() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, &[]);
        let daemon = Daemon::with(lab, "-pidfile /run/dhcp.pid");
        assert!(fs::read_to_string("/run/dhcp.pid").unwrap().trim().parse::<u32>().is_ok());
        let c1 = plugged(lab, &lan, "c1");
        let first = lab.add("dhcp", &c1, &config(&json!({})));
        only_ours(lab, "of 1.1.1 leaves them, and forgets its leases [E]");
        daemon.signal(Signal::SIGTERM);
        until("the socket is gone", || !Path::new(SOCKET).exists());
        until("the pidfile is gone", || !Path::new("/run/dhcp.pid").exists());
        drop(daemon);
        let _daemon = Daemon::start(lab);
        assert_eq!(lab.add("dhcp", &c1, &config(&json!({}))), first);
    });
}

#[test]
fn socket_and_leases_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    lab_with_plugins(|lab| {
        only_ours(lab, "leaves the mode of its socket to the umask");
        let lan = Lan::new(lab, &[]);
        let _daemon = Daemon::start(lab);
        lab.add("dhcp", &plugged(lab, &lan, "c1"), &config(&json!({})));
        for path in [SOCKET, "/var/lib/cni/cais/dhcp/net/c1@eth0"] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{path}");
        }
    });
}

#[test]
fn the_daemon_of_the_reference_is_known_and_named() {
    lab_with_plugins(|lab| {
        lab.needs(netns_fixtures::Feature::ReferencePlugins);
        only_ours(lab, "is itself");
        let lan = Lan::new(lab, &[]);
        let _theirs = lab.host().spawn("/usr/lib/cni/dhcp daemon");
        until("it listens", || is_listening(Path::new(SOCKET)));
        let c1 = plugged(lab, &lan, "c1");
        let call = lab.plugin("dhcp").container(&c1).config(&config(&json!({})));
        call.clone().verb("ADD").run().refused(5).says(&[SOCKET, "another program listens there"]);
        call.verb("DEL").run().succeeded();
        let program = lab.plugins().join("dhcp").display().to_string();
        let output = lab.host().try_run(&format!("{program} daemon"));
        assert!(String::from_utf8_lossy(&output.stderr).contains("another program listens there"));
    });
}

#[test]
fn with_broadcast_the_server_is_asked_to_broadcast() {
    lab_with_plugins(|lab| {
        let lan = Lan::new(lab, &[]);
        let _daemon = Daemon::with(lab, "-broadcast");
        lab.add("dhcp", &plugged(lab, &lan, "c1"), &config(&json!({})));
        // Later releases of the reference forget the flag [E].
        lan.wait_for("broadcast response");
    });
}

#[test]
fn a_host_prefix_comes_before_every_path() {
    lab_with_plugins(|lab| {
        only_ours(lab, "makes no such directories");
        let lan = Lan::new(lab, &[]);
        fs::create_dir_all("/run/host").unwrap();
        for directory in ["run", "var"] {
            std::os::unix::fs::symlink(format!("/{directory}"), format!("/run/host/{directory}"))
                .unwrap();
        }
        let program = lab.plugins().join("dhcp").display().to_string();
        let _daemon = lab.host().spawn(&format!("{program} daemon -hostprefix /run/host"));
        until("it listens", || is_listening(Path::new("/run/host/run/cni/dhcp.sock")));
        let c1 = plugged(lab, &lan, "c1");
        lab.add("dhcp", &c1, &config(&json!({})));
        lab.del("dhcp", &c1, &config(&json!({})));
        lan.wait_for("DHCPRELEASE");
    });
}

#[test]
fn a_socket_that_systemd_passes_is_taken_and_left_to_it() {
    lab_with_plugins(|lab| {
        only_ours(lab, "takes sockets for streams");
        let lan = Lan::new(lab, &[]);
        fs::create_dir_all("/run/cni").unwrap();
        let (family, kind) = (AddressFamily::Unix, SockType::SeqPacket);
        let passed = socket(family, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(passed.as_raw_fd(), &UnixAddr::new(SOCKET).unwrap()).unwrap();
        listen(&passed, Backlog::new(16).unwrap()).unwrap();
        // As sd_listen_fds(3) has it.
        let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
        let mut daemon = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(lab.plugins().join("dhcp"))
            .arg("daemon")
            .stdin(passed)
            .spawn()
            .unwrap();
        lab.add("dhcp", &plugged(lab, &lan, "c1"), &config(&json!({})));
        kill(Pid::from_raw(daemon.id().cast_signed()), Signal::SIGTERM).unwrap();
        assert!(daemon.wait().unwrap().success());
        assert!(Path::new(SOCKET).exists());
    });
}
