//! What every plugin's `main` does: read, guard, call, print, log.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use serde::Serialize;

use crate::error::{Error, code};
use crate::json;
use crate::log::Line;
use crate::plugin::{Call, OwnNetns, Plugin};
use crate::request::{Environment, Request, config, read, read_input};
use crate::schema::{COMMON, Key};
use crate::version::Version;

/// The reference release whose behaviour the drop-in names have; runtimes parse it.
const REFERENCE: &str = "1.9.1";

/// Where the hook of a panic leaves its text for the error object.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// Serves one call of `plugin`: all there is to do in its `main`.
pub fn run(plugin: &dyn Plugin) -> ExitCode {
    let start = Instant::now();
    let env = Environment::of_process();
    if env.command.is_empty() {
        return by_hand(plugin);
    }
    std::panic::set_hook(Box::new(|info| {
        if let Ok(mut text) = PANIC.lock() {
            *text = info.to_string().replace('\n', " ");
        }
    }));
    let request = match read(&env, &mut std::io::stdin().lock()) {
        Ok(request) => request,
        Err(refused) => {
            let line = Line {
                plugin: plugin.name(),
                verb: &env.command.to_string_lossy(),
                key: &env.container.to_string_lossy(),
                elapsed: start.elapsed(),
                outcome: Err(&refused.error),
            };
            line.write();
            print(&refused.error.to_json(&refused.version));
            return ExitCode::FAILURE;
        }
    };
    serve(plugin, request, &env, start)
}

/// As [`run`] for the one of `plugins` whose name this program was called by.
pub fn run_by_name(plugins: &[&dyn Plugin]) -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    let called = Path::new(&called).file_name().unwrap_or_default();
    if let Some(plugin) = plugins.iter().find(|plugin| OsStr::new(plugin.name()) == called) {
        return run(*plugin);
    }
    let names: Vec<&str> = plugins.iter().map(|plugin| plugin.name()).collect();
    eprintln!(
        "{} is no plugin of this file\nhint: link this file under one of the names {}",
        called.to_string_lossy(),
        names.join(", ")
    );
    ExitCode::FAILURE
}

fn serve(plugin: &dyn Plugin, request: Request, env: &Environment, start: Instant) -> ExitCode {
    let (key, version) = match &request {
        Request::Add(call) | Request::Check(call) | Request::Del(call) => {
            (call.attachment.to_string(), call.config.version())
        }
        Request::Gc(call) | Request::Status(call) => {
            (call.config.name().to_string(), call.config.version())
        }
        Request::Version => {
            print(&version_object());
            return ExitCode::SUCCESS;
        }
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| perform(plugin, request, env)))
        .unwrap_or_else(|_| Err(panicked(plugin)));
    let line = Line {
        plugin: plugin.name(),
        verb: &env.command.to_string_lossy(),
        key: &key,
        elapsed: start.elapsed(),
        outcome: outcome.as_ref().map(|_| ()),
    };
    line.write();
    match outcome {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            print(&error.to_json(version.as_str()));
            ExitCode::FAILURE
        }
    }
}

/// Calls the verb; what is returned goes to standard output.
fn perform(plugin: &dyn Plugin, request: Request, env: &Environment) -> Result<Vec<u8>, Error> {
    match request {
        Request::Add(call) => {
            guard(plugin, &call, env)?;
            add(plugin, &call)
        }
        Request::Check(call) => {
            guard(plugin, &call, env)?;
            plugin.check(&call).map(|()| Vec::new())
        }
        Request::Del(mut call) => {
            // A recycled path must not make us tear the host down; the container's own namespace
            // is gone then, and what is left of it is on the host.
            if let Err(error) = guard(plugin, &call, env) {
                eprintln!("{}; treated as already gone", error.msg);
                call.netns = None;
            }
            plugin.del(&call).map(|()| Vec::new())
        }
        Request::Gc(call) => plugin.gc(&call).map(|()| Vec::new()),
        Request::Status(call) => plugin.status(&call).map(|()| Vec::new()),
        Request::Version => Ok(version_object()),
    }
}

/// ADD whose result can be printed in the version asked for, or that never happened.
fn add(plugin: &dyn Plugin, call: &Call) -> Result<Vec<u8>, Error> {
    let result = plugin.add(call)?;
    result.encode(call.config.version(), plugin.result_shape(call)).map_err(|error| {
        match plugin.del(call) {
            Ok(()) => error,
            Err(undo) => error.with_details(format!("undoing it failed too: {undo}")),
        }
    })
}

