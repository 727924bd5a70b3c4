//! What answers cost: `cais-dnsd` beside dnsmasq and the real `aardvark-dns`, asked by the same
//! containers at the same rate.

use anyhow::Result;

use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::Report;

mod asker;
mod first;
mod forwarded;
mod load;
mod message;
mod owned;
mod rounds;
mod server;
mod upstream;

/// All of it.
pub(crate) fn all(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    if options.aardvark.is_none() {
        eprintln!("no aardvark-dns is given: answers are compared with those of dnsmasq alone");
    }
    owned::measure(options, scratch, report)?;
    forwarded::measure(options, scratch, report)?;
    first::measure(options, scratch, report)
}
