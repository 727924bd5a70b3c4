use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use netns_fixtures::lab;

use crate::stage::{Ended, Stage};

const RESULT: &str =
    r#"{"cniVersion":"1.1.0","ips":[{"address":"10.0.0.2/24"}],"huge":12345678901234567890}"#;
/// cnitool's id for `/var/run/netns/testing`.
const TESTING: &str = "cnitool-77383ca0a0715733ca6f";

fn web() -> Stage {
    Stage::new().plugin("one", RESULT).plugin("two", RESULT).network("web", &["one", "two"])
}

#[test]
fn an_attachment_is_made_checked_listed_and_removed() {
    lab(|_| {
        let stage = web();
        stage.cais("netns add c1").ok();
        let added = stage.cais("add web c1").ok();
        assert!(
            added.stdout.starts_with("{\n    \"cniVersion\": \"1.1.0\",\n"),
            "{}",
            added.stdout
        );
        assert!(added.stdout.contains("\"huge\": 12345678901234567890"), "{}", added.stdout);
        stage.cais("check web c1").ok();
        stage.cais("attachments").ok().says(&["web", "10.0.0.2/24", "attached", "/run/netns/c1"]);
        stage.cais("del web c1").ok();
        assert_eq!(stage.cais("attachments --json").ok().json(), serde_json::json!([]));
        let verbs = ["one ADD", "two ADD", "one CHECK", "two CHECK", "two DEL", "one DEL"];
        assert_eq!(stage.verbs(), verbs);
        assert_eq!(stage.cais("netns list").ok().stdout, "c1\n");
        stage.cais("netns del c1").ok();
        assert_eq!(stage.cais("netns list").ok().stdout, "");
    });
}

