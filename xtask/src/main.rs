//! The one entry for contributors: `cargo xtask <task>`.
//!
//! Every task works from a fresh clone with nothing but Rust installed: what else a step needs is
//! installed from Debian packages when we may (root), otherwise named, together with what is left
//! out because of it. `ci` is exactly what CI runs.

use std::process::ExitCode;

use anyhow::Result;

mod bench;
mod ci;
mod debian;
mod demo;
mod deny;
mod dist;
mod elf;
mod fuzz;
mod lint;
mod package;
mod report;
mod run;
mod sbom;
mod test;
mod tidy;
mod tools;
mod vm;
mod workspace;

/// One task: its name, what it does in a line, and the function that does it.
struct Task {
    name: &'static str,
    what: &'static str,
    run: fn(&[String]) -> Result<()>,
}

const TASKS: &[Task] = &[
    Task {
        name: "demo",
        what: "the whole suite at work in a lab, with nothing left afterwards",
        run: demo::task,
    },
    Task {
        name: "test",
        what: "build the plugins and run the everyday tests; --all runs every one; other arguments go to the test runner",
        run: test::task,
    },
    Task { name: "ci", what: "everything CI runs, with a table of steps and times", run: ci::task },
    Task {
        name: "tidy",
        what: "check the house rules: arrows, unsafe, file sizes, docs",
        run: tidy::task,
    },
    Task {
        name: "deny",
        what: "licences, sources and duplicates of dependencies",
        run: deny::task,
    },
    Task { name: "dist", what: "static, stripped binaries under target/dist/bin", run: dist::task },
    Task {
        name: "package",
        what: "a Debian package of it, for amd64 or arm64, with checksums and a list of parts",
        run: package::task,
    },
    Task {
        name: "vm",
        what: "boot Debian kernels under emulation and run cases inside",
        run: vm::task,
    },
    Task {
        name: "bench",
        what: "pairs with the Go plugins: a table of ratios against goals",
        run: bench::task,
    },
    Task {
        name: "fuzz",
        what: "generated input for every parser, some seconds each",
        run: fuzz::task,
    },
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next().filter(|name| !["help", "--help", "-h"].contains(&&**name))
    else {
        println!("{}", usage());
        return ExitCode::SUCCESS;
    };
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        eprintln!("no task is called `{name}`\n\n{}", usage());
        return ExitCode::from(2);
    };
    let rest: Vec<String> = arguments.collect();
    match (task.run)(&rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    let mut text = String::from("usage: cargo xtask <task> [arguments]\n\n");
    for task in TASKS {
        text.push_str(&format!("  {:6} {}\n", task.name, task.what));
    }
    text
}
