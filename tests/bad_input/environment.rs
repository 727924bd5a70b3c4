//! Every variable that plugins read.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use netns_fixtures::{Call, Lab};
use serde_json::{Value, json};

use super::judge::{Answer, Bench, DIRECTORY, PIPE};
use super::values::TOO_MANY;
use crate::battery::USUAL;
use crate::under_test::{least_config, only_ours};

/// A variable is wrong, a network namespace is, or what it leads to cannot be used or understood.
const OF_VARIABLES: &[i64] = &[4, 5, 6, 7, 8, 50];

every_plugin! {
    fn wrong_identifiers_are_refused_by_name(lab, plugin) {
        let bench = prepared(lab, plugin);
        // Anything from beyond ASCII may well be the name of an interface.
        for value in wrong_texts().into_iter().filter(|value| !is_beyond_ascii(value)) {
            for verb in ["ADD", "CHECK", "DEL"] {
                let call = call(&bench, verb);
                for (variable, name) in
                    [("CNI_CONTAINERID", "containerID"), ("CNI_IFNAME", "interface name")]
                {
                    let what = format!("{verb} with {variable}={}", shown(&value));
                    let call = call.clone().env(variable, &value);
                    if variable == "CNI_CONTAINERID" && is_long(&value) {
                        // Ids have no limit; what is too long for a file may be refused. CHECK finds
                        // no address and no VRF where the kernel cannot do what ADD wants.
                        let names =
                            ["container id", "prevResult", "added by container", "VRF blue"];
                        bench.try_one(&what, &call, |answer| answer.named(&names));
                    } else {
                        bench.try_one(&what, &call, |answer| refused(answer, name));
                    }
                }
            }
            let what = format!("CNI_COMMAND={}", shown(&value));
            let call = call(&bench, "ADD").env("CNI_COMMAND", &value);
            bench.try_one(&what, &call, |answer| refused(answer, "CNI_COMMAND"));
        }
        bench.assert_clean("identifiers");
        bench.finish();
    }

    fn what_is_no_network_namespace_is_refused_or_taken_for_gone(lab, plugin) {
        let bench = prepared(lab, plugin);
        for path in wrong_texts().into_iter().chain(wrong_paths()) {
            for verb in ["ADD", "CHECK", "DEL"] {
                let what = format!("{verb} with CNI_NETNS={}", shown(&path));
                let call = call(&bench, verb).env("CNI_NETNS", &path);
                let taken = bench.try_one(&what, &call, |answer| {
                    match verb {
                        // What is missing anywhere else may be said first.
                        "CHECK" => answer.with_code(&[OF_VARIABLES, &[101]].concat()),
                        _ => answer.named(&["CNI_NETNS"]).and(answer.with_code(OF_VARIABLES)),
                    }
                });
                if taken && verb == "ADD" {
                    let is_ipam = ["host-local", "static"].contains(&plugin);
                    if !is_ipam {
                        bench.complain(format!("{what}: is taken"));
                    }
                    bench.try_one(&what, &call.verb("DEL"), |answer| answer.with_code(&[]));
                }
            }
        }
        bench.assert_clean("CNI_NETNS");
        bench.finish();
    }

    fn wrong_arguments_are_refused_by_add_and_ignored_by_del(lab, plugin) {
        let bench = prepared(lab, plugin);
        let known = ["IP", "MAC", "GATEWAY", "IgnoreUnknown"].iter().flat_map(|key| {
            wrong_texts().into_iter().map(move |value| {
                let mut pair = OsString::from(format!("{key}="));
                pair.push(value);
                pair
            })
        });
        let shapes = ["=", ";", "a", "a=", "=b", "a=b=c", "a=b;;", "IP=10.1.0.7;IP=", "ip=1.2.3.4"];
        let shapes = shapes.into_iter().map(OsString::from);
        for value in known.chain(wrong_texts()).chain(shapes) {
            let what = format!("CNI_ARGS={}", shown(&value));
            let call = call(&bench, "ADD").env("CNI_ARGS", &value);
            bench.try_one(&what, &call, |answer| {
                answer.named(&["CNI_ARGS"]).and_then(|()| answer.with_code(&[4, 7, 100]))
            });
            let what = format!("DEL with {what}");
            bench.try_one(&what, &call.verb("DEL"), |answer| match answer {
                Answer::Taken => Ok(()),
                Answer::Refused { .. } => Err("is refused by DEL".to_owned()),
            });
        }
        bench.assert_clean("CNI_ARGS");
        bench.finish();
    }

    fn what_is_no_path_of_plugins_is_refused_by_name(lab, plugin) {
        let bench = prepared(lab, plugin);
        let odd = ["", ":::", ".", "relative", ":/usr/bin:", "/proc/self/fd"].map(OsString::from);
        let directories = odd_plugins().into_iter().chain(odd);
        for path in wrong_texts().into_iter().chain(wrong_paths()).chain(directories) {
            for verb in ["ADD", "DEL"] {
                let what = format!("{verb} with CNI_PATH={}", shown(&path));
                let call = call(&bench, verb).config(&delegating(plugin)).env("CNI_PATH", &path);
                let taken = bench.try_one(&what, &call, |answer| {
                    let names = &["CNI_PATH", "IPAM plugin", DIRECTORY];
                    answer.named(names).and_then(|()| answer.with_code(OF_VARIABLES))
                });
                if taken && verb == "ADD" && plugin == "bridge" {
                    bench.complain(format!("{what}: is taken"));
                }
            }
        }
        bench.assert_clean("CNI_PATH");
        bench.finish();
    }

    fn what_only_cais_reads_never_makes_a_call_fail_but_by_name(lab, plugin) {
        let bench = prepared(lab, plugin);
        for value in wrong_texts().into_iter().chain(wrong_paths()) {
            for variable in ["CNI_NETNS_OVERRIDE", "CAIS_LOG", "CAIS_ROOT"] {
                let what = format!("{variable}={}", shown(&value));
                let call = call(&bench, "ADD").env(variable, &value);
                let taken = bench.try_one(&what, &call, |answer| match variable {
                    // What lies below that path is named.
                    "CAIS_ROOT" => answer.with_code(&[5]),
                    _ => answer.with_code(&[]),
                });
                if taken {
                    bench.try_one(&what, &call.verb("DEL"), |answer| answer.with_code(&[]));
                }
            }
        }
        // Logs and moved roots are where they were sent to.
        bench.assert_clean_but("what only cais reads", &[DIRECTORY]);
        bench.finish();
    }
}

