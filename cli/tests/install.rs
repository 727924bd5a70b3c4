//! Putting plugins where a runtime looks for them, and taking them away.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;

use netns_fixtures::lab;

use crate::stage::Stage;

const NETWORK: &str = r#"{"cniVersion":"1.0.0","name":"web","plugins":[{"type":"bridge"}]}"#;

/// Two programs that are one file, another one, and a network.
fn stage() -> Stage {
    let stage = Stage::new();
    program(&stage, "new/bridge", "ours");
    fs::hard_link(stage.path().join("new/bridge"), stage.path().join("new/ptp")).unwrap();
    program(&stage, "new/cais-dnsd", "a daemon");
    stage.file("new/README", "no program");
    stage.file("web.conflist", NETWORK);
    stage
}

fn program(stage: &Stage, name: &str, content: &str) {
    let file = stage.file(name, content);
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

const INSTALL: &str = "install --from new --to opt --network web.conflist --net-dir etc";

/// Every file below a directory with its content, sorted.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(format!(
                "{}: {}",
                path.file_name().unwrap().display(),
                String::from_utf8_lossy(&fs::read(&path).unwrap())
            )),
        }
    }
    found.sort();
    found
}

#[test]
fn programs_and_networks_come_whole_and_what_is_one_file_stays_one() {
    let stage = stage();
    let said = stage.cais(INSTALL).ok().stdout;
    assert_eq!(
        said,
        "installed bridge\ninstalled cais-dnsd\ninstalled ptp\ninstalled web.conflist\nopt holds 3 programs of cais\n"
    );
    let [opt, etc] = ["opt", "etc"].map(|dir| stage.path().join(dir));
    let metadata = |name: &str| fs::metadata(opt.join(name)).unwrap();
    assert_eq!(metadata("bridge").ino(), metadata("ptp").ino());
    assert_eq!(metadata("cais-dnsd").mode() & 0o7777, 0o755);
    assert_eq!(fs::metadata(etc.join("web.conflist")).unwrap().mode() & 0o7777, 0o644);
    assert_eq!(files(&etc), [format!("web.conflist: {NETWORK}")]);
    assert!(!opt.join("README").exists());
    // Once more: everything is there.
    assert_eq!(stage.cais(INSTALL).ok().stdout, "opt holds 3 programs of cais\n");
}

#[test]
fn a_running_program_is_replaced_and_not_written_to() {
    let stage = stage();
    stage.file("opt/bridge", "theirs");
    let opened = fs::read_to_string(stage.path().join("opt/bridge")).unwrap();
    let before = fs::File::open(stage.path().join("opt/bridge")).unwrap();
    stage.cais(INSTALL).ok();
    assert_eq!(std::io::read_to_string(before).unwrap(), opened, "the old file was written to");
}

#[test]
fn uninstall_gives_back_what_was_replaced_and_leaves_nothing_of_ours() {
    lab(|_| {
        let stage = stage();
        program(&stage, "opt/bridge", "theirs");
        program(&stage, "opt/other", "not ours");
        let before = files(&stage.path().join("opt"));
        stage.cais(INSTALL).ok();
        // A newer one over it is still none of theirs.
        program(&stage, "new/cais-dnsd", "a newer daemon");
        stage.cais(INSTALL).ok();
        stage.cais("uninstall --to opt").ok();
        assert_eq!(files(&stage.path().join("opt")), before);
        assert_eq!(files(&stage.path().join("etc")), Vec::<String>::new());
    });
}

#[test]
fn uninstall_takes_the_socket_by_which_the_daemon_of_names_lives() {
    lab(|_| {
        let stage = stage();
        stage.cais(INSTALL).ok();
        fs::create_dir_all("/run/cais").unwrap();
        fs::write("/run/cais/dns.sock", "").unwrap();
        stage.cais("uninstall --to opt").ok();
        assert!(!Path::new("/run/cais/dns.sock").exists());
    });
}

#[test]
fn what_somebody_changed_since_stays() {
    lab(|_| {
        let stage = stage();
        stage.cais(INSTALL).ok();
        stage.file("opt/cais-dnsd", "changed");
        stage.file("etc/web.conflist", "changed");
        let said = stage.cais("uninstall --to opt").ok().stderr;
        assert!(said.contains("etc/web.conflist was changed by hand and stays"), "{said}");
        assert!(said.contains("opt/cais-dnsd is not what was installed and stays"), "{said}");
        assert_eq!(files(&stage.path().join("opt")), ["cais-dnsd: changed"]);
    });
}

#[test]
fn what_a_killed_call_left_is_no_obstacle() {
    let stage = stage();
    stage.file("opt/.bridge.cais-new", "half a fi");
    stage.cais(INSTALL).ok();
    assert!(!stage.path().join("opt/.bridge.cais-new").exists());
}

#[test]
fn a_network_that_is_none_changes_nothing() {
    let stage = stage();
    stage.file("web.conflist", "{");
    let said = stage.cais(INSTALL).failed(1).stderr;
    assert!(said.contains("read network web.conflist"), "{said}");
    assert!(!stage.path().join("opt").exists());
}

#[test]
fn a_directory_without_programs_is_an_error_that_says_what_to_name() {
    let stage = stage();
    let said = stage.cais("install --from etc --to opt").failed(1).stderr;
    assert!(said.contains("read etc: "), "{said}");
    fs::create_dir(stage.path().join("empty")).unwrap();
    let said = stage.cais("install --from empty --to opt").failed(1).stderr;
    assert!(said.contains("empty holds no program") && said.contains("--from"), "{said}");
    let said = stage.cais("uninstall --to opt").failed(1).stderr;
    assert!(said.contains("nothing was installed there"), "{said}");
}

#[test]
fn with_stay_it_waits_until_it_is_told_to_end() {
    let stage = stage();
    let mut command = stage.command(&INSTALL.split(' ').chain(["--stay"]).collect::<Vec<_>>());
    let mut cais = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = String::new();
    let mut out = std::io::BufReader::new(cais.stdout.take().unwrap());
    while !lines.contains("opt holds 3 programs") {
        assert_ne!(std::io::BufRead::read_line(&mut out, &mut lines).unwrap(), 0, "{lines}");
    }
    assert!(cais.try_wait().unwrap().is_none(), "it ended by itself");
    let id = nix::unistd::Pid::from_raw(cais.id().cast_signed());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(cais.wait().unwrap().success());
}
