//! The backup file, and DEL in all the ways in which a container can be gone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use super::{BACKUP, attributes, call, container, run};
use crate::under_test::{only_ours, unlike_reference};

fn members() -> Value {
    json!({ "mtu": 1400, "sysctl": { "net.ipv4.conf.IFNAME.arp_notify": "1" } })
}

fn added(lab: &Lab) -> Container {
    let c = container(lab, "c1");
    run(lab, "ADD", &c, &members()).succeeded();
    assert!(Path::new(BACKUP).exists());
    c
}

fn mode(path: &str) -> u32 {
    fs::metadata(path).unwrap_or_else(|e| panic!("{path}: {e}")).permissions().mode() & 0o777
}

/// Nothing but directories is left of the container.
#[track_caller]
fn assert_nothing_is_left() {
    assert!(!Path::new(BACKUP).exists());
    let records = fs::read_dir("/run/cais/tuning/net").into_iter().flatten().count();
    assert_eq!(records, 0, "records are left");
}

#[test]
fn the_file_is_for_root_and_the_directories_let_others_through() {
    lab_with_plugins(|lab| {
        added(lab);
        assert_eq!(mode(BACKUP), 0o600);
        unlike_reference(lab, "shuts others out of /run/cni [E]", || {
            assert_eq!((mode("/run/cni"), mode("/run/cni/tuning")), (0o755, 0o755));
        });
    });
}

#[test]
fn data_dir_moves_the_file() {
    lab_with_plugins(|lab| {
        let c = container(lab, "c1");
        let before = lab.snapshot();
        let members = json!({ "mtu": 1400, "dataDir": "/run/elsewhere/deep" });
        run(lab, "ADD", &c, &members).succeeded();
        let text = fs::read_to_string("/run/elsewhere/deep/c1_eth0.json").unwrap();
        assert_eq!(text, "{\n \"mtu\": 1500\n}");
        run(lab, "DEL", &c, &members).is_silent();
        lab.assert_unchanged(&before);
    });
}

#[test]
fn a_data_dir_that_cannot_be_one_is_named_and_everything_is_put_back() {
    lab_with_plugins(|lab| {
        only_ours(lab, "answers 999 and leaves sysctls");
        let c = container(lab, "c1");
        fs::write("/run/file", "").unwrap();
        let before = lab.snapshot();
        let mut members = members();
        members["dataDir"] = json!("/run/file/below");
        let refused = run(lab, "ADD", &c, &members).refused(5);
        refused.says(&["key \"dataDir\"", "/run/file/below/c1_eth0.json", "directory"]);
        lab.assert_unchanged(&before);
        run(lab, "DEL", &c, &members).is_silent();
    });
}

#[test]
fn del_without_a_namespace_removes_what_is_written_down() {
    lab_with_plugins(|lab| {
        let c = added(lab);
        let del = call(lab, "DEL", &c, &members()).env("CNI_NETNS", "");
        del.run().is_silent();
        unlike_reference(lab, "leaves the file for ever [E]", assert_nothing_is_left);
    });
}

#[test]
fn del_after_the_namespace_is_gone_removes_what_is_written_down() {
    lab_with_plugins(|lab| {
        let c = added(lab);
        c.remove();
        run(lab, "DEL", &c, &members()).is_silent();
        unlike_reference(lab, "leaves the file for ever [E]", assert_nothing_is_left);
    });
}

#[test]
fn del_with_a_plain_file_for_a_namespace_removes_what_is_written_down() {
    lab_with_plugins(|lab| {
        let c = added(lab);
        c.remove();
        fs::write(c.path(), "").unwrap();
        run(lab, "DEL", &c, &members()).is_silent();
        unlike_reference(lab, "leaves the file for ever [E]", assert_nothing_is_left);
        fs::remove_file(c.path()).unwrap();
    });
}

#[test]
fn del_with_the_plugins_own_namespace_removes_what_is_written_down_and_touches_no_link() {
    lab_with_plugins(|lab| {
        only_ours(lab, "works on the host first, and says so later [E]");
        let c = added(lab);
        lab.host().run("ip link add dev eth0 mtu 1300 type veth peer name peer0");
        let host = call(lab, "DEL", &c, &members()).env("CNI_NETNS", lab.host().path());
        host.run().is_silent();
        assert_nothing_is_left();
        assert_eq!(lab.host().link("eth0").unwrap()["mtu"], 1300);
    });
}

#[test]
fn del_after_the_interface_is_gone_removes_what_is_written_down() {
    lab_with_plugins(|lab| {
        let c = added(lab);
        c.run("ip link del dev eth0");
        run(lab, "DEL", &c, &members()).is_silent();
        unlike_reference(lab, "leaves the file for ever [E]", assert_nothing_is_left);
    });
}

#[test]
fn another_container_at_the_same_path_keeps_what_it_has() {
    lab_with_plugins(|lab| {
        only_ours(lab, "does not know one namespace from another");
        added(lab).remove();
        let next = container(lab, "c1");
        next.run("ip link set dev eth0 mtu 1300");
        run(lab, "DEL", &next, &members()).is_silent();
        assert_eq!(attributes(&next)["mtu"], 1300);
        assert_nothing_is_left();
    });
}

#[test]
fn del_finds_the_file_although_data_dir_has_changed_since() {
    lab_with_plugins(|lab| {
        only_ours(lab, "looks nowhere else");
        let c = added(lab);
        run(lab, "DEL", &c, &json!({ "dataDir": "/run/elsewhere" })).is_silent();
        assert_eq!(attributes(&c)["mtu"], 1500);
        assert_nothing_is_left();
    });
}

#[test]
fn del_needs_nothing_of_the_configuration() {
    lab_with_plugins(|lab| {
        only_ours(lab, "refuses what it cannot read");
        let c = added(lab);
        let config = json!({
            "cniVersion": "1.0.0", "name": "net", "type": "tuning", "mtu": "wrong", "sysctl": [],
            "dataDir": 5, "prevResult": "none",
        });
        call(lab, "DEL", &c, &members()).config(&config).run().is_silent();
        assert_eq!(attributes(&c)["mtu"], 1500);
        assert_nothing_is_left();
    });
}

#[test]
fn a_torn_file_restores_nothing_and_goes() {
    lab_with_plugins(|lab| {
        only_ours(lab, "keeps it");
        for rubbish in [&b""[..], b"{\n \"mt", b"\0\0\0\0", b"[]", b"{\"mtu\": \"x\"}"] {
            let c = container(lab, &format!("c{}", rubbish.len()));
            run(lab, "ADD", &c, &members()).succeeded();
            let file = format!("/run/cni/tuning/{}_eth0.json", c.id());
            fs::write(&file, rubbish).unwrap();
            run(lab, "DEL", &c, &members()).is_silent();
            assert_eq!(attributes(&c)["mtu"], 1400);
            assert_eq!(c.sysctl("ipv4/conf/eth0/arp_notify").as_deref(), Some("0"));
            assert!(!Path::new(&file).exists());
        }
    });
}