fn refused(answer: &Answer, name: &str) -> Result<(), String> {
    answer.refused_naming(&[name]).and_then(|()| answer.with_code(&[4]))
}

fn prepared<'lab>(lab: &'lab Lab, plugin: &'static str) -> Bench<'lab> {
    only_ours(lab, "answers with code 999, hangs and leaks");
    make_odd_files();
    Bench::new(lab, plugin, USUAL)
}

fn call<'lab>(bench: &Bench<'lab>, verb: &str) -> Call<'lab> {
    bench.call().verb(verb).config(&least_config(bench.plugin, USUAL))
}

/// The configuration with which `plugin` looks for another one, if it ever does.
fn delegating(plugin: &str) -> Value {
    let mut config = least_config(plugin, USUAL);
    if plugin == "bridge" {
        config["ipam"] = json!({ "type": "host-local", "subnet": "10.1.0.0/24" });
    }
    config
}

/// No identifier, no path, no list.
fn wrong_texts() -> Vec<OsString> {
    let texts = [" ", "..", "../bad/x", "../bad/file", "a/b", "a b", "%s%n", "a\u{1b}[31m", "a\nb"];
    let mut list: Vec<OsString> = texts.iter().map(OsString::from).collect();
    list.push("é\u{202e}".into());
    list.push(OsString::from_vec(b"a\xff\xfe".to_vec()));
    list.push("x".repeat(TOO_MANY).into());
    list
}

/// Paths to what is there, and is neither a namespace nor a directory of plugins.
fn wrong_paths() -> Vec<OsString> {
    let file = |name: &str| format!("{DIRECTORY}/{name}");
    let mut list = vec![PIPE.to_owned(), DIRECTORY.to_owned(), file("none"), file("file")];
    list.extend([file("loop"), file("socket"), file("file/below")]);
    let elsewhere = [
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/dev/tty",
        "/dev/ptmx",
        "/proc/version",
        "/proc/self/ns/mnt",
        "/proc/self/ns/user",
        "/proc/4194304/ns/net",
        "/proc/self/mem",
    ];
    list.extend(elsewhere.map(str::to_owned));
    list.into_iter().map(OsString::from).collect()
}

/// Programs called `host-local` that are none.
const ODD_PROGRAMS: &[(&str, &[u8])] = &[
    ("empty", b""),
    ("torn-elf", b"\x7fELF\x02\x01\x01\x00"),
    ("no-interpreter", b"#!/nowhere/sh\n"),
    ("silent", b"#!/bin/sh\n"),
    ("null", b"#!/bin/sh\necho null\n"),
    ("chatty", b"#!/bin/sh\nhead -c 20000000 /dev/zero\n"),
    ("killed", b"#!/bin/sh\nkill -9 $$\n"),
    ("angry", b"#!/bin/sh\necho '{\"code\": -1, \"msg\": []}'; exit 1\n"),
];
/// Files of that name that cannot be run.
const NO_PROGRAMS: &[&str] = &["directory", "pipe-behind", "nowhere", "locked"];

/// Directories with such a `host-local`.
fn odd_plugins() -> Vec<OsString> {
    let names = ODD_PROGRAMS.iter().map(|(name, _)| name).chain(NO_PROGRAMS);
    names.map(|name| format!("{DIRECTORY}/{name}").into()).collect()
}

/// What [`wrong_paths`] and [`odd_plugins`] lead to.
fn make_odd_files() {
    let file = |name: &str| format!("{DIRECTORY}/{name}");
    fs::create_dir(DIRECTORY).unwrap();
    symlink(file("loop"), file("loop")).unwrap();
    // The socket's file stays when it is closed.
    drop(UnixListener::bind(file("socket")).unwrap());
    let plugin = |name: &str| {
        fs::create_dir(file(name)).unwrap();
        format!("{}/host-local", file(name))
    };
    for (name, program) in ODD_PROGRAMS {
        let path = plugin(name);
        fs::write(&path, program).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
    for name in NO_PROGRAMS {
        let path = plugin(name);
        match *name {
            "directory" => fs::create_dir(path).unwrap(),
            "pipe-behind" => symlink(PIPE, path).unwrap(),
            "nowhere" => symlink("nowhere", path).unwrap(),
            _ => fs::write(path, "#!/bin/sh\n").unwrap(),
        }
    }
}

fn is_long(value: &OsStr) -> bool {
    value.len() == TOO_MANY
}

fn is_beyond_ascii(value: &OsStr) -> bool {
    value.to_str().is_some_and(|text| !text.is_ascii())
}

/// A value as it can be reported.
fn shown(value: &OsStr) -> String {
    let text = value.to_string_lossy();
    match is_long(value) {
        true => format!("x… ({TOO_MANY} bytes)"),
        false => text.into_owned(),
    }
}
