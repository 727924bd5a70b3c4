use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use cni::{Error, code};

use crate::args::{Cais, Completions, Man};
use crate::fault::Done;
use crate::output;

/// `cais completions`.
pub(crate) fn completions(args: &Completions) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cais::command(), "cais", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// `cais man`.
pub(crate) fn man(args: &Man) -> Done {
    let failed = |e: io::Error| {
        Error::new(code::IO, format!("write man pages to {}: {e}", args.dir.display()))
    };
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    let mut command = Cais::command();
    command.build();
    write_pages(&command, "cais", &args.dir).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// One page for the command and one for each below it: `cais-add.1`.
fn write_pages(command: &Command, name: &str, dir: &Path) -> io::Result<()> {
    let page = clap_mangen::Man::new(command.clone().name(name.to_owned()));
    let mut text = Vec::new();
    page.render(&mut text)?;
    std::fs::write(dir.join(format!("{name}.1")), text)?;
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        write_pages(below, &format!("{name}-{}", below.get_name()), dir)?;
    }
    Ok(())
}
