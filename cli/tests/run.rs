use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use netns_fixtures::lab;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::{CAIS, Ended, Stage};

fn web() -> Stage {
    Stage::new()
        .plugin("one", "{}")
        .plugin("two", "{}")
        .network("web", &["one"])
        .network("db", &["two"])
}

#[test]
fn the_command_runs_in_its_own_namespace_and_its_status_is_passed_on() {
    lab(|lab| {
        let stage = web();
        let script = "readlink /proc/self/ns/net; exit 7";
        let run = stage.command(&["run", "web", "--", "sh", "-c", script]);
        let ended = Ended::of(run).failed(7);
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        assert_ne!(ended.stdout.trim(), own.to_str().unwrap());
        assert_eq!(stage.verbs(), ["one ADD", "one DEL"]);
        assert_eq!(stage.cais("attachments --json").ok().json(), serde_json::json!([]));
        assert!(lab.host().link_names().is_empty(), "beside lo");
    });
}

#[test]
fn lo_is_up_and_networks_become_eth0_and_eth1() {
    lab(|_| {
        let stage = web();
        stage.cais("run web,db --name c1 -- ip -o -4 addr show dev lo").ok().says(&["127.0.0.1/8"]);
        let calls = stage.calls();
        let starts = [
            "one ADD c1 eth0 /proc/",
            "two ADD c1 eth1 /proc/",
            "two DEL c1 eth1 /proc/",
            "one DEL c1 eth0 /proc/",
        ];
        for (call, start) in calls.iter().zip(starts) {
            assert!(call.starts_with(start), "{calls:#?}");
        }
        stage.cais("run --network web --network db -- true").ok();
        assert_eq!(stage.verbs()[4..], ["one ADD", "two ADD", "two DEL", "one DEL"]);
    });
}

#[test]
fn a_network_that_fails_takes_the_others_back() {
    lab(|_| {
        let stage = web().script("two", "[ $CNI_COMMAND = DEL ] || exit 1");
        let failed = stage.cais("run web,db -- echo never").failed(125);
        assert_eq!(failed.stdout, "");
        assert_eq!(stage.verbs(), ["one ADD", "two ADD", "two DEL", "one DEL"]);
        stage
            .cais("run web,nowhere -- true")
            .failed(125)
            .says(&["no net configuration with name \"nowhere\""]);
        assert_eq!(stage.verbs().len(), 4, "lists are read before anything is made");
    });
}

#[test]
fn commands_that_cannot_be_run_have_their_own_status() {
    lab(|_| {
        let stage = web();
        stage
            .cais("run web -- /nowhere/command")
            .failed(127)
            .says(&["cais: run /nowhere/command: No such file"]);
        stage
            .cais("run web -- /etc/passwd")
            .failed(126)
            .says(&["cais: run /etc/passwd: Permission denied"]);
        assert_eq!(stage.verbs(), ["one ADD", "one DEL", "one ADD", "one DEL"]);
    });
}

#[test]
fn resolv_conf_shows_the_name_servers_of_the_networks() {
    lab(|_| {
        let dns = |server: &str| {
            format!(
                r#"{{"cniVersion":"1.1.0","dns":{{"nameservers":["{server}"],"search":["{server}.test"],"options":["ndots:2"]}}}}"#
            )
        };
        let stage = web().plugin("one", &dns("10.0.0.1")).plugin("two", &dns("10.0.0.2"));
        let before = std::fs::read("/etc/resolv.conf").ok();
        let shown = stage.cais("run web,db -- cat /etc/resolv.conf");
        if shown.stderr.contains("does not show what the networks say") {
            netns_fixtures::skip("there is no /etc/resolv.conf to cover");
        }
        let expected = "nameserver 10.0.0.1\nnameserver 10.0.0.2\nsearch 10.0.0.1.test 10.0.0.2.test\noptions ndots:2\n";
        assert!(shown.ok().stdout.ends_with(expected));
        assert_eq!(std::fs::read("/etc/resolv.conf").ok(), before, "outside nothing changed");
    });
}