#[test]
fn ids_and_records_are_those_of_cnitool() {
    lab(|_| {
        let stage = web();
        std::os::unix::fs::symlink("/run", "/var/run").ok();
        stage.cais("netns add testing").ok();
        stage.cais("add web /var/run/netns/testing").ok();
        let file = format!("/var/lib/cni/results/web-{TESTING}-eth0");
        let text = fs::read_to_string(&file).unwrap();
        let start = format!(r#"{{"kind":"cniCacheV1","containerId":"{TESTING}","config":""#);
        assert!(text.starts_with(&start), "{text}");
        let end = format!(
            r#""ifName":"eth0","networkName":"web","netns":"/var/run/netns/testing","result":{RESULT}}}"#
        );
        assert!(text.ends_with(&end), "{text}");
    });
}

#[test]
fn what_cnitool_attached_is_detached_by_path_and_by_name() {
    lab(|_| {
        for netns in ["/var/run/netns/testing", "testing"] {
            let stage = web();
            // As cnitool 1.3 writes it, keys sorted by Go's map in the result.
            let record = format!(
                r#"{{"kind":"cniCacheV1","containerId":"{TESTING}","config":"e30=","ifName":"eth0","networkName":"web","netns":"/var/run/netns/testing","cniArgs":[["K","V"]],"result":{{"cniVersion":"1.1.0","ips":[{{"address":"10.9.9.9/24"}}]}}}}"#
            );
            let file = format!("/var/lib/cni/results/web-{TESTING}-eth0");
            fs::create_dir_all("/var/lib/cni/results").unwrap();
            fs::write(&file, record).unwrap();
            stage.cais(&format!("del web {netns}")).ok();
            let calls = stage.calls();
            let call = &calls[0];
            assert!(
                call.starts_with(&format!("two DEL {TESTING} eth0 /var/run/netns/testing [K=V]")),
                "{call}"
            );
            assert!(call.contains("10.9.9.9/24"), "its result is passed: {call}");
            assert!(!Path::new(&file).exists());
        }
    });
}

#[test]
fn options_go_before_variables_and_both_reach_the_plugins() {
    lab(|_| {
        let stage = Stage::new().plugin("one", "{}");
        let list = r#"{"cniVersion":"1.1.0","name":"n","plugins":[{"type":"one","capabilities":{"mac":true,"ips":true}}]}"#;
        let file = stage.file("n.conflist", list);
        stage.cais("netns add c1").ok();
        let add = |args: &[&str]| {
            let mut command = stage.command(args);
            command.env("CNI_IFNAME", "net7").env("CNI_ARGS", "A=1;B=2");
            command.env("CAP_ARGS", r#"{"mac":"from variable","other":1}"#);
            Ended::of(command).ok();
            stage.calls().pop().unwrap()
        };
        let call = add(&["add", file.to_str().unwrap(), "c1", "--id", "x"]);
        assert!(call.starts_with("one ADD x net7 /run/netns/c1 [A=1;B=2] "), "{call}");
        assert!(call.ends_with(r#""runtimeConfig":{"mac":"from variable"}}"#), "{call}");
        let call = add(&[
            "add",
            "n.conflist",
            "c1",
            "--id",
            "y",
            "-i",
            "eth9",
            "--args",
            "C=3",
            "--capability",
            "mac=\"aa\"",
            "--capability",
            "ips=[\"10.0.0.9\"]",
        ]);
        assert!(call.starts_with("one ADD y eth9 /run/netns/c1 [C=3] "), "{call}");
        assert!(call.ends_with(r#""runtimeConfig":{"mac":"aa","ips":["10.0.0.9"]}}"#), "{call}");
    });
}

#[test]
fn a_failed_add_is_undone_and_told_with_its_hint() {
    lab(|_| {
        let stage = web().script(
            "two",
            r#"[ $CNI_COMMAND = DEL ] || { echo '{"code":11,"msg":"pool is full","details":"hint: make it larger"}'; exit 1; }"#,
        );
        stage.cais("netns add c1").ok();
        let failed = stage.cais("add web c1").failed(1);
        assert_eq!(
            failed.stderr,
            "cais: plugin type=\"two\" name=\"web\" failed (add): pool is full\nhint: make it larger\n"
        );
        assert_eq!(stage.verbs(), ["one ADD", "two ADD", "two DEL", "one DEL"]);
        let error = stage.cais("add web c1 --json").failed(1).json();
        assert_eq!(
            (error["code"].as_u64(), error["details"].as_str()),
            (Some(11), Some("hint: make it larger"))
        );
    });
}

#[test]
fn a_namespace_that_is_not_there_is_found_out_before_any_plugin() {
    lab(|_| {
        let stage = web();
        stage.cais("add web c1").failed(1).says(&[
            "cais: open network namespace /run/netns/c1: it does not exist",
            "hint: make it with `cais netns add`",
        ]);
        fs::create_dir_all("/run/netns").unwrap();
        fs::write("/run/netns/c2", "").unwrap();
        stage.cais("add web c2").failed(1).says(&["it is not a network namespace"]);
        stage.cais("add web 999999999").failed(1).says(&["/proc/999999999/ns/net"]);
        assert!(stage.calls().is_empty());
        stage.cais("del web c1").ok();
        assert_eq!(stage.verbs(), ["two DEL", "one DEL"], "DEL needs no namespace");
    });
}

#[test]
fn del_finds_its_list_in_the_record_when_the_file_is_gone() {
    lab(|_| {
        let stage = web();
        stage.cais("netns add c1").ok();
        stage.cais("add web c1 --id mine").ok();
        fs::remove_file(stage.path().join("net.d/web.conflist")).unwrap();
        stage.cais("del web --id other").failed(1).says(&["no net configurations found"]);
        stage.cais("del web --id mine").ok().says(&["using the list that it was attached with"]);
        assert!(stage.calls().pop().unwrap().starts_with("one DEL mine eth0 /run/netns/c1"));
    });
}

#[test]
fn gc_removes_the_dead_and_tells_whom_it_did_not_ask() {
    lab(|_| {
        let stage = web();
        for name in ["dead", "alive"] {
            stage.cais(&format!("netns add {name}")).ok();
            stage.cais(&format!("add web {name} --id {name}")).ok();
        }
        stage.cais("netns del dead").ok();
        stage
            .cais("gc web --dry-run")
            .ok()
            .says(&["would remove web/dead/eth0", "kept web/alive/eth0"]);
        assert_eq!(stage.verbs().len(), 4, "a dry run calls nothing");
        stage.cais("gc web").ok().says(&["removed web/dead/eth0", "plugin one was not asked"]);
        assert_eq!(stage.verbs()[4..], ["two DEL", "one DEL"]);
        let kept = stage.cais("gc web --keep alive/eth0 --json").ok().json();
        assert_eq!(kept["kept"], serde_json::json!(["web/alive/eth0"]));
        assert_eq!(stage.verbs()[6..], ["one GC", "two GC"]);
        stage.cais("gc web --keep-none").ok().says(&["removed web/alive/eth0"]);
        stage
            .cais("gc web --keep a/b/c")
            .failed(1)
            .says(&["--keep a/b/c: interface name contains /"]);
    });
}

#[test]
fn status_and_version_speak_of_each_plugin() {
    lab(|_| {
        let versions = r#"[ $CNI_COMMAND != VERSION ] || { echo '{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}'; exit; }"#;
        let stage = web().script("one", versions).script(
            "two",
            r#"[ $CNI_COMMAND = DEL ] || { echo '{"code":50,"msg":"no module"}'; exit 1; }"#,
        );
        let two = "plugin type=\"two\" name=\"web\" failed (status): no module";
        stage.cais("status web").failed(1).says(&[two]);
        stage.cais("version web").failed(1).says(&["1.0.0 1.1.0", "ask ", "no module"]);
        stage.cais("version --json").ok().says(&["\"0.1.0\""]);
        let stage = stage.plugin("two", "");
        stage.cais("status web").ok().says(&["web is ready"]);
    });
}

#[test]
fn a_trace_shows_environment_input_output_and_time_of_every_call() {
    lab(|_| {
        let stage = web().script("two", "echo on stderr >&2; echo '{}'");
        stage.cais("netns add c1").ok();
        stage.cais("--trace add web c1 --id x").ok().says(&[
            "-- one ADD: ",
            "   CNI_CONTAINERID=x\n",
            "   CNI_NETNS=/run/netns/c1\n",
            "   stdin  {\"cniVersion\":\"1.1.0\",\"name\":\"web\",\"type\":\"one\"}\n",
            "   stdout {\"cniVersion\":\"1.1.0\",\"ips\"",
            "   stderr on stderr\n",
            "   exit status: 0, ",
            " ms\n",
        ]);
        let trace = stage.cais("--trace --json del web c1 --id x").ok().stderr;
        let step: serde_json::Value = serde_json::from_str(trace.lines().next().unwrap()).unwrap();
        assert_eq!((&step["plugin"], &step["command"]), (&"two".into(), &"DEL".into()));
        assert_eq!(stage.cais("add web c1").ok().stderr, "two: on stderr\n");
    });
}

#[test]
fn a_plugin_that_hangs_is_stopped_after_the_timeout() {
    lab(|_| {
        let stage = web().script("two", "[ $CNI_COMMAND = DEL ] || exec sleep 1000");
        stage.cais("netns add c1").ok();
        stage
            .cais("--timeout 1 add web c1")
            .failed(1)
            .says(&["did not answer within 1 s and was killed"]);
        assert_eq!(stage.verbs(), ["one ADD", "two ADD", "two DEL", "one DEL"]);
    });
}

#[test]
fn a_reader_that_went_away_is_success_and_usage_is_two() {
    lab(|_| {
        let stage = web();
        let mut child = stage
            .command(&["completions", "bash"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
        for usage in ["", "add", "add web", "del web", "frobnicate", "gc web --keep a --keep-none"]
        {
            stage.cais(usage).failed(2);
        }
        stage.cais("--help").ok();
    });
}

#[test]
fn the_go_plugins_work_as_a_chain_and_leave_nothing() {
    lab(|lab| {
        let go = netns_fixtures::bins::reference();
        if !go.join("bridge").exists() {
            netns_fixtures::skip("Debian's containernetworking-plugins are not installed");
        }
        let stage = Stage::new();
        stage.file(
            "net.d/web.conflist",
            r#"{"cniVersion":"1.0.0","name":"web","plugins":[
                {"type":"bridge","bridge":"web0","isGateway":true,"ipam":{"type":"host-local","subnet":"10.22.0.0/24"}},
                {"type":"tuning","capabilities":{"mac":true}}]}"#,
        );
        stage.cais("netns add c1").ok();
        let cais = |args: &[&str]| {
            let mut command = stage.command(args);
            command.env("CNI_PATH", &go);
            Ended::of(command)
        };
        let mac = "mac=\"02:00:00:00:00:07\"";
        let result = cais(&["add", "web", "c1", "--capability", mac]).ok().json();
        assert_eq!(result["ips"][0]["address"], "10.22.0.2/24");
        assert_eq!(result["interfaces"][2]["mac"], "02:00:00:00:00:07");
        cais(&["check", "web", "c1"]).ok();
        cais(&["version", "web"]).ok().says(&["host-local", "1.0.0"]);
        cais(&["del", "web", "c1"]).ok();
        let veths = lab.host().link_names().into_iter().filter(|n| n.starts_with("veth")).count();
        assert_eq!(veths, 0);
        let leases = fs::read_dir("/var/lib/cni/networks/web").unwrap();
        let leases = leases.filter(|e| {
            e.as_ref().is_ok_and(|e| e.file_name().to_string_lossy().starts_with("10."))
        });
        assert_eq!(leases.count(), 0);
    });
}

#[test]
fn of_offered_versions_the_newest_that_all_plugins_speak_is_spoken() {
    lab(|_| {
        let versions = r#"[ $CNI_COMMAND != VERSION ] || { echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'; exit; }
[ $CNI_COMMAND != ADD ] || echo '{}'"#;
        let stage = Stage::new().script("one", versions);
        let list =
            r#"{"cniVersions":["0.4.0","1.0.0","1.1.0"],"name":"n","plugins":[{"type":"one"}]}"#;
        stage.file("n.conflist", list);
        stage.cais("netns add c1").ok();
        let why = "network n: speaking 1.0.0, not 1.1.0: one does not know it";
        stage.cais("add n.conflist c1").ok().says(&[why]);
        let call = stage.calls().pop().unwrap();
        assert!(call.contains(r#""cniVersion":"1.0.0""#), "{call}");
    });
}
