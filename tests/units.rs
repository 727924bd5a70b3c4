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
