//! `lab COMMAND…`: runs a command in a private network, as root of it, also for ordinary users.
//!
//! `cargo run -p kernel --example lab ip link`

use std::error::Error;
use std::os::unix::process::CommandExt;
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().ok_or("usage: lab COMMAND…")?;
    if let Err(error) = kernel::lab::enter() {
        eprintln!("hint: {}", error.hint().unwrap_or("none"));
        return Err(error.into());
    }
    Err(Command::new(program).args(words).exec().into())
}
