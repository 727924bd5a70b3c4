//! The command `cais`: networks for containers without a container runtime.
//!
//! | module | holds |
//! |---|---|
//! | `args` | every command with its options: the one source of parsing, help, completions and man pages |
//! | `commands` | one file for each command |
//! | `session` | what the options of all commands amount to |
//! | `network`, `namespace`, `container` | from what people write to what the protocol needs |
//! | `files` | what a container gets of its networks: resolv.conf and hosts |
//! | `installation` | what is put into a runtime's directory of plugins, and taken away |
//! | `output`, `fault`, `trace` | what is printed, and where |
//! | `validation` | what is wrong with a configuration, and where |
//! | `signals` | standing in for a command that runs in a namespace |
//!
//! `cais` talks to plugins and to namespaces. It never touches a link itself, but for `lo` of the
//! namespaces that it makes; of the packet filter it writes again what plugins remember, or gives it
//! back.

mod args;
mod commands;
mod container;
mod fault;
mod files;
mod installation;
mod namespace;
mod network;
mod output;
mod session;
mod signals;
mod trace;
mod validation;

use std::process::ExitCode;

use clap::Parser;

use args::{Cais, Command};
use session::Session;

fn main() -> ExitCode {
    let cais = match Cais::try_parse() {
        Ok(cais) => cais,
        Err(usage) => {
            // Where it cannot be printed, nobody reads it.
            let _ = usage.print();
            return ExitCode::from(if usage.use_stderr() { fault::USAGE } else { 0 });
        }
    };
    let session = Session::new(&cais.options);
    let done = match cais.command {
        Command::Add(args) => commands::add::run(&session, &args),
        Command::Check(args) => commands::check::run(&session, &args),
        Command::Del(args) => commands::del::run(&session, &args),
        Command::Gc(args) => commands::gc::run(&session, &args),
        Command::Status(args) => commands::status::run(&session, &args),
        Command::Reload => commands::reload::run(&session),
        Command::Handback => commands::handback::run(&session),
        Command::Install(args) => commands::install::run(&session, &args),
        Command::Uninstall(args) => commands::uninstall::run(&session, &args),
        Command::Version(args) => commands::version::run(&session, &args),
        Command::Attachments(args) => commands::attachments::run(&session, &args),
        Command::Validate(args) => commands::validate::run(&session, &args),
        Command::Dns(args) => commands::dns::run(&session, &args),
        Command::Overlay(args) => commands::overlay::run(&session, &args),
        Command::Resolvconf(args) => commands::resolvconf::run(&session, &args),
        Command::Run(args) => commands::run::run(&session, &args),
        Command::Exec(args) => commands::exec::run(&session, &args),
        Command::Lab(args) => commands::lab::run(&args),
        Command::Netns(args) => commands::netns::run(&session, &args),
        Command::Completions(args) => commands::generate::completions(&args),
        Command::Man(args) => commands::generate::man(&args),
    };
    done.unwrap_or_else(|fault| fault.report(session.json))
}