/// Refuses to work in the namespace that we run in ourselves. One that cannot be looked at is left
/// to the verb, which has better words for it.
fn guard(plugin: &dyn Plugin, call: &Call, env: &Environment) -> Result<(), Error> {
    let Some(netns) = &call.netns else { return Ok(()) };
    if plugin.own_netns() == OwnNetns::Allow || env.overrides_netns_guard() {
        return Ok(());
    }
    let own = std::fs::metadata("/proc/thread-self/ns/net").map_err(|e| {
        Error::new(code::INVALID_NETNS, "get plugin's netns failed").with_details(e.to_string())
    })?;
    match std::fs::metadata(netns) {
        Ok(theirs) if (theirs.dev(), theirs.ino()) == (own.dev(), own.ino()) => Err(Error::new(
            code::INVALID_NETNS,
            "plugin's netns and netns from CNI_NETNS should not be the same",
        )
        .with_details(netns.to_string_lossy())
        .with_hint("give the container a network namespace of its own, or use the plugin `host`")),
        _ => Ok(()),
    }
}

fn panicked(plugin: &dyn Plugin) -> Error {
    let text = PANIC.lock().map(|text| text.clone()).unwrap_or_default();
    Error::new(code::INTERNAL, format!("{} failed inside: {text}", plugin.name()))
        .with_hint("this is a bug in cais; what ADD had done is undone, DEL removes the rest")
}

fn print(text: &[u8]) {
    // Nobody reads any more: there is nobody to tell either.
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text).and_then(|()| stdout.flush());
}

fn version_object() -> Vec<u8> {
    let versions: Vec<String> = Version::ALL.iter().map(|v| format!("\"{v}\"")).collect();
    format!(
        "{{\"cniVersion\":\"{}\",\"supportedVersions\":[{}]}}\n",
        Version::LATEST,
        versions.join(",")
    )
    .into_bytes()
}

/// What a plugin says to somebody who runs it without a runtime.
fn by_hand(plugin: &dyn Plugin) -> ExitCode {
    let option = std::env::args_os().nth(1).unwrap_or_default();
    match option.to_str() {
        Some("--help" | "-h") => print(help(plugin).as_bytes()),
        Some("--print-schema") => print(&json::pretty(&Schema {
            plugin: plugin.name(),
            keys: COMMON.iter().chain(plugin.keys()).collect(),
        })),
        Some("--validate") => return validate(plugin),
        _ => {
            let versions: Vec<&str> = Version::ALL.iter().map(|v| v.as_str()).collect();
            eprintln!("{}", banner(plugin.name()));
            eprintln!("CNI protocol versions supported: {}", versions.join(", "));
        }
    }
    ExitCode::SUCCESS
}

/// Standard output is empty where the configuration is right.
fn validate(plugin: &dyn Plugin) -> ExitCode {
    let read = read_input(&mut std::io::stdin().lock())
        .map_err(|error| (error, Version::LATEST.to_string()))
        .and_then(|text| config(text).map_err(|refused| (refused.error, refused.version)));
    let outcome = read.and_then(|config| {
        plugin.validate(&config).map_err(|error| (error, config.version().to_string()))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err((error, version)) => {
            print(&error.to_json(&version));
            ExitCode::FAILURE
        }
    }
}

fn banner(name: &str) -> String {
    format!("CNI {name} plugin v{REFERENCE}+cais.{}", env!("CARGO_PKG_VERSION"))
}

fn help(plugin: &dyn Plugin) -> String {
    let mut text = format!(
        "{}\n\nA CNI runtime runs this program with CNI_COMMAND set and a network configuration on\n\
         standard input; `cais` does so by hand. Without CNI_COMMAND it knows:\n\n\
         \x20 --help           this page\n\
         \x20 --version        version, on standard error\n\
         \x20 --print-schema   the keys below as JSON\n\
         \x20 --validate       checks a configuration given on standard input\n\nKeys:\n",
        banner(plugin.name())
    );
    for Key { path, kind, default, doc } in COMMON.iter().chain(plugin.keys()) {
        text.push_str(&format!(
            "\n  {path}\n      {}; default {default}\n      {doc}\n",
            kind.words()
        ));
    }
    text
}

#[derive(Serialize)]
struct Schema<'a> {
    plugin: &'a str,
    keys: Vec<&'a Key>,
}
