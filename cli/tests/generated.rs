//! What is made of the definition of the command line.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::stage::Stage;

const COMMANDS: [&str; 16] = [
    "add",
    "check",
    "del",
    "gc",
    "status",
    "version",
    "attachments",
    "validate",
    "run",
    "exec",
    "lab",
    "netns",
    "install",
    "uninstall",
    "completions",
    "man",
];

#[test]
fn every_shell_completes_every_command() {
    let stage = Stage::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stage.cais(&format!("completions {shell}")).ok().stdout;
        for command in COMMANDS {
            assert!(script.contains(command), "{shell} lacks {command}");
        }
    }
}

#[test]
fn bash_takes_its_completions() {
    let script = Stage::new().cais("completions bash").ok().stdout;
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
}

#[test]
fn every_command_has_a_man_page() {
    let stage = Stage::new();
    stage.cais("man pages").ok();
    let page =
        |name: String| std::fs::read_to_string(stage.path().join("pages").join(name)).unwrap();
    for command in COMMANDS {
        let text = page(format!("cais-{command}.1"));
        assert!(text.contains(".TH cais-") && text.contains(".SH SYNOPSIS"), "{text}");
    }
    let text = page("cais.1".to_owned());
    assert!(text.contains("Exit status:") && text.contains("NETCONFPATH"), "{text}");
}

#[test]
fn docs_name_every_command_and_every_option() {
    let docs = include_str!("../../docs/cais.md");
    let stage = Stage::new();
    for command in COMMANDS {
        assert!(docs.contains(&format!("cais {command}")), "docs/cais.md lacks `cais {command}`");
        let help = stage.cais(&format!("{command} --help")).ok().stdout;
        let options = help.split_whitespace().filter(|word| word.starts_with("--"));
        for option in options.map(|o| o.trim_end_matches([',', '.'])) {
            let ours = ["--help", "--version"];
            assert!(
                ours.contains(&option) || docs.contains(option),
                "docs/cais.md lacks {option} of {command}"
            );
        }
    }
}
