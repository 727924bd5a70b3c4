use std::process::Command;

use crate::stage::{CAIS, Ended, Stage};

/// What a person without rights has: a user namespace is all that gives them a network.
fn cais_lab(script: &str) -> Ended {
    let mut command = Command::new(CAIS);
    command.args(["lab", "--", "sh", "-c", script]).env("CAIS", CAIS);
    command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
    Ended::of(command)
}

#[test]
fn a_lab_has_its_own_network_and_empty_state_and_leaves_nothing() {
    let before = std::fs::read_dir("/run").unwrap().count();
    let lab = cais_lab(
        "id -u; ip -o link | wc -l; ip -o -4 addr show lo; ls -A /run; ls -A /var/lib/cni; \
         touch /run/x /var/lib/cni/x; ls -d /var/lib/dpkg; exit 5",
    )
    .failed(5);
    let mut lines = lab.stdout.lines();
    assert_eq!((lines.next(), lines.next()), (Some("0"), Some("1")), "{}", lab.report());
    assert!(lines.next().is_some_and(|l| l.contains("127.0.0.1/8")), "{}", lab.report());
    assert!(lab.stdout.ends_with("/var/lib/dpkg\n"), "the rest is there: {}", lab.report());
    assert_eq!(std::fs::read_dir("/run").unwrap().count(), before);
    assert!(!std::path::Path::new("/run/x").exists());
}

#[test]
fn the_other_commands_work_in_a_lab_and_a_lab_in_a_lab() {
    let stage = Stage::new().plugin("one", "{}").network("web", &["one"]);
    let dir = stage.path().display();
    let script = format!(
        "export CNI_PATH={dir}/bin NETCONFPATH={dir}/net.d CALLS={dir}/calls; set -e
         $CAIS netns add c1; $CAIS add web c1; $CAIS check web c1; $CAIS exec c1 -- true
         $CAIS run web -- true; $CAIS gc web; $CAIS del web c1; $CAIS netns del c1
         $CAIS lab -- sh -c '$CAIS run web -- true; ls -A /run/netns 2>/dev/null || echo own run'"
    );
    cais_lab(&script).ok().says(&["own run"]);
    assert_eq!(stage.verbs().len(), 7, "{:#?}", stage.verbs());
}

#[test]
fn without_rights_to_namespaces_it_says_so_and_what_to_do() {
    let mut command = Command::new("unshare");
    let script = "echo 0 > /proc/sys/user/max_user_namespaces
                  exec setpriv --bounding-set=-all --inh-caps=-all -- $CAIS lab -- true";
    command.args(["--user", "--map-root-user", "sh", "-c", script]).env("CAIS", CAIS);
    let refused = Ended::of(command).failed(125);
    refused.says(&["cais: make a lab: make a ", " namespace: ", "hint: "]);
}

#[test]
fn a_command_that_is_not_there_is_told() {
    let mut command = Command::new(CAIS);
    command.args(["lab", "--", "/nowhere"]);
    Ended::of(command).failed(127).says(&["cais: run /nowhere: No such file or directory"]);
}
