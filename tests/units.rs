//! The units of systemd that are packaged.

use std::process::Command;

use netns_fixtures::{lab_with_plugins, skip};

#[test]
fn the_unit_that_reloads_is_sound() {
    lab_with_plugins(|lab| {
        if Command::new("systemd-analyze").arg("--version").output().is_err() {
            skip("systemd-analyze is not installed");
        }
        let unit = include_str!("../packaging/systemd/cais-reload.service");
        let cais = lab.plugins().join("cais");
        assert_eq!(unit.matches("=/usr/bin/cais reload\n").count(), 2);
        let here = unit.replace("/usr/bin/cais", &cais.display().to_string());
        let file = "/run/lab/cais-reload.service";
        std::fs::write(file, here).unwrap();
        let output = lab.host().try_run(&format!("systemd-analyze verify --man=no {file}"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !said.contains("cais-reload"), "{said}");
    });
}

#[test]
fn the_units_of_the_daemon_of_names_are_sound() {
    are_sound(
        "cais-dnsd",
        include_str!("../packaging/systemd/cais-dnsd.service"),
        include_str!("../packaging/systemd/cais-dnsd.socket"),
    );
}

#[test]
fn the_units_of_the_daemon_of_overlay_networks_are_sound() {
    are_sound(
        "cais-overlayd",
        include_str!("../packaging/systemd/cais-overlayd.service"),
        include_str!("../packaging/systemd/cais-overlayd.socket"),
    );
}

/// Units of a daemon of ours that is told its socket.
fn are_sound(daemon: &str, service: &str, socket: &str) {
    lab_with_plugins(|lab| {
        if Command::new("systemd-analyze").arg("--version").output().is_err() {
            skip("systemd-analyze is not installed");
        }
        let path = socket.lines().find_map(|line| line.strip_prefix("ListenSequentialPacket="));
        let start = format!("ExecStart=/usr/lib/cni/{daemon} serve {}\n", path.unwrap());
        assert!(service.contains(&start), "the service knows its socket by another name");
        // Any program will do: whether it is there is all that is looked at.
        let program = lab.plugins().join("cais").display().to_string();
        let service = service.replace(&format!("/usr/lib/cni/{daemon}"), &program);
        std::fs::write(format!("/run/lab/{daemon}.service"), service).unwrap();
        std::fs::write(format!("/run/lab/{daemon}.socket"), socket).unwrap();
        let files = format!("/run/lab/{daemon}.service /run/lab/{daemon}.socket");
        let output = lab.host().try_run(&format!("systemd-analyze verify --man=no {files}"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !said.contains(daemon), "{said}");
    });
}

#[test]
fn the_user_of_the_daemon_of_names_is_one_that_systemd_can_make() {
    lab_with_plugins(|lab| {
        if Command::new("systemd-sysusers").arg("--version").output().is_err() {
            skip("systemd-sysusers is not installed");
        }
        std::fs::create_dir_all("/run/lab/root/etc").unwrap();
        std::fs::write(
            "/run/lab/cais-dnsd.conf",
            include_str!("../packaging/sysusers.d/cais-dnsd.conf"),
        )
        .unwrap();
        let make = "systemd-sysusers --root=/run/lab/root /run/lab/cais-dnsd.conf";
        let output = lab.host().try_run(make);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let users = std::fs::read_to_string("/run/lab/root/etc/passwd").unwrap_or_default();
        assert!(users.lines().any(|line| line.starts_with("cais-dns:")), "{said}{users}");
    });
}
