use std::path::Path;
use std::process::ExitCode;

use cni::runtime::NetworkList;
use cni::{Error, code};
use nix::sys::signal::{SigSet, Signal};

use crate::args::Install;
use crate::fault::Done;
use crate::installation::{Installation, Source};
use crate::output;
use crate::session::Session;

/// `cais install`.
pub(crate) fn run(session: &Session, args: &Install) -> Done {
    // Whoever is told to end while files come ends after that: they are few.
    let mut end = SigSet::empty();
    end.add(Signal::SIGTERM);
    end.add(Signal::SIGINT);
    if args.stay {
        let blocked = end.thread_block();
        blocked.map_err(|e| Error::new(code::IO, format!("wait for SIGTERM: {e}")))?;
    }
    let from = match &args.from {
        Some(dir) => dir.clone(),
        None => own_directory()?,
    };
    let programs = Source::programs(&from)?;
    let mut networks = Vec::new();
    for file in &args.network {
        networks.push(network(file)?);
    }
    let put = Installation::at(&args.to).put(&programs, &networks, &args.net_dir)?;
    let (count, to) = (programs.len(), args.to.display());
    if session.json {
        output::json(&serde_json::json!({ "installed": put, "programs": count }))?;
    } else {
        let lines = put.iter().map(|name| format!("installed {name}\n")).collect::<String>();
        output::print(&format!("{lines}{to} holds {count} programs of cais\n"))?;
    }
    if args.stay {
        let ended = end.wait();
        ended.map_err(|e| Error::new(code::IO, format!("wait for SIGTERM: {e}")))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a network that a runtime is to use, which must be one.
fn network(file: &Path) -> Result<Source, Error> {
    let source = Source::read(file)?;
    let is_list = file.extension().is_some_and(|extension| extension == "conflist");
    let parsed = match is_list {
        true => NetworkList::parse(source.content()),
        false => NetworkList::parse_single(source.content()),
    };
    parsed.map_err(|error| error.in_step(format!("read network {}", file.display())))?;
    Ok(source)
}

fn own_directory() -> Result<std::path::PathBuf, Error> {
    let own = std::env::current_exe()
        .map_err(|e| Error::new(code::IO, format!("find the program of cais: {e}")))?;
    Ok(own.parent().unwrap_or(&own).to_owned())
}
