//! `conntrack_flush FILTER…`: deletes tracked connections of this namespace as a plugin does, and
//! says how many and in how many milliseconds.
//!
//! A filter is a word of conditions with commas between: `of=ADDRESS`, or `PROTOCOL:PORT[-PORT]`
//! and `to=NETWORK`, `by=ADDRESS`, `not-by=ADDRESS`; PROTOCOL is a number.
//!
//! Run it where it can do no harm: `unshare -rn cargo run -p kernel --example conntrack_flush`.

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use kernel::conntrack::{Filter, flush};
use kernel::netlink::Socket;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let filters = std::env::args().skip(1).map(|word| filter(&word));
    let filters = filters.collect::<Result<Vec<_>, _>>()?;
    let started = Instant::now();
    let deleted = flush(&Socket::open_netfilter("this namespace")?, &filters)?;
    println!("{deleted} deleted in {:.3} ms", started.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn filter(word: &str) -> Result<Filter, Box<dyn Error>> {
    let mut conditions = word.split(',');
    let first = conditions.next().unwrap_or_default();
    let mut filter = match first.split_once('=') {
        Some(("of", address)) => Filter::of(address.parse()?),
        Some(("by", address)) => Filter::answered_by(address.parse()?),
        _ => to_ports(first)?,
    };
    for condition in conditions {
        filter = match condition.split_once('=') {
            Some(("to", network)) => filter.destination(network.parse()?),
            Some(("by", address)) => filter.reply_source(address.parse()?),
            Some(("not-by", address)) => filter.reply_source_not(address.parse()?),
            _ => return Err(format!("no condition is called `{condition}`").into()),
        };
    }
    Ok(filter)
}

/// `17:53`, `17:5000-5999`.
fn to_ports(text: &str) -> Result<Filter, Box<dyn Error>> {
    let (protocol, ports) = text.split_once(':').ok_or("PROTOCOL:PORT[-PORT] comes first")?;
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    Ok(Filter::to_ports(protocol.parse()?, first.parse()?..=last.parse()?))
}