#[test]
fn hosts_has_the_container_itself_and_whom_it_is_told_of() {
    lab(|_| {
        let result = r#"{"cniVersion":"1.1.0","ips":[{"address":"10.0.0.2/24"}]}"#;
        let stage = web().plugin("one", result);
        let before = std::fs::read("/etc/hosts").ok();
        let shown = stage.cais("run web --name c1 --add-host db:192.0.2.7 -- cat /etc/hosts");
        if shown.stderr.contains("does not show what the networks say") {
            netns_fixtures::skip("there is no /etc/hosts to cover");
        }
        let text = shown.ok().stdout;
        assert!(text.ends_with("10.0.0.2\tc1\n192.0.2.7\tdb\n"), "{text}");
        assert!(text.contains("127.0.0.1\tlocalhost\n"), "{text}");
        assert_eq!(std::fs::read("/etc/hosts").ok(), before, "outside nothing changed");
        for wrong in ["db", "db:x", ":192.0.2.7"] {
            let run = stage.command(&["run", "web", "--add-host", wrong, "--", "true"]);
            Ended::of(run).failed(125).says(&["it is no NAME:ADDRESS"]);
        }
    });
}

#[test]
fn names_and_servers_are_told_to_plugins_that_ask_for_them() {
    lab(|_| {
        let stage = web();
        let names = r#"{"cniVersion":"1.1.0","name":"named","plugins":[{"type":"one","capabilities":{"aliases":true,"dns":true}}]}"#;
        stage.file("net.d/named.conflist", names);
        stage.cais("run named --alias www --alias app --dns 192.0.2.1 -- true").ok();
        let call = &stage.calls()[0];
        assert!(call.contains(r#""aliases":["www","app"]"#), "{call}");
        assert!(call.contains(r#""servers":["192.0.2.1"]"#), "{call}");
    });
}

#[test]
fn resolvconf_is_printed_for_who_is_attached_and_for_nobody_else() {
    lab(|lab| {
        let result =
            r#"{"cniVersion":"1.1.0","dns":{"nameservers":["10.0.0.1"],"search":["a.test"]}}"#;
        let stage = web().plugin("one", result);
        let c = lab.container("c1");
        stage.cais("add web c1 --id c1").ok();
        let text = stage.cais("resolvconf c1").ok().stdout;
        assert!(text.ends_with("nameserver 10.0.0.1\nsearch a.test\n"), "{text}");
        let json = stage.cais("resolvconf c1 --network web --json").ok().json();
        assert_eq!(json["nameservers"], serde_json::json!(["10.0.0.1"]));
        stage.cais("resolvconf c1 --network db").failed(1).says(&["nothing is recorded"]);
        stage.cais("resolvconf nobody").failed(1).says(&["find what nobody is attached to"]);
        stage.cais("del web c1 --id c1").ok();
        drop(c);
    });
}

#[test]
fn without_a_daemon_of_names_that_is_said() {
    lab(|_| {
        let stage = web();
        for words in ["status", "dump", "metrics", "flush", "reload", "upgrade", "resolve c1 web"] {
            stage.cais(&format!("dns {words}")).failed(1).says(&["it does not run"]);
        }
        stage.cais("dns resolve c1 web NONSENSE").failed(1).says(&["type `NONSENSE`"]);
    });
}

/// A command that says when it runs, and then waits.
fn started(stage: &Stage, args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = stage.command(args).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (child, stdout)
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

#[test]
fn signals_reach_the_command_and_everything_is_removed() {
    lab(|_| {
        for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)]
        {
            let stage = web();
            let (mut child, _stdout) =
                started(&stage, &["run", "web", "--", "sh", "-c", "echo ready; exec sleep 1000"]);
            send(&child, signal);
            assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
            assert_eq!(stage.verbs(), ["one ADD", "one DEL"], "{signal}");
        }
    });
}

#[test]
fn an_end_that_comes_with_the_signal_is_not_missed() {
    lab(|_| {
        for round in 0..40 {
            let stage = web();
            let (mut child, _stdout) =
                started(&stage, &["run", "web", "--", "sh", "-c", "echo ready; exec sleep 1000"]);
            send(&child, Signal::SIGTERM);
            assert_eq!(child.wait().unwrap().code(), Some(143), "round {round}");
        }
    });
}

#[test]
fn a_command_that_handles_a_signal_ends_as_it_likes() {
    lab(|_| {
        let stage = web();
        let script = "trap 'exit 3' USR1; echo ready; while :; do sleep 0.05; done";
        let (mut child, _stdout) = started(&stage, &["run", "web", "--", "sh", "-c", script]);
        send(&child, Signal::SIGUSR1);
        assert_eq!(child.wait().unwrap().code(), Some(3));
        assert_eq!(stage.verbs(), ["one ADD", "one DEL"]);
    });
}

#[test]
fn a_signal_while_networks_are_attached_stops_after_the_plugin_and_undoes() {
    lab(|_| {
        let stage =
            web().script("one", "[ $CNI_COMMAND = DEL ] || { kill -TERM $PPID; echo '{}'; }");
        let ended =
            stage.cais("run web,db -- echo never").failed(143).says(&["stopped by SIGTERM"]);
        assert_eq!(ended.stdout, "");
        assert_eq!(stage.verbs(), ["one ADD", "one DEL"]);
    });
}

#[test]
fn killed_without_warning_it_takes_the_command_along_and_gc_the_rest() {
    lab(|_| {
        let stage = web();
        let script = "echo ready; exec sleep 1000";
        let (mut child, mut stdout) =
            started(&stage, &["run", "web", "--name", "c1", "--", "sh", "-c", script]);
        send(&child, Signal::SIGKILL);
        child.wait().unwrap();
        // The pipe ends with the last process that holds it: the command.
        assert_eq!(stdout.read_line(&mut String::new()).unwrap(), 0);
        stage.cais("attachments").ok().says(&["gone"]);
        stage.cais("gc web").ok().says(&["removed web/c1/eth0"]);
        assert_eq!(stage.verbs(), ["one ADD", "one DEL"]);
    });
}

#[test]
fn exec_joins_by_name_path_and_process_and_a_name_is_taken_once() {
    lab(|_| {
        let stage = web();
        let script = "echo ready; readlink /proc/self/ns/net; exec sleep 1000";
        let (mut child, mut stdout) =
            started(&stage, &["run", "web", "--name", "c1", "--", "sh", "-c", script]);
        let mut netns = String::new();
        stdout.read_line(&mut netns).unwrap();
        let joined = |who: &str| {
            stage.cais(&format!("exec {who} -- readlink /proc/self/ns/net")).ok().stdout
        };
        assert_eq!(joined("c1"), netns);
        stage.cais("run web --name c1 -- true").failed(125).says(&["it runs already"]);
        stage.cais("add db c1").ok();
        assert!(stage.calls().pop().unwrap().starts_with("two ADD c1 eth0 /proc/"));
        stage.cais("del db c1").ok();
        send(&child, Signal::SIGTERM);
        child.wait().unwrap();
        stage.cais("exec c1 -- true").failed(125).says(&["it does not exist"]);

        let own = std::process::id().to_string();
        let ours = std::fs::read_link("/proc/self/ns/net").unwrap();
        let by_pid = joined(&own);
        assert_eq!(by_pid.trim(), ours.to_str().unwrap());
        assert_eq!(joined("/proc/self/ns/net"), by_pid);
        stage.cais("exec c1").failed(125);
    });
}

#[test]
fn cais_is_found_again_even_when_its_file_was_replaced() {
    lab(|_| {
        let stage = web();
        let copy = stage.path().join("copy");
        std::fs::copy(CAIS, &copy).unwrap();
        let stage =
            stage.script("one", "[ $CNI_COMMAND = DEL ] || { rm -f \"$COPY\"; echo '{}'; }");
        let mut command = std::process::Command::new(&copy);
        command.args(["run", "web", "--", "true"]).env("COPY", &copy);
        command
            .env("CNI_PATH", stage.path().join("bin"))
            .env("NETCONFPATH", stage.path().join("net.d"));
        command.env("CALLS", stage.path().join("calls"));
        Ended::of(command).ok();
    });
}
