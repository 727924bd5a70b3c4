//! The program that netavark starts, with our answers.

use std::process::ExitCode;

use resolver::aardvark::{self, Args, Verb};

const USAGE: &str = "\
usage: aardvark-dns --config DIR [--port PORT] [--filter-search-domain DOMAIN] run
       aardvark-dns version
This is cais' stand-in for the program of that name, which netavark starts for networks of Podman.";

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("aardvark-dns: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if args.verb == Verb::Version {
        println!("aardvark-dns {} (cais)", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let ended = match std::env::var_os(aardvark::STAYS) {
        Some(_) => aardvark::serve(&args),
        None => aardvark::run(),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aardvark-dns: {error}");
            ExitCode::FAILURE
        }
    }
}
